"""Tasks: work an execution has for a person. Their table, and reading it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ColumnElement,
    DateTime,
    Index,
    RowMapping,
    Text,
    UniqueConstraint,
    and_,
    case,
    cast,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonValue,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    one_of,
    tenant_key,
    within,
)
from db.executions import WorkflowExecution
from db.rows import Before, many, newest_first, one
from domain.executions import TaskOutcome, TaskStatus
from domain.tasks import Decider, OnOverdue

Moments = Annotated[
    list[datetime], mapped_column(ARRAY(DateTime(timezone=True)), server_default=text("'{}'"))
]


class Task(Tenant, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="CASCADE"),
        within("decided_by_client", "clients", ondelete="SET NULL (decided_by_client)"),
        UniqueConstraint("organization_id", "execution_id", "occurrence"),
        Index(None, "organization_id", "status", "created_at", "id"),
        Index(None, "organization_id", "created_at", "id"),
        Index(None, "organization_id", "decided_by_client"),
        Index(
            "ix_tasks_next_due",
            "next_due",
            postgresql_where=text("status = 'open' AND next_due IS NOT NULL"),
        ),
        one_of("status", TaskStatus),
        one_of("outcome", TaskOutcome),
        one_of("on_overdue", OnOverdue),
        CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name="outcome_when_decided"),
        CheckConstraint("quorum BETWEEN 1 AND 20", name="quorum"),
        CheckConstraint("(claimed_by IS NULL) = (claimed_at IS NULL)", name="claimed"),
        CheckConstraint("status <> 'expired' OR decision IS NOT NULL", name="expired_says_why"),
    )

    id: Mapped[Id]
    execution_id: Mapped[UUID | None]
    occurrence: Mapped[str]
    #: The name of the step that waits.
    step: Mapped[str | None]
    #: `approval` (approved or rejected) or `form` (submitted).
    kind: Mapped[str]
    title: Mapped[str]
    description: Mapped[str | None]
    #: JSON Schema of what the person fills in.
    form: Mapped[JsonValue]
    #: What is decided about, as shown; a decision names its digest (SHA-256 of its canonical form).
    arguments: Mapped[JsonValue]
    arguments_digest: Mapped[str | None]
    #: Candidates: "user:<email>", "role:<name>", "client:<id>"; empty means anybody with the permission.
    assignees: Mapped[Words]
    #: Whoever started the execution may not decide.
    four_eyes: Mapped[No]
    #: Whoever decided one of these steps may not decide.
    four_eyes_steps: Mapped[Words]
    #: How many different people have to approve.
    quorum: Mapped[int] = mapped_column(server_default="1")
    #: Members, too, are mailed a link by which they decide without signing in.
    links: Mapped[No]
    #: Who took the task upon themselves: nobody else decides it meanwhile.
    claimed_by: Mapped[UserRef | None]
    claimed_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default=TaskStatus.OPEN)
    outcome: Mapped[str | None]
    decision: Mapped[JsonValue]
    decided_by: Mapped[UserRef | None]
    decided_by_client: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    #: What becomes of it at `due_at`: fail, reject or keep (open).
    on_overdue: Mapped[str] = mapped_column(server_default=OnOverdue.KEEP)
    #: Reminders that are still to be sent.
    remind_at: Mapped[Moments]
    #: When `escalate_to` are asked as well; `escalated_at` says that they were.
    escalate_at: Mapped[datetime | None]
    escalate_to: Mapped[Words]
    escalated_at: Mapped[datetime | None]
    #: When it was noted that `due_at` had passed.
    overdue_at: Mapped[datetime | None]
    #: When candidates were told by mail that it is there.
    announced_at: Mapped[datetime | None]
    #: The earliest moment at which something is to be done about it while it is open.
    next_due: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


#: A claim counts while its holder is an active member who may decide tasks: no open task waits for somebody who left.
_COUNTS: Final = or_(
    Task.status != TaskStatus.OPEN,
    and_(
        Task.claimed_by.is_not(None),
        func.app.decides_tasks(Task.organization_id, Task.claimed_by, type_=Boolean()),
    ),
)
#: The columns of a task as everybody is to see them: with the claim only where it counts.
TASK: Final = tuple(
    case((_COUNTS, each)).label(each.name) if each.name in ("claimed_by", "claimed_at") else each
    for each in Task.__table__.c
)
#: A task and the workflow that waits for it; None of a task of no execution.
WITH_EXECUTION: Final = select(*TASK, WorkflowExecution.temporal_workflow_id).outerjoin_from(
    Task,
    WorkflowExecution,
    and_(
        WorkflowExecution.organization_id == Task.organization_id, WorkflowExecution.id == Task.execution_id
    ),
)


def is_free_for(decider: Decider) -> ColumnElement[bool]:
    """Whether nobody else has a claim on the task that counts."""
    held_by = case((_COUNTS, Task.claimed_by))
    return or_(held_by.is_(None), held_by == decider.user_id)


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """`decider` narrows to this person's: assigned to them, to their role, or to nobody, and claimed by nobody else."""

    status: TaskStatus | None = None
    execution_id: UUID | None = None
    decider: Decider | None = None


class Tasks:
    """The inbox of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, id: UUID) -> RowMapping:
        """All columns, the claim as it counts; raises NotFound."""
        return one(await self._tx.execute(select(*TASK).where(Task.id == id)))

    async def shown(self, execution_id: UUID, occurrence: str) -> dict[str, Any]:
        """What an execution's row says of the task it waits for."""
        statement = select(Task).where(Task.execution_id == execution_id, Task.occurrence == occurrence)
        task = one(await self._tx.execute(statement))
        shown = {"task_id": str(task["id"]), "title": task["title"], "assignees": task["assignees"]}
        return shown if task["due_at"] is None else {**shown, "due_at": task["due_at"].isoformat()}

    async def page(self, filters: TaskFilters, *, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first, after the row `before`."""
        statement = newest_first(select(*TASK), Task.created_at, Task.id, before).limit(limit)
        if filters.status is not None:
            statement = statement.where(Task.status == filters.status)
        if filters.execution_id is not None:
            statement = statement.where(Task.execution_id == filters.execution_id)
        if filters.decider is not None:
            names = cast(list(filters.decider.names), ARRAY(Text()))
            assigned = or_(Task.assignees == [], Task.assignees.overlap(names))
            free = or_(is_free_for(filters.decider), Task.status != TaskStatus.OPEN)
            statement = statement.where(assigned, free)
        return await many(self._tx, statement)

    async def locked(self, id: UUID) -> RowMapping:
        """The row with its execution's `temporal_workflow_id`, held until the transaction ends: whoever decides,
        claims or moves it takes turns. Raises NotFound.
        """
        return one(await self._tx.execute(WITH_EXECUTION.where(Task.id == id).with_for_update(of=Task)))
