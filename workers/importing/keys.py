"""The data keys of what is imported, inside the transaction that makes its organization."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.keys import NamedKey
from db.sealing import KEY_BYTES, DataKey, unwrap, wrap
from db.tenants import EncryptionKey, Organization
from domain.keys import MasterKeyMissing
from domain.tenants import KeyStatus


class ImportKeys:
    """A KeyRing of one organization, whose row is not committed yet: `db.keys.DataKeys` would not find it.

    The key it makes is wrapped by the same master key in the same way, and is the organization's from then on.
    """

    def __init__(self, connection: AsyncConnection, masters: Sequence[NamedKey]) -> None:
        self._connection = connection
        self._masters = {master.id: master.key for master in masters}
        self._maker = masters
        self._keys: dict[UUID, DataKey] = {}
        self._unsettled: list[dict[str, Any]] = []

    async def seal(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        return (await self._key(organization_id)).seal(content, bound_to)

    async def fingerprint(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        return (await self._key(organization_id)).fingerprint(content, bound_to)

    async def fingerprints(self, organization_id: UUID, content: bytes, bound_to: str) -> list[bytes]:
        return [await self.fingerprint(organization_id, content, bound_to)]

    async def open(self, organization_id: UUID, sealed: bytes, bound_to: str) -> bytes:
        return (await self._key(organization_id)).open(sealed, bound_to)

    def forget(self, organization_id: UUID) -> None:
        self._keys.pop(organization_id, None)

    async def settle(self) -> None:
        """Keeps the keys that were made before their organization's row was there."""
        for row in self._unsettled:
            await self._connection.execute(insert(EncryptionKey).values(row))
        self._unsettled.clear()

    async def _key(self, organization_id: UUID) -> DataKey:
        if organization_id not in self._keys:
            row = await self._active(organization_id) or await self._made(organization_id)
            master = self._masters.get(row["master_key_id"])
            if master is None:
                raise MasterKeyMissing([row["master_key_id"]])
            key = unwrap(master, row["wrapped_key"], organization_id, row["id"], row["master_key_id"])
            self._keys[organization_id] = DataKey(organization_id, row["id"], key)
        return self._keys[organization_id]

    async def _made(self, organization_id: UUID) -> Mapping[str, Any]:
        row = new_key(self._maker, organization_id)
        here = select(Organization.id).where(Organization.id == organization_id)
        if await self._connection.scalar(here) is None:
            self._unsettled.append(row)
        else:
            await self._connection.execute(insert(EncryptionKey).values(row))
        return row

    async def _active(self, organization_id: UUID) -> Mapping[str, Any] | None:
        statement = select(EncryptionKey.id, EncryptionKey.wrapped_key, EncryptionKey.master_key_id).where(
            EncryptionKey.organization_id == organization_id, EncryptionKey.status == KeyStatus.ACTIVE.value
        )
        found = (await self._connection.execute(statement)).mappings().one_or_none()
        return None if found is None else dict(found)


def new_key(masters: Sequence[NamedKey], organization_id: UUID) -> dict[str, Any]:
    """A fresh active data key, wrapped by the first master key."""
    id, master = uuid4(), masters[0]
    return {
        "id": id,
        "organization_id": organization_id,
        "wrapped_key": wrap(master.key, os.urandom(KEY_BYTES), organization_id, id, master.id),
        "master_key_id": master.id,
        "status": KeyStatus.ACTIVE.value,
    }
