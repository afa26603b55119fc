"""What the pages of executions show: lists by the names of workflows, and steps without what went in and came out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Workflow, WorkflowVersion
from db.executions import ExecutionStep, WorkflowExecution
from db.identity import User
from db.rows import Before, many, newest_first, one
from db.tasks import Task
from domain.executions import TaskStatus

#: Executions of workflows that people made; all others belong to processes of the product.
WORKFLOW: Final = "workflow"

_LISTED: Final = (
    "id",
    "workflow_id",
    "kind",
    "status",
    "progress",
    "trigger_event",
    "waiting_on",
    "error_message",
    "stalled_since",
    "cancel_requested_at",
    "created_at",
    "started_at",
    "completed_at",
)
_WITHOUT_VALUES: Final = (
    "occurrence",
    "pointer",
    "name",
    "kind",
    "action",
    "visit",
    "position",
    "attempt",
    "status",
    "started_at",
    "completed_at",
    "is_taken_over",
)


@dataclass(frozen=True, slots=True)
class RunFilters:
    """`kind` None: those of the product's own processes too. `created_from` is included, `created_to` is not."""

    workflow_id: UUID | None = None
    statuses: Sequence[str] = ()
    trigger: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    parent_id: UUID | None = None
    kind: str | None = WORKFLOW


class Runs:
    """Executions of the transaction's organization, for reading."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def page(
        self, filters: RunFilters, *, before: Before | None = None, limit: int
    ) -> Sequence[RowMapping]:
        """Newest first, each with `workflow` and `version`: the name of its workflow and the number it runs."""
        table = WorkflowExecution
        statement = newest_first(_listed(), table.created_at, table.id, before).limit(limit)
        wanted = {
            table.workflow_id: filters.workflow_id,
            table.parent_id: filters.parent_id,
            table.kind: filters.kind,
        }
        for column, value in wanted.items():
            if value is not None:
                statement = statement.where(column == value)
        if filters.statuses:
            statement = statement.where(table.status.in_(filters.statuses))
        if filters.trigger is not None:
            statement = statement.where(table.trigger_event.startswith(filters.trigger, autoescape=True))
        if filters.created_from is not None:
            statement = statement.where(table.created_at >= filters.created_from)
        if filters.created_to is not None:
            statement = statement.where(table.created_at < filters.created_to)
        return await many(self._tx, statement)

    async def named(self, execution_id: UUID) -> RowMapping:
        """One line as in the list; raises NotFound."""
        return one(await self._tx.execute(_listed().where(WorkflowExecution.id == execution_id)))

    async def among(self, ids: Collection[UUID]) -> dict[UUID, RowMapping]:
        """Those of these executions that there are, by their ids."""
        rows = await many(self._tx, _listed().where(WorkflowExecution.id.in_(ids)))
        return {row["id"]: row for row in rows}

    async def workflows(self, limit: int) -> Sequence[RowMapping]:
        """`id` and `name` of what people made and published, by name: what a list can be narrowed to."""
        statement = (
            select(Workflow.id, Workflow.name)
            .where(Workflow.process.is_(None), Workflow.published_version_id.is_not(None))
            .order_by(func.lower(Workflow.name), Workflow.id)
        )
        return await many(self._tx, statement.limit(limit))

    async def steps(self, execution_id: UUID, limit: int) -> tuple[Sequence[RowMapping], int]:
        """The steps entered last, in the order in which they began, and how many came before them."""
        mine = ExecutionStep.execution_id == execution_id
        columns = [ExecutionStep.__table__.c[name] for name in _WITHOUT_VALUES]
        statement = select(*columns).where(mine).order_by(ExecutionStep.position.desc()).limit(limit)
        rows = await many(self._tx, statement)
        earlier = 0
        if len(rows) == limit:
            earlier = (await self._tx.scalar(select(func.count()).where(mine)) or 0) - limit
        return rows[::-1], earlier

    async def step(self, execution_id: UUID, occurrence: str) -> RowMapping:
        """One entry into a step with all its values; raises NotFound."""
        table = ExecutionStep
        statement = select(*table.__table__.columns).where(
            table.execution_id == execution_id, table.occurrence == occurrence
        )
        return one(await self._tx.execute(statement))

    async def visits(self, execution_id: UUID, pointer: str, around: int) -> Sequence[RowMapping]:
        """The entries into the same step next to this one: `visit`, `occurrence`."""
        table = ExecutionStep
        statement = (
            select(table.visit, table.occurrence)
            .where(
                table.execution_id == execution_id,
                table.pointer == pointer,
                table.visit.between(around - 1, around + 1),
            )
            .order_by(table.visit)
        )
        return await many(self._tx, statement)

    async def latest_at(self, execution_id: UUID, pointer: str) -> str | None:
        """The latest entry into the step at a pointer, such as the one an error names."""
        table = ExecutionStep
        statement = (
            select(table.occurrence)
            .where(table.execution_id == execution_id, table.pointer == pointer)
            .order_by(table.position.desc())
            .limit(1)
        )
        found: str | None = await self._tx.scalar(statement)
        return found

    async def task_of(self, execution_id: UUID, occurrence: str) -> RowMapping | None:
        """The task that this entry into a step opened: `id`, `title`, `status`, `outcome`, `due_at`."""
        statement = select(Task.id, Task.title, Task.status, Task.outcome, Task.due_at).where(
            Task.execution_id == execution_id, Task.occurrence == occurrence
        )
        return (await self._tx.execute(statement)).mappings().one_or_none()

    async def open_tasks(self, execution_id: UUID, limit: int) -> Sequence[RowMapping]:
        """What people have yet to decide in it, the oldest first: `id`, `title`."""
        statement = (
            select(Task.id, Task.title)
            .where(Task.execution_id == execution_id, Task.status == TaskStatus.OPEN)
            .order_by(Task.created_at, Task.id)
        )
        return await many(self._tx, statement.limit(limit))

    async def child_of(self, execution_id: UUID, occurrence: str) -> RowMapping | None:
        """The execution that this entry into a step started."""
        table = WorkflowExecution
        statement = _listed().where(table.parent_id == execution_id, table.parent_occurrence == occurrence)
        return (await self._tx.execute(statement.limit(1))).mappings().one_or_none()

    async def reruns_of(self, execution_id: UUID, limit: int) -> Sequence[RowMapping]:
        """Executions that repeat this one, newest first, as in the list."""
        table = WorkflowExecution
        statement = _listed().where(table.rerun_of_id == execution_id).order_by(table.created_at.desc())
        return await many(self._tx, statement.limit(limit))

    async def starter(self, user_id: UUID) -> str:
        """Who started it, as other members of the organization know them."""
        statement = select(User.first_name, User.last_name, User.email).where(User.id == user_id)
        row = (await self._tx.execute(statement)).one_or_none()
        if row is None:
            return "somebody who has left"
        return " ".join(filter(None, (row.first_name, row.last_name))) or row.email


def _listed() -> Select[tuple[object, ...]]:
    table = WorkflowExecution
    return (
        select(
            *(table.__table__.c[name] for name in _LISTED),
            Workflow.name.label("workflow"),
            WorkflowVersion.number.label("version"),
        )
        # Whoever may read an execution sees its steps; the name of its workflow tells them no more. A workflow that
        # only others see has none here.
        .outerjoin_from(
            table,
            Workflow,
            and_(Workflow.organization_id == table.organization_id, Workflow.id == table.workflow_id),
        )
        .outerjoin(
            WorkflowVersion,
            and_(
                WorkflowVersion.organization_id == table.organization_id,
                WorkflowVersion.id == table.workflow_version_id,
            ),
        )
    )
