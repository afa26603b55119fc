"""Definitions as bodies bring them, object or YAML or JSON text, and what validation finds in them."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.fields import DEFINITION_BYTES, bounded_json
from domain.actions import Catalogue
from domain.definitions import documents
from domain.definitions.documents import Document, Unreadable
from domain.definitions.validation import validate
from domain.errors import Invalid, Problem

_bounded = bounded_json(DEFINITION_BYTES)


def _object_or_text(value: Any) -> Any:
    if isinstance(value, dict):
        return _bounded(value)
    if not isinstance(value, str):
        raise PydanticCustomError("definition", "A definition is an object, or a text holding YAML or JSON")
    return value


Definition: TypeAlias = Annotated[
    Any,
    AfterValidator(_object_or_text),
    WithJsonSchema(
        {
            # No maxLength: validation tells a text that is too long like every other problem, with a 200.
            "oneOf": [{"type": "object"}, {"type": "string"}],
            "description": f"Open Workflow DSL 1.0.3: an object, or its YAML or JSON text, "
            f"up to {DEFINITION_BYTES} bytes.",
        }
    ),
]


class ProblemView(BaseModel):
    """`line` and `column` are told when the definition came as text."""

    pointer: str
    detail: str
    suggestion: str | None = None
    code: str
    severity: str = "error"
    line: int | None = None
    column: int | None = None


async def read(definition: dict[str, Any] | str) -> dict[str, Any]:
    """The definition as an object; raises Invalid at #/definition when the text holds none."""
    if isinstance(definition, dict):
        return definition
    try:
        value = (await asyncio.to_thread(documents.load, definition)).value
    except Unreadable as error:
        raise Invalid(problems=[Problem("#/definition", error.message, None, error.reason)]) from None
    if not isinstance(value, dict):
        message = "The text holds no object; a definition begins with members such as `do:`."
        raise Invalid(problems=[Problem("#/definition", message, "Send a mapping with `do`.")])
    return value


async def problems_in(
    catalogue: Catalogue, parts: Mapping[str, Any], secrets: Collection[str] | None = None
) -> list[ProblemView]:
    """Everything wrong with a definition, its triggers, actions and variables, with lines if it is text.

    `secrets` are the names that are set in the organization.
    """
    return await asyncio.to_thread(_problems, catalogue, parts, secrets)


def _problems(
    catalogue: Catalogue, parts: Mapping[str, Any], secrets: Collection[str] | None
) -> list[ProblemView]:
    definition, text = parts["definition"], None
    if isinstance(definition, str):
        try:
            text = documents.load(definition)
        except Unreadable as error:
            return [_unreadable(error)]
        definition = text.value
    found = validate(
        definition,
        triggers=parts.get("triggers"),
        actions=parts.get("actions"),
        variables=parts.get("variables"),
        catalogue=catalogue,
        secrets=secrets,
    )
    return [shown(problem, text) for problem in found]


def shown(problem: Problem, text: Document | None) -> ProblemView:
    """With line and column where the definition came as text."""
    view = ProblemView(
        pointer=problem.pointer,
        detail=problem.message,
        suggestion=problem.suggestion,
        code=problem.code,
        severity=problem.severity,
    )
    elsewhere = problem.pointer.startswith(("/triggers", "/actions", "/variables"))
    if text is not None and not elsewhere:
        view.line, view.column = text.locate(problem.pointer)
    return view


def _unreadable(error: Unreadable) -> ProblemView:
    return ProblemView(
        pointer=error.problems[0].pointer,
        detail=error.message,
        code=error.reason,
        line=error.position.line,
        column=error.position.column,
    )
