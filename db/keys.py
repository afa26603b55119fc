"""The data keys of organizations: made on first use, unwrapped once, remembered by the process.

A loaded key seals and opens without waiting, also while PostgreSQL is away. What another process did is found:
an unknown key is looked for at once, a rotation or a shredded key after `FRESH_SECONDS` at the latest.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, Select, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.sealing import KEY_BYTES, DataKey, key_id, unwrap, wrap
from db.session import Access, Database, Role
from db.tenants import EncryptionKey
from domain.errors import NotFound
from domain.keys import MasterKeyMissing, Unreadable
from domain.tenants import KeyStatus

log = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
#: While PostgreSQL is away or silent: who waits for it at most this long, and the next to try this much later.
PATIENCE_SECONDS = 1.0
RETRY_SECONDS = 5.0
REMEMBERED_ORGANIZATIONS = 5_000
PREFETCHED_ORGANIZATIONS = 1_000
VERIFIED_AT_ONCE = 1_000
SYSTEM = Access(Role.SYSTEM)
#: PostgreSQL cannot be asked now.
AWAY = (SQLAlchemyError, OSError, TimeoutError)


class NamedKey(Protocol):
    """A master key as the settings hold it."""

    @property
    def id(self) -> str: ...
    @property
    def key(self) -> bytes: ...


@dataclass(slots=True)
class _Ring:
    """What one organization's rows said when they were last read."""

    keys: Mapping[UUID, DataKey]
    current: DataKey | None
    #: Keys whose master key this process was not given, with that one's id.
    locked: Mapping[UUID, str]
    stale_at: float


