"""Erasures: the tombstones that are kept, which rows belong to whom, and the few functions that may remove them.

Rows of a subject go through functions that belong to `app_owner` (migration 0021): each acts only while an erasure
of that very subject is under way, and its policy shows it no row of anybody else. Which rows those are is read from
the metadata: every foreign key to organizations or users that cascades says that its row belongs to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    RowMapping,
    Table,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, Tenant, UpdatedAt, UserRef, one_of, tenant_key, within
from db.rows import one, refusing
from db.session import NO_MEMBERSHIP
from db.tenants import PLATFORM, SHIPPED_ROLES
from domain.erasure import ErasureStatus, Subject
from domain.errors import Conflict, Forbidden
from domain.permissions import RoleName

#: Rows that one transaction removes.
BATCH: Final = 1_000


class Erasure(Tenant, Base):
    """Kept for good, in the platform's own organization: who was erased, when and how much; nothing personal."""

    __tablename__ = "erasures"
    __table_args__ = (
        tenant_key(),
        within("execution_id", "workflow_executions", ondelete="SET NULL (execution_id)"),
        within("part_of", "erasures"),
        Index(None, "organization_id", "execution_id"),
        Index(None, "organization_id", "part_of"),
        Index(None, "organization_id", "subject_id"),
        Index(
            "uq_erasures_open",
            "organization_id",
            "subject_id",
            unique=True,
            postgresql_where=text("status IN ('scheduled', 'erasing')"),
        ),
        one_of("subject", Subject),
        one_of("status", ErasureStatus),
        CheckConstraint("subject_id <> organization_id", name="not_the_platform"),
    )

    id: Mapped[Id]
    subject: Mapped[str]
    #: What is erased has no row any more that this could refer to.
    subject_id: Mapped[UUID]
    requested_by: Mapped[UserRef]
    status: Mapped[str] = mapped_column(server_default=ErasureStatus.SCHEDULED)
    scheduled_for: Mapped[datetime]
    execution_id: Mapped[UUID | None]
    #: The erasure of a person, when their own organization goes with them.
    part_of: Mapped[UUID | None]
    #: What is being done at this moment, for whoever asks how far it is.
    phase: Mapped[str | None]
    #: How many rows of which table, objects and keys are gone.
    erased: Mapped[JsonObject]
    begun_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class BeingErased(Conflict):
    """An erasure of this is planned or under way already."""

    code = "erasure_exists"


class NotPlanned(Conflict):
    """No erasure is planned that could be called off: it has begun, was called off before, or never asked for."""

    code = "erasure_not_planned"


@dataclass(frozen=True, slots=True)
class Belonging:
    """The rows of `table` whose `column` names the subject."""

    table: str
    column: str


def _every_table() -> Sequence[Table]:
    """A process imports only the models it uses; what it does not know of would survive."""
    from db.tables import metadata  # noqa: PLC0415  it imports this module

    return metadata.sorted_tables


def belongings(subject: Subject) -> list[Belonging]:
    """Everything that goes with a subject, what refers to others first; without the subject's own row."""
    parent = "organizations" if subject is Subject.ORGANIZATION else "users"
    return [
        Belonging(table.name, next(iter(key.column_keys)))
        for table in reversed(_every_table())
        for key in sorted(table.foreign_key_constraints, key=lambda each: str(each.name))
        if key.referred_table.name == parent and key.ondelete == "CASCADE"
    ]


def loose_ends() -> list[Belonging]:
    """References that run in circles or within their own table: emptied first, so that any order will do."""
    return [
        Belonging(table.name, _emptied(key))
        for table in _every_table()
        for key in sorted(table.foreign_key_constraints, key=lambda each: str(each.name))
        if "organization_id" in key.column_keys
        and len(key.column_keys) > 1
        and key.ondelete is None
        and (key.use_alter or key.referred_table is table)
    ]


def _emptied(key: ForeignKeyConstraint) -> str:
    """One empty column is enough for a reference to say nothing. StopIteration for one that can never be empty."""
    columns = (
        column
        for column in reversed(list(key.columns))
        if column.name != "organization_id" and column.nullable and column.computed is None
    )
    return str(next(columns).name)


