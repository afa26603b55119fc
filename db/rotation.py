"""New keys while everything runs: master keys rewrap, data keys are renewed and sealed columns sealed again.

Every step commits by itself and can be repeated: what was interrupted goes on where it stopped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.keys import SYSTEM, DataKeys
from db.sealed import SEALED_COLUMNS, SealedColumn, place
from db.session import Database
from db.tenants import PLATFORM, EncryptionKey
from domain.errors import Conflict
from domain.keys import Unreadable
from domain.tenants import KeyStatus

BATCH = 200
Say = Callable[[str], None]


@dataclass(slots=True)
class Resealed:
    """What was done to the sealed columns of some organizations."""

    organizations: int = 0
    keys: int = 0
    values: dict[str, int] = field(default_factory=dict)
    #: Rows whose value opens with no key, as `table.column/id`: they are left as they are.
    unreadable: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "organizations": self.organizations,
            "data_keys_made": self.keys,
            "values_sealed_again": self.values,
            "unreadable": self.unreadable,
        }


class Rotation:
    """Changes the keys in the database; running processes notice within a minute and need no restart."""

    def __init__(
        self,
        database: Database,
        keys: DataKeys,
        *,
        columns: Sequence[SealedColumn] = SEALED_COLUMNS,
        say: Say = lambda _: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._columns = columns
        self._say = say

    async def master(self) -> int:
        """Wrap every data key by the current master key; tells how many were not.

        Raises MasterKeyMissing when a data key does not open: before anything is written, and at the end too.
        """
        await self._keys.verify()
        outdated = EncryptionKey.master_key_id != self._keys.current_master_id
        total = 0
        while True:
            async with self._database.transaction(SYSTEM) as tx:
                found = select(*EncryptionKey.__table__.c).where(outdated).limit(BATCH).with_for_update()
                rows = (await tx.execute(found)).mappings().all()
                for row in rows:
                    rewrapped = self._keys.rewrapped(row)
                    await tx.execute(
                        update(EncryptionKey).where(EncryptionKey.id == row["id"]).values(rewrapped)
                    )
            if not rows:
                await self._keys.verify()
                return total
            total += len(rows)
            self._say(f"{total} data keys wrapped again")

    async def data(self, organization_id: UUID | None = None, *, renew: bool = True) -> Resealed:
        """With `renew`, a new data key for one or every organization; then seal what older keys sealed.

        The old keys retire: they open what was sealed before, histories in Temporal for instance. Raises
        MasterKeyMissing before anything is written: a key wrapped by a wrong master key would lock everybody out.
        """
        await self._keys.verify(organization_id)
        done = Resealed()
        for organization in await self._organizations(organization_id):
            if renew:
                await self._renew(organization)
                done.keys += 1
            self._keys.forget(organization)
            for column in self._columns:
                await self._reseal(organization, column, done)
            done.organizations += 1
            self._say(f"{done.organizations} organizations, {sum(done.values.values())} values sealed again")
        return done

    async def give_up(self, master_key_id: str) -> int:
        """Delete the data keys wrapped by a master key that is lost; what they sealed stays unreadable."""
        return await self._delete(EncryptionKey.master_key_id == master_key_id)

    async def shred(self, organization_id: UUID) -> int:
        """Delete every data key of an organization: nothing that was sealed for it can ever be opened again.

        Its executions must have been terminated before. Other processes forget the keys within a minute. Raises
        Conflict for the platform's own, which seals what belongs to people.
        """
        if organization_id == PLATFORM:
            raise Conflict("The platform's own keys seal what belongs to people: they cannot be shredded.")
        deleted = await self._delete(EncryptionKey.organization_id == organization_id)
        self._keys.forget(organization_id)
        return deleted

    async def _organizations(self, wanted: UUID | None) -> Sequence[UUID]:
        ids = select(EncryptionKey.organization_id).distinct().order_by(EncryptionKey.organization_id)
        if wanted is not None:
            ids = ids.where(EncryptionKey.organization_id == wanted)
        async with self._database.transaction(SYSTEM) as tx:
            return (await tx.scalars(ids)).all()

    async def _renew(self, organization_id: UUID) -> None:
        active = (EncryptionKey.organization_id == organization_id, EncryptionKey.status == KeyStatus.ACTIVE)
        async with self._database.transaction(SYSTEM) as tx:
            # Two rotations at once wait here for each other, and both of their keys are made.
            await tx.execute(
                update(EncryptionKey)
                .where(*active)
                .values(status=KeyStatus.RETIRED.value, retired_at=func.now())
            )
            await tx.execute(insert(EncryptionKey).values(self._keys.new_row(organization_id)))

    async def _reseal(self, organization_id: UUID, column: SealedColumn, done: Resealed) -> None:
        access = column.access(organization_id)
        if access is None:
            return
        current = await self._keys.current_key_id(organization_id)
        last: UUID | None = None
        while True:
            async with self._database.transaction(access) as tx:
                rows = await _sealed_by_others(tx, column, current, last)
                for id, stored in rows:
                    try:
                        await self._renewed(tx, organization_id, column, id, stored)
                    except Unreadable:
                        done.unreadable.append(place(column.table.name, column.column, id))
                    else:
                        done.values[column.name] = done.values.get(column.name, 0) + 1
            if not rows:
                return
            last = rows[-1][0]

    async def _renewed(
        self, tx: AsyncConnection, organization_id: UUID, column: SealedColumn, id: UUID, stored: Any
    ) -> None:
        table = column.table
        where = place(table.name, column.column, id)
        content = await self._keys.open(organization_id, column.read(stored), where)
        values = {column.column: column.written(await self._keys.seal(organization_id, content, where))}
        if column.index is not None:
            values[column.index] = await self._keys.fingerprint(organization_id, content, column.name)
        await tx.execute(update(table).where(table.c.id == id).values(values))

    async def _delete(self, condition: ColumnElement[bool]) -> int:
        async with self._database.transaction(SYSTEM) as tx:
            return (await tx.execute(delete(EncryptionKey).where(condition))).rowcount


async def _sealed_by_others(
    tx: AsyncConnection, column: SealedColumn, key: UUID, after: UUID | None
) -> list[tuple[UUID, Any]]:
    """The next rows, in the order of ids, that another key than `key` sealed; nobody changes them meanwhile."""
    id, stored = column.table.c.id, column.table.c[column.column]
    statement = select(id, stored).where(stored.is_not(None), ~column.sealed_by(key))
    if after is not None:
        statement = statement.where(id > after)
    rows = await tx.execute(statement.order_by(id).limit(BATCH).with_for_update())
    return [(found, value) for found, value in rows]
