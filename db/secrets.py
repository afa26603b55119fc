"""Tenants' secrets: every value sealed, written through the API, read by workers alone."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    CheckConstraint,
    CursorResult,
    RowMapping,
    Text,
    UniqueConstraint,
    cast,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, Sealed, Tenant, UpdatedAt, UserRef, tenant_key, within
from db.definitions import Workflow
from db.rows import many, one
from domain.definitions.lifecycle import DefinitionStatus
from domain.errors import NotFound
from domain.secrets import is_name

_UNKNOWN: Final = "There is no secret with this name in your organization."


class Secret(Tenant, Base):
    __tablename__ = "secrets"
    __table_args__ = (
        tenant_key(),
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("version > 0", name="version"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    #: The number of the version whose value is in use.
    version: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[UserRef]
    updated_by: Mapped[UserRef]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class SecretVersion(Tenant, Base):
    """A value, who set it and when; the next one takes its place, so that nothing replaced can leak."""

    __tablename__ = "secret_versions"
    __table_args__ = (
        tenant_key(),
        within("secret_id", "secrets", ondelete="CASCADE"),
        UniqueConstraint("organization_id", "secret_id", "number"),
        CheckConstraint("number > 0", name="number"),
    )

    id: Mapped[Id]
    secret_id: Mapped[UUID]
    number: Mapped[int]
    #: Sealed for `place("secret_versions", "value", id)`.
    value: Mapped[Sealed]
    created_by: Mapped[UserRef]
    created_at: Mapped[CreatedAt]


class Secrets:
    """The secrets of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def all(self) -> Sequence[RowMapping]:
        """Names, versions, when and by whom, in the order of names; never a value."""
        return await many(self._tx, select(Secret).order_by(Secret.name))

    async def count(self) -> int:
        return await self._tx.scalar(select(func.count()).select_from(Secret)) or 0

    async def names(self) -> frozenset[str]:
        return frozenset(await self._tx.scalars(select(Secret.name)))

    async def get(self, name: str) -> RowMapping:
        """Raises NotFound."""
        return _found(await self._tx.execute(select(Secret).where(Secret.name == _named(name))))

    async def readers(self, name: str, limit: int) -> Sequence[RowMapping]:
        """Workflows whose text reads it (id, name, status), by name; archived ones start nothing any more."""
        said = func.concat(cast(Workflow.definition, Text()), cast(Workflow.actions, Text()))
        reading = rf'(\$secrets(\.|\[\\")|"use": "){name}\M'  # as JSON is written by PostgreSQL
        statement = (
            select(Workflow.id, Workflow.name, Workflow.status)
            .where(said.regexp_match(reading), Workflow.status != DefinitionStatus.ARCHIVED)
            .order_by(Workflow.name, Workflow.id)
        )
        return await many(self._tx, statement.limit(limit))

    async def put(
        self, organization_id: UUID, name: str, version_id: UUID, sealed: bytes, by: UUID
    ) -> RowMapping:
        """Set the value, which was sealed for the version `version_id`; the one before it is destroyed."""
        statement = insert(Secret).values(
            id=uuid4(), organization_id=organization_id, name=name, created_by=by, updated_by=by
        )
        # The conflict locks the row: two writers make two versions, one after the other.
        row = one(
            await self._tx.execute(
                statement.on_conflict_do_update(
                    index_elements=[Secret.organization_id, Secret.name],
                    set_={"version": Secret.version + 1, "updated_by": by},
                ).returning(*Secret.__table__.c)
            )
        )
        await self._tx.execute(delete(SecretVersion).where(SecretVersion.secret_id == row["id"]))
        await self._tx.execute(
            insert(SecretVersion).values(
                id=version_id,
                organization_id=organization_id,
                secret_id=row["id"],
                number=row["version"],
                value=sealed,
                created_by=by,
            )
        )
        return row

    async def remove(self, name: str) -> RowMapping:
        """The secret with its value. Raises NotFound."""
        statement = delete(Secret).where(Secret.name == _named(name)).returning(*Secret.__table__.c)
        return _found(await self._tx.execute(statement))

    async def sealed(self, names: Iterable[str]) -> dict[str, tuple[UUID, bytes]]:
        """The current version's id and sealed value of each name that is set; only workers may ask."""
        statement = (
            select(Secret.name, SecretVersion.id, SecretVersion.value)
            .join(SecretVersion, SecretVersion.secret_id == Secret.id)
            .where(SecretVersion.number == Secret.version, Secret.name.in_(list(names)))
        )
        return {
            name: (id, value) for name, id, value in await self._tx.execute(statement) if value is not None
        }


def _named(name: str) -> str:
    """What is no name, nothing is called; PostgreSQL would not even look for every text."""
    if not is_name(name):
        raise NotFound(_UNKNOWN)
    return name


def _found(result: CursorResult[Any]) -> RowMapping:
    row = result.mappings().one_or_none()
    if row is None:
        raise NotFound(_UNKNOWN)
    return row
