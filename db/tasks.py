"""Tasks: work an execution has for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    and_,
    cast,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonValue,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    one_of,
    tenant_key,
    within,
)
from db.executions import WorkflowExecution
from db.outbox import Outbox, OutboxEntry, OutboxRow
from db.rows import Before, many, newest_first, one
from domain.executions import OutboxKind, TaskOutcome, TaskStatus
from domain.ids import derived_id
from domain.tasks import Decider, Decision, require_assigned, require_form, require_repeat


class Task(Tenant, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "execution_id", "occurrence"),
        Index(None, "organization_id", "status", "created_at", "id"),
        one_of("status", TaskStatus),
        one_of("outcome", TaskOutcome),
        CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name="outcome_when_decided"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID | None]
    occurrence: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    #: JSON Schema of what the person fills in.
    form: Mapped[JsonValue]
    #: "user:<email>" or "role:<name>"; empty means anybody with the permission.
    assignees: Mapped[Words]
    status: Mapped[str] = mapped_column(server_default=TaskStatus.OPEN)
    outcome: Mapped[str | None]
    decision: Mapped[JsonValue]
    decided_by: Mapped[UserRef | None]
    decided_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as the engine registers it; `id` comes from the occurrence, so registering twice is harmless."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    occurrence: str
    kind: str
    title: str
    description: str | None = None
    form: Mapping[str, Any] | None = None
    assignees: Sequence[str] = ()
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """`decider` narrows to what this person may decide: assigned to them, to their role, or to nobody."""

    status: TaskStatus | None = None
    execution_id: UUID | None = None
    decider: Decider | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The task as it stands; `entry` is to be dispatched after the commit (None: it was decided before)."""

    task: RowMapping
    entry: OutboxEntry | None


class Tasks:
    """The inbox of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def register(self, new: NewTask) -> bool:
        """Open a task, again if it had been cancelled (by an end that a reset undid); False when it stands already."""
        values = {field.name: getattr(new, field.name) for field in fields(new)}
        statement = insert(Task).values({**values, "assignees": [name.lower() for name in new.assignees]})
        result = await self._tx.execute(
            statement.on_conflict_do_update(
                index_elements=[Task.id],
                set_={"status": TaskStatus.OPEN},
                where=Task.status == TaskStatus.CANCELLED,
            )
        )
        return result.rowcount == 1

    async def shown(self, execution_id: UUID, occurrence: str) -> dict[str, Any]:
        """What an execution's row says of the task it waits for."""
        statement = select(Task).where(Task.execution_id == execution_id, Task.occurrence == occurrence)
        task = one(await self._tx.execute(statement))
        return {"task_id": str(task["id"]), "title": task["title"], "assignees": task["assignees"]}

    async def tell_again(self, execution_id: UUID, occurrences: Sequence[str], run_id: str) -> None:
        """Tell a run that a reset began what was decided in an earlier one; people are not asked twice.

        Telling it twice changes nothing.
        """
        decided = (
            Task.execution_id == execution_id,
            Task.occurrence.in_(occurrences),
            Task.status == TaskStatus.DECIDED,
        )
        for task in (await self._tx.execute(_with_execution.where(*decided))).mappings():
            told = _decision(task, task["temporal_workflow_id"], f"{task['id']}/decision/{run_id}")
            known = select(OutboxRow.id).where(OutboxRow.id == told.id)
            if await self._tx.scalar(known) is None:
                await Outbox(self._tx).add(told)

    async def get(self, id: UUID) -> RowMapping:
        """All columns; raises NotFound."""
        return one(await self._tx.execute(select(Task).where(Task.id == id)))

    async def page(self, filters: TaskFilters, *, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first, after the row `before`."""
        statement = newest_first(select(Task), Task.created_at, Task.id, before).limit(limit)
        if filters.status is not None:
            statement = statement.where(Task.status == filters.status)
        if filters.execution_id is not None:
            statement = statement.where(Task.execution_id == filters.execution_id)
        if filters.decider is not None:
            names = cast(list(filters.decider.names), ARRAY(Text()))
            statement = statement.where(or_(Task.assignees == [], Task.assignees.overlap(names)))
        return await many(self._tx, statement)

    async def decide(self, id: UUID, decision: Decision, decider: Decider, *, at: datetime) -> Decided:
        """Close the task with the first decision that arrives, and queue the word to its execution.

        The same decision by the same person again changes nothing and answers the same. Raises NotFound,
        Forbidden (assigned to others), Invalid (`data` does not fit the form), TaskClosed (decided otherwise
        or cancelled).
        """
        task = one(await self._tx.execute(_with_execution.where(Task.id == id)))
        require_assigned(task["assignees"], decider)
        if task["status"] == TaskStatus.OPEN:
            require_form(task["form"], decision)
            taken = await self._close(id, decision, decider, at)
            if taken is not None:
                return Decided(taken, await self._tell(taken, task["temporal_workflow_id"]))
            task = await self.get(id)
        require_repeat(decision, decider, task["status"], task["decision"])
        return Decided(task, None)

    async def _close(self, id: UUID, decision: Decision, decider: Decider, at: datetime) -> RowMapping | None:
        """None when somebody else closed it first: the row's lock lets exactly one condition hold."""
        statement = (
            update(Task)
            .where(Task.id == id, Task.status == TaskStatus.OPEN)
            .values(
                status=TaskStatus.DECIDED,
                outcome=decision.outcome,
                decision=decision.as_json(decider, at),
                decided_by=decider.user_id,
                decided_at=at,
            )
            .returning(*Task.__table__.c)
        )
        return (await self._tx.execute(statement)).mappings().one_or_none()

    async def _tell(self, task: RowMapping, workflow_id: str | None) -> OutboxEntry | None:
        if workflow_id is None:  # a task of no execution: nobody waits
            return None
        entry = _decision(task, workflow_id, f"{task['id']}/decision")
        await Outbox(self._tx).add(entry)
        return entry


def _decision(task: RowMapping, workflow_id: str, key: str) -> OutboxEntry:
    return OutboxEntry(
        id=derived_id(key),
        organization_id=task["organization_id"],
        execution_id=task["execution_id"],
        kind=OutboxKind.SIGNAL,
        workflow_id=workflow_id,
        payload={
            "signal": "decide",
            "arguments": {
                "task_id": str(task["id"]),
                "occurrence": task["occurrence"],
                "decision": task["decision"],
            },
        },
    )


_with_execution = select(*Task.__table__.c, WorkflowExecution.temporal_workflow_id).outerjoin_from(
    Task,
    WorkflowExecution,
    and_(
        WorkflowExecution.organization_id == Task.organization_id, WorkflowExecution.id == Task.execution_id
    ),
)
