"""Triggers as publishing compiles them, and the addresses and secrets of those that are webhooks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Index,
    RowMapping,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped

from db.base import Base, CreatedAt, Id, Sealed, Tenant, one_of, tenant_key, within
from db.definitions import Trigger, Workflow
from db.rows import many, one
from domain.executions import TriggerType


class SecretKind(StrEnum):
    #: The last part of the address; found again by its hash.
    URL = "url"
    SIGNING = "signing"


class TriggerSecret(Tenant, Base):
    """Sealed; without `expires_at` it is the current one of its kind, with it one that still counts until then."""

    __tablename__ = "trigger_secrets"
    __table_args__ = (
        tenant_key(),
        within("trigger_id", "triggers", ondelete="CASCADE"),
        Index(None, "organization_id", "trigger_id"),
        Index(
            "uq_trigger_secrets_sha256", "sha256", unique=True, postgresql_where=text("sha256 IS NOT NULL")
        ),
        one_of("kind", SecretKind),
        CheckConstraint("(kind = 'url') = (sha256 IS NOT NULL)", name="sha256"),
    )

    id: Mapped[Id]
    trigger_id: Mapped[UUID]
    kind: Mapped[str]
    sha256: Mapped[str | None]
    sealed: Mapped[Sealed]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


def sealed_at(secret_id: Any) -> str:
    """What a secret's sealed bytes are bound to."""
    return f"trigger_secrets.sealed/{secret_id}"


@dataclass(frozen=True, slots=True)
class Hook:
    """The webhook trigger behind an address; `secrets` are its valid signing secrets by id, still sealed."""

    organization_id: UUID
    trigger_id: UUID
    workflow_id: UUID
    name: str
    configuration: Mapping[str, Any]
    secrets: Mapping[UUID, bytes]


_FIND_HOOK = text("SELECT * FROM app.find_hook(:sha256, :moment)")


async def find_hook(tx: AsyncConnection, sha256: str, now: datetime) -> Hook | None:
    """Whose address this is, for a transaction that has not entered an organization yet."""
    row = (await tx.execute(_FIND_HOOK, {"sha256": sha256, "moment": now})).mappings().one_or_none()
    if row is None:
        return None
    return Hook(
        organization_id=row["organization_id"],
        trigger_id=row["trigger_id"],
        workflow_id=row["workflow_id"],
        name=row["name"],
        configuration=row["configuration"],
        secrets=dict(zip(row["secret_ids"], row["secrets"], strict=True)),
    )


_TRIGGER = tuple(Trigger.__table__.c)
_SECRET = tuple(TriggerSecret.__table__.c)


class Triggers:
    """The triggers of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def get(self, id: UUID) -> RowMapping:
        """Raises NotFound."""
        return one(await self._tx.execute(select(*_TRIGGER).where(Trigger.id == id)))

    async def lock(self, id: UUID) -> RowMapping:
        """As `get`, holding the row until the transaction ends."""
        return one(await self._tx.execute(select(*_TRIGGER).where(Trigger.id == id).with_for_update()))

    async def of_workflow(self, workflow_id: UUID) -> Sequence[RowMapping]:
        """By name; those that were removed from the definition are inactive."""
        return await many(
            self._tx, select(*_TRIGGER).where(Trigger.workflow_id == workflow_id).order_by(Trigger.name)
        )

    async def webhooks(self, *, limit: int = 200) -> Sequence[RowMapping]:
        """Every webhook with its workflow, by their names: id, name, workflow_id, workflow."""
        statement = (
            select(Trigger.id, Trigger.name, Trigger.workflow_id, Workflow.name.label("workflow"))
            .join(
                Workflow,
                (Workflow.organization_id == Trigger.organization_id) & (Workflow.id == Trigger.workflow_id),
            )
            .where(Trigger.type == TriggerType.WEBHOOK)
            .order_by(Workflow.name, Trigger.name, Trigger.id)
            .limit(limit)
        )
        return await many(self._tx, statement)

    async def put(
        self, organization_id: UUID, workflow_id: UUID, *, name: str, values: Mapping[str, Any]
    ) -> RowMapping:
        """Write the trigger of this name; one that was there keeps its id, and so its address and secrets."""
        statement = upsert(Trigger).values(
            organization_id=organization_id, workflow_id=workflow_id, name=name, **values
        )
        return one(
            await self._tx.execute(
                statement.on_conflict_do_update(
                    index_elements=("organization_id", "workflow_id", "name"), set_=dict(values)
                ).returning(*_TRIGGER)
            )
        )

    async def retire(self, workflow_id: UUID, kept: Collection[str]) -> None:
        """Those under no name of `kept` start nothing any more; their ledger stays."""
        await self._tx.execute(
            update(Trigger)
            .where(Trigger.workflow_id == workflow_id, Trigger.name.not_in(kept), Trigger.is_active)
            .values(is_active=False)
        )

    async def deafen(self, workflow_id: UUID) -> None:
        """Its event triggers are told of no event any more."""
        await self._tx.execute(
            update(Trigger)
            .where(Trigger.workflow_id == workflow_id, Trigger.type == TriggerType.EVENT, Trigger.is_active)
            .values(is_active=False)
        )

    async def secrets(
        self, trigger_ids: Collection[UUID], now: datetime, kind: SecretKind | None = None
    ) -> Sequence[RowMapping]:
        """The secrets that count now, the current one of each kind first."""
        table = TriggerSecret
        statement = (
            select(*_SECRET)
            .where(table.trigger_id.in_(trigger_ids), or_(table.expires_at.is_(None), table.expires_at > now))
            .order_by(table.expires_at.desc().nulls_first(), table.created_at.desc())
        )
        return await many(self._tx, statement if kind is None else statement.where(table.kind == kind))

    async def add_secret(self, organization_id: UUID, trigger_id: UUID, values: Mapping[str, Any]) -> None:
        await self._tx.execute(
            insert(TriggerSecret).values(organization_id=organization_id, trigger_id=trigger_id, **values)
        )

    async def let_expire(self, trigger_id: UUID, kind: SecretKind, now: datetime, at: datetime) -> None:
        """The current secret counts until `at`; one that was on its way out before counts no longer."""
        those = (TriggerSecret.trigger_id == trigger_id, TriggerSecret.kind == kind)
        await self._tx.execute(
            update(TriggerSecret).where(*those, TriggerSecret.expires_at > now).values(expires_at=now)
        )
        await self._tx.execute(
            update(TriggerSecret).where(*those, TriggerSecret.expires_at.is_(None)).values(expires_at=at)
        )
