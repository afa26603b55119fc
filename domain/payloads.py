"""What people send to a running definition, held against the schema it declares."""

from domain.definitions.schemas import Schema
from domain.definitions.values import Json
from domain.errors import Problem


def misfits(schema: Schema, value: Json, member: str) -> list[Problem]:
    """Every place where the member of a request body does not fit its schema; none when it does."""
    return [
        Problem(f"#/{member}{found.pointer}", _sentence(found.message), found.suggestion, "schema")
        for found in schema.problems(value)
    ]


def _sentence(message: str) -> str:
    text = message[:1].upper() + message[1:]
    return text if text.endswith(".") else f"{text}."
