"""The inbox as pages show it: tasks with the workflows they belong to, and who may be asked about them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, Text, and_, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from db.clients import Client
from db.definitions import Workflow
from db.executions import WorkflowExecution
from db.identity import User
from db.rows import Before, many, newest_first, one
from db.taskhistory import TaskEvent
from db.tasks import TASK, Task, is_free_for
from db.tenants import Membership
from domain.executions import TaskStatus
from domain.tasks import Decider
from domain.tasks.candidates import CandidateKind
from domain.tasks.history import WORDS
from domain.tenants import MembershipStatus


class Inbox:
    """Tasks of the transaction's organization, each with `workflow`, `workflow_id` and `execution_status`."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def one(self, id: UUID) -> RowMapping:
        """Raises NotFound."""
        return one(await self._tx.execute(_listed().where(Task.id == id)))

    async def waiting_for(self, decider: Decider, limit: int) -> Sequence[RowMapping]:
        """Open tasks this person could decide now: the most urgent first, then the oldest."""
        statement = (
            _listed()
            .where(*_could_decide(decider))
            .order_by(Task.due_at.asc().nulls_last(), Task.created_at, Task.id)
        )
        return await many(self._tx, statement.limit(limit))

    async def count(self, decider: Decider, limit: int) -> int:
        """How many wait for this person; counting ends at the limit."""
        some = select(Task.id).where(*_could_decide(decider)).limit(limit).subquery()
        return await self._tx.scalar(select(func.count()).select_from(some)) or 0

    async def page(self, *, is_open: bool, before: Before | None = None, limit: int) -> Sequence[RowMapping]:
        """Everybody's, newest first."""
        state = Task.status == TaskStatus.OPEN if is_open else Task.status != TaskStatus.OPEN
        return await many(
            self._tx, newest_first(_listed(), Task.created_at, Task.id, before).where(state).limit(limit)
        )

    async def answered(self, user_id: UUID, ids: Collection[UUID]) -> frozenset[UUID]:
        """Those among the tasks about which this person has said their word."""
        if not ids:
            return frozenset()
        statement = select(TaskEvent.task_id).where(
            TaskEvent.task_id.in_(ids), TaskEvent.user_id == user_id, TaskEvent.kind.in_(WORDS)
        )
        return frozenset(await self._tx.scalars(statement))

    async def candidates(self, names: Iterable[str]) -> Mapping[str, str]:
        """How to call each candidate: a member by name, a client by name, a role by what it is."""
        split = {name: name.partition(":")[::2] for name in names}
        addresses = {rest for kind, rest in split.values() if kind == CandidateKind.USER}
        clients = {UUID(rest) for kind, rest in split.values() if kind == CandidateKind.CLIENT}
        called: dict[str, str] = {}
        if addresses:
            found = select(func.lower(User.email), _NAME).where(func.lower(User.email).in_(addresses))
            called |= {f"{CandidateKind.USER}:{email}": name for email, name in await self._tx.execute(found)}
        if clients:
            known = select(Client.id, Client.name).where(Client.id.in_(clients))
            called |= {f"{CandidateKind.CLIENT}:{id}": name for id, name in await self._tx.execute(known)}
        called |= {
            name: f"everybody with the role {rest}"
            for name, (kind, rest) in split.items()
            if kind == CandidateKind.ROLE
        }
        return {name: called.get(name, rest) for name, (_, rest) in split.items()}

    async def colleagues(self, limit: int) -> Sequence[RowMapping]:
        """Active members by name: `name` and `email`."""
        statement = (
            select(_NAME.label("name"), User.email)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.status == MembershipStatus.ACTIVE)
            .order_by(_NAME, User.email)
        )
        return await many(self._tx, statement.limit(limit))


_NAME = func.coalesce(func.nullif(func.concat_ws(" ", User.first_name, User.last_name), ""), User.email)


def _could_decide(decider: Decider) -> tuple[ColumnElement[bool], ...]:
    """Asked of them, not claimed by another, not answered by them before, and not kept from them by four eyes.

    `Deciding.decide` judges anew when they do; this says what to show them.
    """
    names = cast(list(decider.names), ARRAY(Text()))
    answered = exists().where(
        TaskEvent.task_id == Task.id, TaskEvent.user_id == decider.user_id, TaskEvent.kind.in_(WORDS)
    )
    barred = func.app.barred_from_task(Task.id).table_valued("user_id", "client_id", "step", name="barred")
    is_barred = exists().where(barred.c.user_id == decider.user_id)
    return (
        Task.status == TaskStatus.OPEN,
        or_(Task.assignees == [], Task.assignees.overlap(names)),
        is_free_for(decider),
        or_(Task.quorum == 1, ~answered),
        or_(and_(~Task.four_eyes, Task.four_eyes_steps == []), ~is_barred),
    )


def _listed() -> Select[tuple[Task]]:
    columns = (
        *TASK,
        Workflow.id.label("workflow_id"),
        Workflow.name.label("workflow"),
        WorkflowExecution.status.label("execution_status"),
    )
    return (
        select(*columns)
        .outerjoin_from(
            Task,
            WorkflowExecution,
            and_(
                WorkflowExecution.organization_id == Task.organization_id,
                WorkflowExecution.id == Task.execution_id,
            ),
        )
        .outerjoin(
            Workflow,
            and_(
                Workflow.organization_id == WorkflowExecution.organization_id,
                Workflow.id == WorkflowExecution.workflow_id,
            ),
        )
    )
