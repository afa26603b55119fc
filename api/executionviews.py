"""How executions and their steps are shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Versions
from domain.attempts import AttemptStatus, attempts_of
from domain.executions import ExecutionStatus, StepStatus


class ExecutionLinks(BaseModel):
    self: str
    steps: str
    log: str
    events: str
    cancel: str
    pause: str
    resume: str
    signal: str
    rerun: str
    workflow: str
    children: str
    reruns: str


def links(id: Any, workflow_id: Any) -> dict[str, str]:
    here = f"/v1/executions/{id}"
    return {
        "self": here,
        "steps": f"{here}/steps",
        "log": f"{here}/log",
        **{word: f"{here}/{word}" for word in ("events", "cancel", "pause", "resume", "signal", "rerun")},
        "workflow": f"/v1/workflows/{workflow_id}",
        "children": f"/v1/executions?parent_id={id}",
        "reruns": f"/v1/executions?rerun_of_id={id}",
    }


class ExecutionSummary(BaseModel):
    """What a list shows: where it stands, without what went in and came out."""

    model_config = ConfigDict(extra="ignore")

    id: UUID
    workflow_id: UUID
    version: int
    kind: str
    status: ExecutionStatus
    progress: int
    current_step: int
    waiting_on: Any
    trigger_event: str
    error_message: str | None
    stalled_since: datetime | None = Field(
        description="Since then the engine fails to carry it on; it goes on by itself once that is mended."
    )
    started_by: UUID | None
    parent_id: UUID | None = Field(description="The execution that started this one by `run: workflow`.")
    root_id: UUID | None = Field(description="The outermost of the executions that started each other.")
    depth: int = Field(description="How many executions it is inside of.")
    rerun_of_id: UUID | None = Field(
        description="The execution that this one repeats from one of its steps on."
    )
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    pause_requested: bool
    updated_at: datetime
    links: ExecutionLinks


class Rerun(BaseModel):
    """From which entry into which step on `rerun_of_id` is repeated; the steps before were answered from the log."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True)

    occurrence: str = Field(validation_alias="from")
    step: str
    answered: int


class ExecutionView(ExecutionSummary):
    """The whole mirror; `temporal_workflow_id` is how the engine's operators find it."""

    rerun: Rerun | None
    input: Any
    output: Any
    error: Any
    temporal_workflow_id: str


class AttemptView(BaseModel):
    """`lost`: the worker that made it was stopped or lost before it told how the attempt ended."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    status: AttemptStatus
    started_at: datetime | None
    completed_at: datetime | None
    retry_at: datetime | None = Field(description="The next attempt is to begin then.")
    error: Any


class StepView(BaseModel):
    model_config = ConfigDict(extra="ignore")

    occurrence: str
    pointer: str
    name: str
    kind: str
    action: str | None
    visit: int
    position: int
    attempt: int
    attempts: list[AttemptView] = Field(
        description="Once the engine tries the step again: its first attempt and the latest 19, the earliest first. "
        "Empty while the first attempt is the only one."
    )
    status: StepStatus
    is_taken_over: bool = Field(
        description="Taken by the execution that this one repeats; here only answered."
    )
    input: Any
    output: Any
    error: Any
    started_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "StepView":
        return cls.model_validate({**row, "attempts": attempts_of(row)})


Shown = TypeVar("Shown", bound=ExecutionSummary)


async def show_all(tx: AsyncConnection, rows: Sequence[RowMapping], view: type[Shown]) -> list[Shown]:
    """The rows as they are shown; the numbers of all their versions come with one statement."""
    numbers = await Versions(tx).numbers({row["workflow_version_id"] for row in rows}) if rows else {}
    return [show(row, numbers[row["workflow_version_id"]], view) for row in rows]


async def show_one(tx: AsyncConnection, row: RowMapping) -> ExecutionView:
    return (await show_all(tx, [row], ExecutionView))[0]


def show(row: Mapping[str, Any], version: int, view: type[Shown]) -> Shown:
    """One row, whose version's number is known."""
    return view.model_validate(
        {
            **row,
            "version": version,
            "input": row["trigger_data"].get("input"),
            "rerun": row["execution_context"].get("rerun"),
            "pause_requested": row["completed_at"] is None
            and bool((row["execution_context"].get("wish") or {}).get("paused")),
            "links": links(row["id"], row["workflow_id"]),
        }
    )