class Erasures:
    """Erasures as the platform's own organization keeps them: `Access(Role.WORKER, PLATFORM)`."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def plan(self, values: dict[str, Any]) -> RowMapping:
        """Raises BeingErased when the subject has an erasure that is open."""
        statement = insert(Erasure).values(organization_id=PLATFORM, **values).returning(*Erasure.__table__.c)
        with refusing({"uq_erasures_open": BeingErased}):
            return one(await self._tx.execute(statement))

    async def run_by(self, id: UUID, execution_id: UUID) -> None:
        await self._tx.execute(update(Erasure).where(Erasure.id == id).values(execution_id=execution_id))

    async def get(self, id: UUID) -> RowMapping:
        """Raises NotFound."""
        return one(await self._tx.execute(select(*Erasure.__table__.c).where(Erasure.id == id)))

    async def latest(self, subject_id: UUID) -> RowMapping:
        """The newest erasure of a subject. Raises NotFound."""
        statement = select(*Erasure.__table__.c).where(Erasure.subject_id == subject_id)
        return one(await self._tx.execute(statement.order_by(Erasure.created_at.desc()).limit(1)))

    async def requested_by(self, user_id: UUID, id: UUID) -> RowMapping:
        """The erasure that this person asked for. Raises NotFound."""
        wanted = (Erasure.requested_by == user_id, Erasure.id == id)
        return one(await self._tx.execute(select(*Erasure.__table__.c).where(*wanted)))

    async def take_along(self, id: UUID, organization_id: UUID, by: UUID, now: datetime) -> None:
        """An organization goes with its only member; one whose own erasure is planned goes now."""
        existing = (
            update(Erasure)
            .where(Erasure.subject_id == organization_id, Erasure.status == ErasureStatus.SCHEDULED)
            .values(status=ErasureStatus.CANCELLED, ended_at=now)
        )
        await self._tx.execute(existing)
        await self.plan(
            {
                "subject": Subject.ORGANIZATION,
                "subject_id": organization_id,
                "requested_by": by,
                "scheduled_for": now,
                "part_of": id,
            }
        )

    async def parts(self, id: UUID) -> Sequence[RowMapping]:
        """Erasures of the organizations that go with a person."""
        statement = select(*Erasure.__table__.c).where(Erasure.part_of == id).order_by(Erasure.id)
        return (await self._tx.execute(statement)).mappings().all()

    async def cancel(self, subject_id: UUID, now: datetime) -> RowMapping:
        """Raises NotPlanned once it has begun: whoever is first decides."""
        statement = (
            update(Erasure)
            .where(Erasure.subject_id == subject_id, Erasure.status == ErasureStatus.SCHEDULED)
            .values(status=ErasureStatus.CANCELLED, ended_at=now)
            .returning(*Erasure.__table__.c)
        )
        row = (await self._tx.execute(statement)).mappings().one_or_none()
        if row is None:
            raise NotPlanned
        return row

    async def begin(self, id: UUID, now: datetime) -> RowMapping:
        """From here there is no way back. Answers the row, whose status says whether it was called off."""
        due = (Erasure.status == ErasureStatus.SCHEDULED, Erasure.scheduled_for <= now)
        changes = {"status": ErasureStatus.ERASING, "begun_at": now, "phase": "begun"}
        await self._tx.execute(update(Erasure).where(Erasure.id == id, *due).values(changes))
        return await self.get(id)

    async def phase(self, id: UUID, phase: str) -> None:
        await self._tx.execute(update(Erasure).where(Erasure.id == id).values(phase=phase))

    async def count(self, id: UUID, what: str, gone: int) -> None:
        """Add to what is gone of one kind."""
        before = func.coalesce(Erasure.erased[what].as_integer(), 0)
        counted = func.jsonb_build_object(what, before + gone, type_=JSONB())
        await self._tx.execute(
            update(Erasure)
            .where(Erasure.id == id)
            .values(erased=Erasure.erased.op("||", return_type=JSONB())(counted))
        )

    async def end(self, id: UUID, now: datetime) -> None:
        """The tombstone."""
        changes = {"status": ErasureStatus.ERASED, "ended_at": now, "phase": None}
        still = Erasure.status == ErasureStatus.ERASING
        await self._tx.execute(update(Erasure).where(Erasure.id == id, still).values(changes))


class Departures:
    """Before anything is erased: `Access(Role.API)`, in no organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def leave_for_good(self, user_id: UUID, now: datetime) -> Sequence[RowMapping]:
        """Organizations that only this person owns, with how many others are in each.

        When there are no others anywhere, nobody can sign in as this person from this moment. Raises Forbidden for
        somebody who is leaving already.
        """
        statement = text("SELECT * FROM app.leave_for_good(:member, :moment)")
        try:
            rows = await self._tx.execute(statement, {"member": user_id, "moment": now})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == NO_MEMBERSHIP:
                raise Forbidden("This account is being deleted.") from error
            raise
        return rows.mappings().all()


