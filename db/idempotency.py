"""Answers kept per Idempotency-Key, in the transaction that did the work: both stand, or neither."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import IdempotencyKey
from domain.errors import Conflict, IdempotencyKeyReused

KEPT = timedelta(hours=24)

# Made once: building a statement costs more than sending it, and these run with every keyed request.
_PLACE = ("organization_id", "scope", "key")
_COLUMNS = IdempotencyKey.__table__.c
_AT = [_COLUMNS[name] == bindparam(f"at_{name}", type_=_COLUMNS[name].type) for name in _PLACE]
_REST = ("request_sha256", "response_status", "response_body", "created_at", "expires_at")
_FRESH = insert(IdempotencyKey).values({name: bindparam(name) for name in (*_PLACE, *_REST)})
_CLAIM = _FRESH.on_conflict_do_update(
    index_elements=_PLACE,
    set_={name: _FRESH.excluded[name] for name in _REST},
    where=_COLUMNS.expires_at <= bindparam("created_at"),
).returning(_COLUMNS.key)
_FIND = select(_COLUMNS.request_sha256, _COLUMNS.response_status, _COLUMNS.response_body).where(*_AT)
_KEEP = (
    update(IdempotencyKey)
    .where(*_AT)
    .values(response_status=bindparam("status"), response_body=bindparam("body"))
)


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

        Waits for another transaction holding the same key: it commits and its answer is returned, or it fails
        and this one takes over. Raises IdempotencyKeyReused for another request under the same key.
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
        if (await self._tx.execute(_CLAIM, values)).scalar_one_or_none() is not None:
            return None
        row = (await self._tx.execute(_FIND, self._at(key))).one()
        if row.request_sha256 != request_sha256:
            raise IdempotencyKeyReused
        if row.response_status is None:
            raise Conflict("The first request with this Idempotency-Key left no answer; use a new key.")
        return KeptAnswer(row.response_status, row.response_body)

    async def keep(self, key: str, answer: KeptAnswer) -> None:
        """Stores the answer beside the work."""
        await self._tx.execute(_KEEP, {**self._at(key), "status": answer.status, "body": answer.body})

    def _at(self, key: str) -> dict[str, Any]:
        return {"at_organization_id": self._organization_id, "at_scope": self._scope, "at_key": key}
