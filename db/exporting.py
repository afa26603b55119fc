"""Writing clients and contacts as CSV, some thousand rows at a time, each part sealed in a row of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from sqlalchemy import RowMapping, Select, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.clients import Client, Contact
from db.clientsearch import ClientFilter, ContactFilter, clients, contacts
from db.identity import User
from db.rows import many
from db.sealed import place
from db.taxids import TaxIds
from db.transfers import TransferPart
from domain.csvfiles import write
from domain.importcolumns import fields_of
from domain.imports import TransferKind
from domain.keys import KeyRing

ROWS_PER_EXPORT_PART: Final = 2_000
#: Rows that came to fit while the export ran are written with the last part, within reason.
_LAST: Final = 20_000
_BESIDES: Final = ("id", "created_at", "updated_at")
#: So that spreadsheets read UTF-8 as what it is.
BYTE_ORDER_MARK: Final = "\ufeff"


def columns_of(kind: TransferKind, *, tax_ids: bool) -> list[str]:
    """The header of an export; what an import reads, in the same order, and when each row was written."""
    named = [name for name in fields_of(kind) if tax_ids or name != "tax_id"]
    return [*named, *_BESIDES]


def client_filter(filters: Mapping[str, Any]) -> ClientFilter:
    """The filters that `transfers.settings` keeps."""
    manager = filters.get("assigned_manager")
    return ClientFilter(**{**filters, "assigned_manager": None if manager is None else UUID(manager)})


def contact_filter(filters: Mapping[str, Any]) -> ContactFilter:
    client = filters.get("client_id")
    return ContactFilter(**{**filters, "client_id": None if client is None else UUID(client)})


async def count(tx: AsyncConnection, kind: TransferKind, filters: Mapping[str, Any]) -> int:
    """How many rows fit; asked by the API."""
    wanted: Select[Any] = (
        clients(client_filter(filters)) if kind is TransferKind.CLIENTS else contacts(contact_filter(filters))
    )
    table = Client if kind is TransferKind.CLIENTS else Contact
    counted = wanted.with_only_columns(func.count(), maintain_column_froms=True).select_from(table)
    return int(await tx.scalar(counted) or 0)


@dataclass(frozen=True, slots=True)
class Export:
    """One export; `tx` is a worker's transaction."""

    tx: AsyncConnection
    transfer: RowMapping
    tax_ids: TaxIds

    async def write(self, number: int, keys: KeyRing) -> int:
        """Write part `number`, and answer how many rows it holds. Parts are written in their order."""
        settings = self.transfer["settings"]
        kind = TransferKind(self.transfer["kind"])
        is_last = number + 1 >= settings["parts"]
        rows = await self._rows(kind, await self._behind(number), _LAST if is_last else ROWS_PER_EXPORT_PART)
        header = columns_of(kind, tax_ids=settings["tax_ids"])
        cells = [[_cell(row.get(name)) for name in header] for row in rows]
        text = write([header, *cells] if number == 0 else cells, settings["delimiter"])
        id = uuid4()
        content = (BYTE_ORDER_MARK + text if number == 0 else text).encode()
        organization_id = self.transfer["organization_id"]
        values = {
            "id": id,
            "organization_id": organization_id,
            "transfer_id": self.transfer["id"],
            "number": number,
            "rows": len(rows),
            "content": await keys.seal(organization_id, content, place("transfer_parts", "content", id)),
            "last_at": rows[-1]["created_at"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
            "finished_at": func.now(),
        }
        await self.tx.execute(insert(TransferPart).values(**values))
        return len(rows)

    async def _behind(self, number: int) -> tuple[datetime, UUID] | None:
        """The last row of the parts before; None at the beginning."""
        part = TransferPart
        statement = (
            select(part.last_at, part.last_id)
            .where(
                part.transfer_id == self.transfer["id"],
                part.number < number,
                part.last_id.is_not(None),
            )
            .order_by(part.number.desc())
            .limit(1)
        )
        found = (await self.tx.execute(statement)).one_or_none()
        if found is None or found.last_at is None or found.last_id is None:
            return None
        return found.last_at, found.last_id

    async def _rows(
        self, kind: TransferKind, behind: tuple[datetime, UUID] | None, limit: int
    ) -> list[dict[str, Any]]:
        """The next rows, oldest first, none that is younger than the export itself."""
        table = Client if kind is TransferKind.CLIENTS else Contact
        filters = self.transfer["settings"]["filters"]
        statement = (
            clients(client_filter(filters), indexed=False)
            if kind is TransferKind.CLIENTS
            else contacts(contact_filter(filters), indexed=False)
        )
        statement = statement.where(table.created_at <= self.transfer["created_at"])
        if behind is not None:
            statement = statement.where(tuple_(table.created_at, table.id) > tuple_(*behind))
        rows = await many(self.tx, statement.order_by(table.created_at, table.id).limit(limit))
        shown = [dict(row) for row in rows]
        if kind is TransferKind.CLIENTS:
            return await self._of_clients(shown)
        return await self._of_contacts(shown)

    async def _of_clients(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        managers = {row["assigned_manager"] for row in rows} - {None}
        emails = {}
        if managers:
            found = await self.tx.execute(select(User.id, User.email).where(User.id.in_(managers)))
            emails = {row.id: row.email for row in found}
        for row in rows:
            row["assigned_manager"] = emails.get(row["assigned_manager"], row["assigned_manager"])
        if not self.transfer["settings"]["tax_ids"]:
            return rows
        return [await self.tax_ids.opened(row) for row in rows]

    async def _of_contacts(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        wanted = {row["client_id"] for row in rows} - {None}
        named = {}
        if wanted:
            found = await self.tx.execute(
                select(Client.id, Client.client_number, Client.email).where(Client.id.in_(wanted))
            )
            named = {id: (number, email) for id, number, email in found}
        for row in rows:
            row["client_number"], row["client_email"] = named.get(row["client_id"], (None, None))
        return rows


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return "; ".join(map(str, value))
        case dict():
            return orjson.dumps(value).decode() if value else ""
        case datetime():
            return value.isoformat()
    return str(value)
