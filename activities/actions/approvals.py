"""Asking people: the published form of `approve`; the engine registers the task and waits for the answer."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from domain.actions import Effect, Lane
from domain.definitions import durations
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.email import Mailbox
from domain.executions import TaskOutcome

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,63}")


def _assignee(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind == "user":
        Mailbox.parse(name)
    elif kind != "role" or not _ROLE.fullmatch(name):
        raise ValueError("an assignee is user:<e-mail address> or role:<name>")
    return text


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        compile_schema(schema)
    except SchemaRefused as refusal:
        raise ValueError(f"the form is not a usable JSON Schema: {refusal}") from None
    return schema


def _due(value: str | dict[str, Any]) -> str | dict[str, Any]:
    durations.parse(value, allow_zero=False)
    return value


class Approve(Arguments):
    """What the person sees; without assignees everybody who may decide tasks can decide."""

    title: Annotated[str, Field(min_length=1, max_length=300)]
    description: Annotated[str, Field(max_length=10_000)] | None = None
    assignees: Annotated[
        list[Annotated[str, Field(max_length=320), AfterValidator(_assignee)]], Field(max_length=50)
    ] = []
    form: (
        Annotated[
            dict[str, JsonValue],
            Field(
                description="JSON Schema of the data to fill in",
                json_schema_extra={"format": "json-schema"},
            ),
            AfterValidator(_form),
        ]
        | None
    ) = None
    due: (
        Annotated[
            str | dict[str, JsonValue], Field(json_schema_extra={"format": "duration"}), AfterValidator(_due)
        ]
        | None
    ) = None


class Decision(Result):
    outcome: Literal[TaskOutcome.APPROVED, TaskOutcome.REJECTED]
    approved: bool
    comment: str | None
    data: dict[str, JsonValue] | None
    decided_by: UUID
    decided_at: datetime


@action(
    "approve",
    version="1.0.0",
    title="Ask for approval",
    effect=Effect.IDEMPOTENT,
    lane=Lane.TASK,
    timeout=timedelta(days=365),
)
async def approve(context: ActionContext, arguments: Approve) -> Decision:
    """Put a task into people's inbox and wait until one of them approves or rejects it."""
    raise RuntimeError("a task waits for a person; the engine registers it instead of running it")
