"""Answers kept per Idempotency-Key, in the transaction that did the work: both stand, or neither."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import IdempotencyKey
from domain.errors import Conflict, IdempotencyKeyReused

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    status: int
    body: Any


class IdempotencyKeys:
    """The keys of one caller and route (`scope`) in one organization."""

    def __init__(self, tx: AsyncConnection, organization_id: UUID, scope: str) -> None:
        self._tx = tx
        self._organization_id = organization_id
        self._scope = scope

    async def claim(self, key: str, request_sha256: str, now: datetime) -> KeptAnswer | None:
        """Takes the key for this transaction, or returns the answer it already has.

        Waits for another transaction holding the same key: it commits and its answer is returned, or it fails and
        this one takes over. Raises IdempotencyKeyReused for another request under the same key.
        """
        values = {
            "organization_id": self._organization_id,
            "scope": self._scope,
            "key": key,
            "request_sha256": request_sha256,
            "response_status": None,
            "response_body": None,
            "created_at": now,
            "expires_at": now + KEPT,
        }
        fresh = insert(IdempotencyKey).values(values)
        renewed = {
            name: fresh.excluded[name] for name in values if name not in ("organization_id", "scope", "key")
        }
        statement = fresh.on_conflict_do_update(
            index_elements=["organization_id", "scope", "key"],
            set_=renewed,
            where=IdempotencyKey.expires_at <= now,
        ).returning(IdempotencyKey.key)
        if (await self._tx.execute(statement)).scalar_one_or_none() is not None:
            return None
        row = (await self._tx.execute(select(IdempotencyKey.__table__).where(*self._at(key)))).one()
        if row.request_sha256 != request_sha256:
            raise IdempotencyKeyReused
        if row.response_status is None:
            raise Conflict("The first request with this Idempotency-Key left no answer; use a new key.")
        return KeptAnswer(row.response_status, row.response_body)

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Stores the answer beside the work."""
        values = {"response_status": answer.status, "response_body": answer.body}
        await self._tx.execute(update(IdempotencyKey).where(*self._at(key)).values(values))

    def _at(self, key: str) -> tuple[Any, ...]:
        return (
            IdempotencyKey.organization_id == self._organization_id,
            IdempotencyKey.scope == self._scope,
            IdempotencyKey.key == key,
        )