class DataKeys:
    """The KeyRing of a process. The first master key wraps; all of them unwrap."""

    def __init__(
        self,
        database: Database,
        master_keys: Sequence[NamedKey],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._current_master = master_keys[0]
        self._masters = {master.id: master.key for master in master_keys}
        self._monotonic = monotonic
        self._rings: OrderedDict[UUID, _Ring] = OrderedDict()
        self._loading: dict[UUID, asyncio.Lock] = {}
        self._refreshing: set[asyncio.Task[_Ring]] = set()

    async def seal(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        """Encrypt with the organization's current data key; its first use makes that key."""
        return (await self._current(organization_id)).seal(content, bound_to)

    async def open(self, organization_id: UUID, sealed: bytes, bound_to: str) -> bytes:
        """Decrypt with the key the bytes name, current or retired. Raises Unreadable, MasterKeyMissing."""
        wanted = key_id(sealed)
        key = (await self._ring(organization_id)).keys.get(wanted)
        if key is None:
            ring = await self._load(organization_id, lambda ring: wanted in ring.keys)
            key = ring.keys.get(wanted)
            if wanted in ring.locked:
                raise MasterKeyMissing([ring.locked[wanted]])
        if key is None:
            raise Unreadable(
                "the data key of this value does not exist in this organization: it was shredded, or the value "
                "belongs to another organization"
            )
        return key.open(sealed, bound_to)

    async def current_key_id(self, organization_id: UUID) -> UUID:
        return (await self._current(organization_id)).id

    async def fingerprint(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        """The blind index to store beside a sealed value, 32 bytes."""
        return (await self._current(organization_id)).fingerprint(content, bound_to)

    async def fingerprints(self, organization_id: UUID, content: bytes, bound_to: str) -> list[bytes]:
        """Every blind index under which an equal value may stand: one for each key, retired ones included."""
        # Read anew: a value that was sealed again under a key we do not know yet would not be found.
        ring = await self._load(organization_id, lambda _: False)
        return [key.fingerprint(content, bound_to) for key in ring.keys.values()]

    async def prefetch(self) -> None:
        """Load the newest keys, and see that every master key in use is there. Raises MasterKeyMissing."""
        async with self._database.transaction(SYSTEM) as tx:
            if missing := await self._missing(tx):
                raise MasterKeyMissing(sorted(missing))
            newest = (
                select(EncryptionKey.organization_id)
                .where(EncryptionKey.status == KeyStatus.ACTIVE)
                .order_by(EncryptionKey.created_at.desc())
                .limit(PREFETCHED_ORGANIZATIONS)
            )
            found: dict[UUID, list[RowMapping]] = {}
            rows = select(EncryptionKey).where(EncryptionKey.organization_id.in_(newest))
            for row in (await tx.execute(_columns(rows))).mappings():
                found.setdefault(row["organization_id"], []).append(row)
        for organization_id, keys in found.items():
            self._remember(organization_id, self._unwrapped(organization_id, keys))

    async def missing_masters(self) -> Mapping[str, int]:
        """Master keys that wrapped data keys but are not in the settings, with how many each wrapped."""
        async with self._database.transaction(SYSTEM) as tx:
            return await self._missing(tx)

    async def verify(self, organization_id: UUID | None = None) -> int:
        """Open every data key, of one or of all organizations, and tell how many; raises MasterKeyMissing."""
        opened, last = 0, UUID(int=0)
        while True:
            page = select(EncryptionKey).where(EncryptionKey.id > last)
            if organization_id is not None:
                page = page.where(EncryptionKey.organization_id == organization_id)
            async with self._database.transaction(SYSTEM) as tx:
                rows = await tx.execute(_columns(page.order_by(EncryptionKey.id).limit(VERIFIED_AT_ONCE)))
                found = rows.mappings().all()
            if not found:
                return opened
            for row in found:
                self._unwrap(row)
            opened, last = opened + len(found), found[-1]["id"]

    def forget(self, organization_id: UUID) -> None:
        """Read the organization's keys anew when they are next needed."""
        self._rings.pop(organization_id, None)

    async def _missing(self, tx: AsyncConnection) -> Mapping[str, int]:
        counted = text("SELECT master_key_id, count(*) FROM encryption_keys GROUP BY master_key_id")
        return {id: count for id, count in await tx.execute(counted) if id not in self._masters}

    async def _current(self, organization_id: UUID) -> DataKey:
        ring = await self._ring(organization_id)
        if ring.current is None:
            ring = await self._load(organization_id, lambda ring: ring.current is not None, make=True)
        if ring.current is None:
            raise MasterKeyMissing(sorted(set(ring.locked.values())))
        return ring.current

    async def _ring(self, organization_id: UUID) -> _Ring:
        ring = self._rings.get(organization_id)
        if ring is None:
            return await self._load(organization_id, lambda _: True)
        now = self._monotonic()
        if now < ring.stale_at:
            return ring
        # One caller asks whether anything changed; meanwhile, and when nobody answers, the loaded key serves.
        ring.stale_at = now + RETRY_SECONDS
        reading = asyncio.create_task(self._refreshed(organization_id, ring))
        self._refreshing.add(reading)
        reading.add_done_callback(self._refreshing.discard)
        done, _ = await asyncio.wait([reading], timeout=PATIENCE_SECONDS)
        return reading.result() if done else ring

    async def _refreshed(self, organization_id: UUID, ring: _Ring) -> _Ring:
        try:
            # Breaking a connection that has gone silent takes seconds of its own; nobody waits for those.
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._load(organization_id, lambda fresh: fresh is not ring)
        except AWAY as error:
            log.warning("data keys could not be read again, the loaded ones serve: %s", type(error).__name__)
            return ring

    async def _load(
        self, organization_id: UUID, enough: Callable[[_Ring], bool], *, make: bool = False
    ) -> _Ring:
        """Read the organization's keys, unless whoever read them while we waited found `enough`."""
        lock = self._loading.setdefault(organization_id, asyncio.Lock())
        try:
            async with lock:
                ring = self._rings.get(organization_id)
                if ring is None or not enough(ring):
                    ring = await self._read(organization_id, make=make)
                    self._remember(organization_id, ring)
                return ring
        finally:
            if not lock.locked() and self._loading.get(organization_id) is lock:
                del self._loading[organization_id]

    async def _read(self, organization_id: UUID, *, make: bool) -> _Ring:
        async with self._database.transaction(SYSTEM) as tx:
            if make:
                await self._make(tx, organization_id)
            wanted = select(EncryptionKey).where(EncryptionKey.organization_id == organization_id)
            rows = (await tx.execute(_columns(wanted))).mappings().all()
        return self._unwrapped(organization_id, rows)

    async def _make(self, tx: AsyncConnection, organization_id: UUID) -> None:
        """The organization's active key, unless another process made it first."""
        statement = insert(EncryptionKey).values(self.new_row(organization_id))
        try:
            await tx.execute(
                statement.on_conflict_do_nothing(
                    index_elements=[EncryptionKey.organization_id],
                    index_where=EncryptionKey.status == KeyStatus.ACTIVE.value,
                )
            )
        except IntegrityError:
            raise NotFound("There is no such organization, so it has no data key.") from None

    def new_row(self, organization_id: UUID) -> dict[str, object]:
        """A fresh active data key, wrapped by the current master key."""
        id, master = uuid4(), self._current_master
        return {
            "id": id,
            "organization_id": organization_id,
            "wrapped_key": wrap(master.key, os.urandom(KEY_BYTES), organization_id, id, master.id),
            "master_key_id": master.id,
            "status": KeyStatus.ACTIVE.value,
        }

    def rewrapped(self, row: RowMapping) -> dict[str, object]:
        """The same data key under the current master key. Raises MasterKeyMissing."""
        id, organization_id, master = row["id"], row["organization_id"], self._current_master
        key = self._unwrap(row)
        return {
            "wrapped_key": wrap(master.key, key, organization_id, id, master.id),
            "master_key_id": master.id,
        }

    @property
    def current_master_id(self) -> str:
        return self._current_master.id

    def _unwrap(self, row: RowMapping) -> bytes:
        master = self._masters.get(row["master_key_id"])
        if master is None:
            raise MasterKeyMissing([row["master_key_id"]])
        return unwrap(master, row["wrapped_key"], row["organization_id"], row["id"], row["master_key_id"])

    def _unwrapped(self, organization_id: UUID, rows: Iterable[RowMapping]) -> _Ring:
        known = self._rings.get(organization_id)
        keys: dict[UUID, DataKey] = {}
        locked: dict[UUID, str] = {}
        current = None
        for row in rows:
            key = None if known is None else known.keys.get(row["id"])
            if key is None and row["master_key_id"] not in self._masters:
                locked[row["id"]] = row["master_key_id"]
                continue
            key = keys[row["id"]] = key or DataKey(organization_id, row["id"], self._unwrap(row))
            if row["status"] == KeyStatus.ACTIVE:
                current = key
        return _Ring(keys, current, locked, self._monotonic() + FRESH_SECONDS)

    def _remember(self, organization_id: UUID, ring: _Ring) -> None:
        self._rings[organization_id] = ring
        self._rings.move_to_end(organization_id)
        while len(self._rings) > REMEMBERED_ORGANIZATIONS:
            self._rings.popitem(last=False)


def _columns(statement: Select[EncryptionKey]) -> Select[*tuple[Any, ...]]:
    return statement.with_only_columns(
        EncryptionKey.id,
        EncryptionKey.organization_id,
        EncryptionKey.wrapped_key,
        EncryptionKey.master_key_id,
        EncryptionKey.status,
    )
