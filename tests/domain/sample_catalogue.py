"""A catalogue with one action of each sort, for tests of validation and publishing."""

from datetime import timedelta
from typing import Any

from domain.actions import ActionSpec, Catalogue, Effect, Lane

TEXT = {"type": "string"}
ENDPOINT = {
    "type": "object",
    "properties": {"uri": TEXT, "authentication": {"type": "object"}},
    "required": ["uri"],
    "additionalProperties": False,
}


def spec(
    name: str,
    version: str = "1.0.0",
    *,
    effect: Effect = Effect.KEYED,
    lane: Lane = Lane.ACTIVITY,
    **arguments: Any,
) -> ActionSpec:
    """An action whose arguments are all required, but for those that end with an underscore."""
    return ActionSpec(
        name=name,
        version=version,
        title=name,
        description="",
        effect=effect,
        lane=lane,
        timeout=timedelta(seconds=30),
        input={
            "type": "object",
            "properties": {each.rstrip("_"): schema for each, schema in arguments.items()},
            "required": [each for each in arguments if not each.endswith("_")],
            "additionalProperties": False,
        },
        output={},
    )


CATALOGUE = Catalogue(
    [
        spec("email.send", to=TEXT, subject=TEXT, body_=TEXT),
        spec("email.send", "1.2.0", to=TEXT, subject=TEXT, body_=TEXT),
        spec(
            "http.request",
            method={"type": "string"},
            endpoint={"anyOf": [TEXT, ENDPOINT]},
            headers_={"type": "object", "additionalProperties": TEXT},
            output_={"enum": ["content", "response", "raw"]},
        ),
        spec(
            "openapi.request",
            document={
                "type": "object",
                "properties": {"name": TEXT, "endpoint": {"anyOf": [TEXT, ENDPOINT]}},
                "required": ["endpoint"],
                "additionalProperties": False,
            },
            operationId=TEXT,
            parameters_={"type": "object"},
            authentication_={"type": "object"},
            output_={"enum": ["content", "response", "raw"]},
        ),
        spec(
            "approve",
            lane=Lane.TASK,
            title=TEXT,
            assignees_={"type": "array", "items": TEXT},
            form_={"type": "object", "format": "json-schema"},
            due_={"anyOf": [TEXT, {"type": "object"}], "format": "duration"},
        ),
        spec("ask", lane=Lane.TASK, title=TEXT, form={"type": "object", "format": "json-schema"}),
        spec("pay", effect=Effect.IRREVERSIBLE, amount={"type": "integer"}, idempotency_key_=TEXT),
        spec("text.join", effect=Effect.PURE, parts={"type": "array", "items": TEXT, "minItems": 1}),
    ]
)