async def owners_of(tx: AsyncConnection) -> Sequence[str]:
    """Mail addresses of the owners of the entered organization."""
    return (await tx.scalars(_OWNERS, {"owner": SHIPPED_ROLES[RoleName.OWNER]})).all()


class Removal:
    """What may remove rows of a subject that is being erased: `Access(Role.SYSTEM)`, through functions alone.

    Each raises DBAPIError for a subject that no erasure is removing.
    """

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def stop(self, organization_id: UUID) -> None:
        """Nobody enters the organization any more, and no hook of it answers."""
        await self._tx.execute(text("SELECT app.stop_organization(:subject)"), {"subject": organization_id})

    async def loosen(self, subject_id: UUID, reference: Belonging) -> int:
        """Empty one batch of references; how many there were."""
        return await self._number(
            "app.loosen_rows(:subject, :table, :column, :batch)", subject_id, reference, batch=BATCH
        )

    async def remove(self, subject_id: UUID, belonging: Belonging) -> int:
        """Remove one batch of rows; how many there were."""
        return await self._number(
            "app.erase_rows(:subject, :table, :column, :batch)", subject_id, belonging, batch=BATCH
        )

    async def remaining(self, subject_id: UUID, belonging: Belonging) -> int:
        return await self._number("app.remaining_rows(:subject, :table, :column)", subject_id, belonging)

    async def anonymise(self, user_id: UUID) -> None:
        """The row stays, because what the person wrote refers to it; nothing in it says who that was."""
        await self._tx.execute(text("SELECT app.anonymise_user(:subject)"), {"subject": user_id})

    async def told(self, row: RowMapping) -> tuple[str, str] | None:
        """Where whoever asked for an erasure is told of it, and what it is about in words; None when they are gone."""
        found = (
            await self._tx.execute(_TOLD, {"by": row["requested_by"], "subject": row["subject_id"]})
        ).first()
        if found is None:
            return None
        of_person = row["subject"] == Subject.USER or found.name is None
        return found.email, "your account" if of_person else f"the organization {found.name}"

    async def _number(self, call: str, subject_id: UUID, belonging: Belonging, **given: Any) -> int:
        values = {"subject": subject_id, "table": belonging.table, "column": belonging.column, **given}
        return int(await self._tx.scalar(text(f"SELECT {call}"), values) or 0)


_OWNERS = text(
    """
    SELECT u.email FROM users u JOIN user_organizations m ON m.user_id = u.id
    WHERE m.organization_id = (SELECT app.org()) AND m.role_id = :owner AND m.status = 'active' ORDER BY u.email
    """
)
_TOLD = text(
    """
    SELECT u.email, o.name FROM users u LEFT JOIN organizations o ON o.id = :subject
    WHERE u.id = :by AND u.email NOT LIKE '%@erased.invalid'
    """
)
#: Starts that nobody is carrying at this moment are taken back together with their executions.
_WITHDRAW = text(
    """
    WITH unsent AS (
        SELECT id, execution_id FROM outbox
        WHERE kind = 'start' AND dispatched_at IS NULL AND leased_until < now()
        FOR UPDATE SKIP LOCKED
    ), withdrawn AS (
        UPDATE outbox SET dispatched_at = now(), last_error = 'the organization is being erased'
        WHERE id IN (SELECT id FROM unsent)
    )
    UPDATE workflow_executions
    SET status = 'cancelled', completed_at = now(), error_message = 'The organization is being erased'
    WHERE status = 'queued' AND id IN (SELECT execution_id FROM unsent)
    """
)
_STILL_OPEN = text(
    "SELECT id, temporal_workflow_id FROM workflow_executions "
    "WHERE status IN ('queued', 'running', 'waiting', 'paused') ORDER BY id LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class StillOpen:
    execution_id: UUID
    workflow_id: str


class Intake:
    """The executions of the organization that is being erased: `Access(Role.WORKER, organization)`."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def withdraw(self) -> None:
        await self._tx.execute(_WITHDRAW)

    async def still_open(self, limit: int) -> list[StillOpen]:
        rows = await self._tx.execute(_STILL_OPEN, {"limit": limit})
        return [StillOpen(row.id, row.temporal_workflow_id) for row in rows]
