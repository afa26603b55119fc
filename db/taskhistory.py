"""What happened to tasks, and the links by which people decide without signing in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Index,
    RowMapping,
    column,
    insert,
    select,
    table,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, JsonValue, Tenant, UserRef, one_of, tenant_key, within
from db.rows import Before, many, one
from domain.executions import TaskOutcome
from domain.tasks import Decider
from domain.tasks.history import WORDS, TaskEventKind

_WORDS = "kind IN ('voted', 'decided')"


class TaskEvent(Tenant, Base):
    """One line of a task's history, only ever appended to; whose word it is, if it is one."""

    __tablename__ = "task_events"
    __table_args__ = (
        tenant_key(),
        within("task_id", "tasks", ondelete="CASCADE"),
        within("client_id", "clients", ondelete="SET NULL (client_id)"),
        Index(None, "organization_id", "task_id", "created_at", "id"),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "user_id", postgresql_where=text("user_id IS NOT NULL")),
        Index(
            "uq_task_events_word",
            "organization_id",
            "task_id",
            "user_id",
            "arguments_digest",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text(f"user_id IS NOT NULL AND {_WORDS}"),
        ),
        Index(
            "uq_task_events_client_word",
            "organization_id",
            "task_id",
            "client_id",
            "arguments_digest",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text(f"client_id IS NOT NULL AND {_WORDS}"),
        ),
        one_of("kind", TaskEventKind),
        one_of("outcome", TaskOutcome),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    kind: Mapped[str]
    user_id: Mapped[UserRef | None]
    client_id: Mapped[UUID | None]
    outcome: Mapped[str | None]
    #: What a word is about: it counts for these arguments alone.
    arguments_digest: Mapped[str | None]
    comment: Mapped[str | None]
    #: What somebody filled in.
    data: Mapped[JsonValue]
    #: What else there is to say: `to` of a delegation or escalation, `mailed`, `unknown` candidates.
    about: Mapped[JsonObject]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"), sort_order=90)


class TaskLink(Tenant, Base):
    """A link that lets its holder, a member or a client, see and decide one task."""

    __tablename__ = "task_links"
    __table_args__ = (
        tenant_key(),
        within("task_id", "tasks", ondelete="CASCADE"),
        within("client_id", "clients", ondelete="CASCADE"),
        Index(None, "organization_id", "task_id"),
        Index(None, "organization_id", "client_id"),
        Index(
            "uq_task_links_user",
            "organization_id",
            "task_id",
            "user_id",
            unique=True,
            postgresql_where=text("user_id IS NOT NULL AND revoked_at IS NULL"),
        ),
        Index(
            "uq_task_links_client",
            "organization_id",
            "task_id",
            "client_id",
            unique=True,
            postgresql_where=text("client_id IS NOT NULL AND revoked_at IS NULL"),
        ),
        CheckConstraint("(user_id IS NULL) <> (client_id IS NULL)", name="one_holder"),
    )

    id: Mapped[Id]
    task_id: Mapped[UUID]
    user_id: Mapped[UserRef | None]
    client_id: Mapped[UUID | None]
    #: Of the address that a client's link was mailed to; it is good while that is whom the client is asked at.
    address_sha256: Mapped[str | None]
    #: Of `derive(…, Purpose.TASK, id)`; only app.find_task_link compares it.
    token_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class TaskEvents:
    """Histories of tasks of the entered organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def note(
        self,
        task: Mapping[Any, Any] | RowMapping,
        kind: TaskEventKind,
        *,
        by: Decider | None = None,
        comment: str | None = None,
        **about: Any,
    ) -> RowMapping:
        """Append a line; a word of somebody is refused here, app.decide_task alone writes those."""
        values = {
            "organization_id": task["organization_id"],
            "task_id": task["id"],
            "kind": kind,
            "user_id": None if by is None else by.user_id,
            "client_id": None if by is None else by.client_id,
            "comment": comment,
            "about": about,
        }
        statement = insert(TaskEvent).values(values).returning(*TaskEvent.__table__.c)
        return one(await self._tx.execute(statement))

    async def page(
        self,
        task_id: UUID,
        *,
        kind: TaskEventKind | None = None,
        after: Before | None = None,
        limit: int = 500,
    ) -> Sequence[RowMapping]:
        """Oldest first, after the line `after`."""
        statement = select(*TaskEvent.__table__.c).where(TaskEvent.task_id == task_id)
        if kind is not None:
            statement = statement.where(TaskEvent.kind == kind)
        if after is not None:
            statement = statement.where(tuple_(TaskEvent.created_at, TaskEvent.id) > after)
        return await many(self._tx, statement.order_by(TaskEvent.created_at, TaskEvent.id).limit(limit))

    async def words(self, task_id: UUID) -> Sequence[RowMapping]:
        """What people have said about a task as it stands, in the order in which they said it.

        What was said about other arguments, before its execution was reset, counts no more.
        """
        now = select(_TASKS.c.arguments_digest).where(_TASKS.c.id == task_id).scalar_subquery()
        statement = select(*TaskEvent.__table__.c).where(
            TaskEvent.task_id == task_id,
            TaskEvent.kind.in_(WORDS),
            TaskEvent.arguments_digest.is_not_distinct_from(now),
        )
        return await many(self._tx, statement.order_by(TaskEvent.created_at, TaskEvent.id))


class TaskLinks:
    """Links to tasks of the entered organization; their secrets never arrive here."""

    _SHOWN = (TaskLink.id, TaskLink.task_id, TaskLink.user_id, TaskLink.client_id, TaskLink.address_sha256,
              TaskLink.expires_at, TaskLink.used_at, TaskLink.revoked_at, TaskLink.created_at)  # fmt: skip

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def of(self, task_id: UUID) -> Sequence[RowMapping]:
        """Those that were not revoked."""
        statement = select(*self._SHOWN).where(TaskLink.task_id == task_id, TaskLink.revoked_at.is_(None))
        return await many(self._tx, statement)

    async def add(self, values: Mapping[str, Any]) -> None:
        """A worker alone."""
        await self._tx.execute(insert(TaskLink).values(**values))

    async def used(self, task_id: UUID, decider: Decider, at: datetime) -> None:
        """Somebody has decided: their link is used up, however they came."""
        holder = (
            TaskLink.client_id == decider.client_id
            if decider.user_id is None
            else TaskLink.user_id == decider.user_id
        )
        mine = (TaskLink.task_id == task_id, holder, TaskLink.used_at.is_(None))
        await self._tx.execute(update(TaskLink).where(*mine).values(used_at=at))

    async def find(self, token_sha256: str) -> RowMapping | None:
        """id, organization_id, task_id, user_id, client_id, address_sha256, expires_at, used_at, revoked_at; before
        entering."""
        found = await self._tx.execute(_FIND, {"sha256": token_sha256})
        return found.mappings().one_or_none()


#: By name: its model is made of this module.
_TASKS = table("tasks", column("id"), column("arguments_digest"))
_FIND = text("SELECT * FROM app.find_task_link(:sha256)")
