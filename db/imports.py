"""Rows of an import, some hundred at a time, written to clients and contacts in a few statements.

What goes wrong with a row is reported and leaves the others alone. Nothing here commits: the part that the rows
came in is finished in the same transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, TypeAlias
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base import Base
from db.clientevents import Happened, changed, created
from db.clients import Client, Contact
from db.identity import User
from db.taxids import TaxIds
from db.tenants import Membership
from domain.ids import derived_id
from domain.importrows import RowProblem, quoted
from domain.imports import ImportMode, MatchBy
from domain.tenants import MembershipStatus

Values: TypeAlias = dict[str, Any]

_KEPT: Final = {"id", "organization_id", "created_by", "created_at", "updated_at"}
_CLIENT_COLUMNS: Final = [c.name for c in Client.__table__.columns if c.name not in _KEPT]
_CONTACT_COLUMNS: Final = [c.name for c in Contact.__table__.columns if c.name not in _KEPT]
#: As the columns' own defaults have it: the statement names every column.
_NEW_CLIENT: Final[Values] = {
    **dict.fromkeys(_CLIENT_COLUMNS),
    "client_type": "individual",
    "country": "US",
    "status": "active",
    "communication_preferences": {},
    "service_preferences": {},
    "payment_terms": "net_30",
    "tags": [],
}
_NEW_CONTACT: Final[Values] = {
    **dict.fromkeys(_CONTACT_COLUMNS),
    "is_primary": False,
    "can_authorize": False,
    "receives_communications": True,
    "tags": [],
}


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A row that was read without a complaint; `columns` says which cell a field came from."""

    line: int
    values: Values
    columns: Mapping[str, int]

    def refused(self, field: str | None, message: str, mend: str, code: str = "invalid") -> RowProblem:
        index = None if field is None else self.columns.get(field)
        value = None if field is None else self.values.get(field)
        shown = None if value is None else quoted(field, str(value))
        return RowProblem(self.line, None if index is None else index + 1, field, shown, message, mend, code)


@dataclass(slots=True)
class Imported:
    """What became of the rows; each is in exactly one of the counts."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    problems: list[RowProblem] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Importing:
    """One part of an import; `tx` is a worker's transaction in the organization."""

    tx: AsyncConnection
    organization_id: UUID
    transfer_id: UUID
    created_by: UUID | None
    mode: ImportMode
    match_by: MatchBy
    tax_ids: TaxIds

    async def clients(self, rows: Sequence[ImportRow]) -> Imported:
        """Create clients, or change those that match."""
        done = Imported()
        rows = await self._managed(rows, done)
        found = await self._matching(rows, done) if self.mode is ImportMode.UPSERT else {}
        fresh: list[tuple[ImportRow, Values]] = []
        differing: list[tuple[ImportRow, Values, list[str]]] = []
        for row in rows:
            if any(problem.line == row.line for problem in done.problems):
                continue
            stands = found.get(row.line)
            if stands is None and not row.values.get("name"):
                mend = "Fill the cell."
                done.problems.append(row.refused("name", "A new client needs a name.", mend, "missing"))
            elif stands is None:
                id = derived_id(f"{self.transfer_id}/{row.line}")
                values = await self.tax_ids.sealed(id, row.values)
                fresh.append((row, self._new(id, {**_NEW_CLIENT, **values})))
            else:
                values = await self._changes(stands, row.values)
                if not values:
                    done.unchanged += 1
                else:
                    differing.append((row, {**_json(stands), **values}, list(values)))
        await self._insert(fresh, done)
        await self._update(differing, done)
        return done

    async def contacts(self, rows: Sequence[ImportRow]) -> Imported:
        """Create contacts, linked by the number or the e-mail address of their client, or change those that match."""
        done = Imported()
        linked = await self._linked(rows, done)
        found = await self._same_contacts(linked) if self.mode is ImportMode.UPSERT else {}
        inserted: list[Values] = []
        seen: dict[tuple[UUID | None, str], int] = {}
        primary: dict[UUID, UUID] = {}
        for row, client_id in linked:
            values = {k: v for k, v in row.values.items() if k not in ("client_number", "client_email")}
            values["client_id"] = client_id
            wants = values.pop("is_primary", None)
            if wants and client_id is None:
                message = "A contact without a client cannot be its primary one."
                mend = "Name the client by client_number or client_email."
                done.problems.append(row.refused("is_primary", message, mend))
                continue
            if self.mode is ImportMode.UPSERT and not self._is_first(row, client_id, seen, done):
                continue
            stands = found.get(row.line)
            if stands is None:
                id = derived_id(f"{self.transfer_id}/{row.line}")
                inserted.append(self._new(id, {**_NEW_CONTACT, **values}))
            else:
                id = stands["id"]
                await self._change_contact(stands, values, wants, done)
            if wants and client_id is not None:
                primary[client_id] = id  # of several, the last one
        rows_made = await self._many(Contact, _CONTACT_COLUMNS, inserted)
        done.created += len(rows_made)
        moved = await self._make_primary(primary)
        fresh = {row["id"]: row for row in rows_made} | moved
        new = {row["id"] for row in rows_made}
        done.happened += [created(fresh[row["id"]], "contact") for row in rows_made]
        done.happened += [
            changed(row, ["is_primary"], "contact") for id, row in moved.items() if id not in new
        ]
        return done

    # Clients

    async def _managed(self, rows: Sequence[ImportRow], done: Imported) -> list[ImportRow]:
        """Managers by e-mail address or id become ids; who is no active member is reported."""
        named = {str(row.values["assigned_manager"]) for row in rows if row.values.get("assigned_manager")}
        if not named:
            return list(rows)
        ids = [UUID(name) for name in named if _is_uuid(name)]
        statement = (
            select(User.id, func.lower(User.email))
            .join(Membership, Membership.user_id == User.id)
            .where(
                Membership.status == MembershipStatus.ACTIVE.value,
                or_(func.lower(User.email).in_([name.lower() for name in named]), User.id.in_(ids)),
            )
        )
        known: dict[str, str] = {}
        for id, email in await self.tx.execute(statement):
            known[str(id)] = known[email] = str(id)
        managed = []
        for row in rows:
            manager = row.values.get("assigned_manager")
            if manager is None:
                managed.append(row)
            elif (id := known.get(manager.lower())) is None:
                message = "No active member of your organization has this e-mail address or id."
                done.problems.append(
                    row.refused("assigned_manager", message, "Invite this person first, or empty the cell.")
                )
            else:
                managed.append(ImportRow(row.line, {**row.values, "assigned_manager": id}, row.columns))
        return managed

    async def _matching(self, rows: Sequence[ImportRow], done: Imported) -> dict[int, RowMapping]:
        """Line → the client that is meant, locked until the transaction ends."""
        name = self.match_by.value
        column: Any = (
            Client.client_number if self.match_by is MatchBy.CLIENT_NUMBER else func.lower(Client.email)
        )
        wanted = {_key(self.match_by, row.values[name]) for row in rows if row.values.get(name)}
        statement = select(Client).where(column.in_(wanted)).order_by(Client.id).with_for_update()
        found: dict[str, list[RowMapping]] = {}
        for client in (await self.tx.execute(statement)).mappings() if wanted else ():
            found.setdefault(_key(self.match_by, client[name]), []).append(client)
        matched = {}
        for row in rows:
            value = row.values.get(name)
            if value is None:
                message = f"The row has no {name}, by which clients are matched."
                done.problems.append(row.refused(None, message, "Fill the cell, or import with mode=create."))
                continue
            clients = found.get(_key(self.match_by, value), [])
            if len(clients) > 1:
                message = f"{len(clients)} clients have this e-mail address."
                done.problems.append(row.refused(name, message, "Match by client_number.", "ambiguous"))
            elif clients:
                matched[row.line] = clients[0]
        return matched

    async def _changes(self, stands: RowMapping, values: Values) -> Values:
        """What of the row differs from the client. An empty cell changes nothing."""
        differing = {name: value for name, value in values.items() if not _same(stands[name], value)}
        sealed = await self.tax_ids.sealed(stands["id"], differing)
        if "tax_id" in sealed and sealed["tax_id_index"] == stands["tax_id_index"]:
            del sealed["tax_id"], sealed["tax_id_index"]
        return {name: _plain(value) for name, value in sealed.items()}

    async def _insert(self, fresh: list[tuple[ImportRow, Values]], done: Imported) -> None:
        rows = await self._many(Client, _CLIENT_COLUMNS, [values for _, values in fresh])
        made = {row["id"] for row in rows}
        done.created += len(rows)
        done.happened += [created(row) for row in rows]
        for row, values in fresh:
            if UUID(values["id"]) not in made:
                done.problems.append(_taken(row))

    async def _update(self, differing: list[tuple[ImportRow, Values, list[str]]], done: Imported) -> None:
        if not differing:
            return
        try:
            async with self.tx.begin_nested():
                rows = await self._write([values for _, values, _ in differing])
        except IntegrityError:  # one of them takes a number that is another client's: find out which
            rows = []
            for row, values, _ in differing:
                try:
                    async with self.tx.begin_nested():
                        rows += await self._write([values])
                except IntegrityError:
                    done.problems.append(_taken(row))
        written = {str(row["id"]): row for row in rows}
        for _, values, names in differing:
            if (row_now := written.get(str(values["id"]))) is not None:
                done.updated += 1
                done.happened.append(changed(row_now, names))

    async def _write(self, rows: list[Values]) -> Sequence[RowMapping]:
        result = await self.tx.execute(_UPDATE_CLIENTS, {"rows": orjson.dumps(rows).decode()})
        return result.mappings().all()

    # Contacts

    async def _linked(self, rows: Sequence[ImportRow], done: Imported) -> list[tuple[ImportRow, UUID | None]]:
        """Each row with the client it belongs to."""
        numbers = {row.values["client_number"] for row in rows if row.values.get("client_number")}
        emails = {row.values["client_email"].lower() for row in rows if row.values.get("client_email")}
        statement = select(Client.id, Client.client_number, func.lower(Client.email)).where(
            or_(Client.client_number.in_(numbers), func.lower(Client.email).in_(emails))
        )
        by_number: dict[str, set[UUID]] = {}
        by_email: dict[str, set[UUID]] = {}
        for id, number, email in await self.tx.execute(statement) if numbers or emails else ():
            by_number.setdefault(number, set()).add(id)
            by_email.setdefault(email, set()).add(id)
        linked: list[tuple[ImportRow, UUID | None]] = []
        for row in rows:
            number, email = row.values.get("client_number"), row.values.get("client_email")
            name = "client_number" if number else "client_email"
            found = by_number.get(number, set()) if number else by_email.get((email or "").lower(), set())
            if number is None and email is None:
                linked.append((row, None))
            elif len(found) == 1:
                linked.append((row, next(iter(found))))
            elif not found:
                mend = "Import the client first, or correct the cell."
                done.problems.append(row.refused(name, f"No client has this {name}.", mend, "unknown_client"))
            else:
                message = f"{len(found)} clients have this e-mail address."
                done.problems.append(row.refused(name, message, "Use client_number.", "ambiguous"))
        return linked

    async def _same_contacts(self, linked: Sequence[tuple[ImportRow, UUID | None]]) -> dict[int, RowMapping]:
        """Line → the contact with the same e-mail address at the same client, locked."""
        emails = {row.values["email"].lower() for row, _ in linked if row.values.get("email")}
        if not emails:
            return {}
        statement = select(Contact).where(func.lower(Contact.email).in_(emails)).order_by(Contact.id)
        found = {
            (row["email"].lower(), row["client_id"]): row
            for row in (await self.tx.execute(statement.with_for_update())).mappings()
        }
        matched = {}
        for row, client_id in linked:
            if (same := found.get(((row.values.get("email") or "").lower(), client_id))) is not None:
                matched[row.line] = same
        return matched

    def _is_first(
        self, row: ImportRow, client_id: UUID | None, seen: dict[tuple[UUID | None, str], int], done: Imported
    ) -> bool:
        """Whether the row can be matched, and no row before it could; one client may be named in two ways."""
        email = row.values.get("email")
        if not email:
            message = "The row has no email, by which contacts are matched."
            done.problems.append(row.refused(None, message, "Fill the cell, or import with mode=create."))
            return False
        first = seen.setdefault((client_id, email.lower()), row.line)
        if first != row.line:
            message = f"Line {first} has the same email at the same client."
            done.problems.append(row.refused("email", message, "Keep one of the two.", "duplicate_row"))
        return first == row.line

    async def _change_contact(
        self, stands: RowMapping, values: Values, wants: bool | None, done: Imported
    ) -> None:
        differing = {name: value for name, value in values.items() if not _same(stands[name], value)}
        if wants is False and stands["is_primary"]:
            differing["is_primary"] = False
        if not differing:
            if wants and not stands["is_primary"]:
                done.updated += 1
            else:
                done.unchanged += 1
            return
        statement = (
            update(Contact)
            .where(Contact.id == stands["id"])
            .values(**differing)
            .returning(*Contact.__table__.c)
        )
        row = (await self.tx.execute(statement)).mappings().one()
        done.updated += 1
        done.happened.append(changed(row, differing, "contact"))

    async def _make_primary(self, primary: Mapping[UUID, UUID]) -> dict[UUID, RowMapping]:
        """Move the primary contact of each client; every contact that this changed, by id."""
        if not primary:
            return {}
        clients = sorted(primary)
        await self.tx.execute(
            select(Client.id)
            .where(Client.id.in_(clients))
            .order_by(Client.id)
            .with_for_update(key_share=True)
        )
        ids = list(primary.values())
        back = (
            update(Contact)
            .where(Contact.client_id.in_(clients), Contact.is_primary, Contact.id.not_in(ids))
            .values(is_primary=False)
            .returning(*Contact.__table__.c)
        )
        moved = {row["id"]: row for row in (await self.tx.execute(back)).mappings()}
        forward = (
            update(Contact)
            .where(Contact.id.in_(ids), Contact.is_primary.is_(False))
            .values(is_primary=True)
            .returning(*Contact.__table__.c)
        )
        return moved | {row["id"]: row for row in (await self.tx.execute(forward)).mappings()}

    # Both

    def _new(self, id: UUID, values: Values) -> Values:
        owned = {"id": id, "organization_id": self.organization_id, "created_by": self.created_by}
        return {name: _plain(value) for name, value in {**values, **owned}.items()}

    async def _many(self, table: type[Base], columns: list[str], rows: list[Values]) -> Sequence[RowMapping]:
        """Insert those that conflict with nothing; all their columns."""
        if not rows:
            return []
        named = ", ".join(["id", "organization_id", "created_by", *columns])
        name = table.__tablename__
        statement = text(
            f"INSERT INTO {name} ({named}) SELECT {named} "  # noqa: S608 - the names of our own columns
            f"FROM jsonb_populate_recordset(CAST(NULL AS {name}), CAST(:rows AS jsonb)) "
            f"ON CONFLICT DO NOTHING RETURNING {', '.join(c.name for c in table.__table__.columns)}"
        ).columns(*table.__table__.columns)
        return (await self.tx.execute(statement, {"rows": orjson.dumps(rows).decode()})).mappings().all()


_SET = ", ".join(f"{name} = r.{name}" for name in _CLIENT_COLUMNS)
_UPDATE_CLIENTS = text(
    f"UPDATE clients AS c SET {_SET} "  # noqa: S608 - the names of our own columns
    "FROM jsonb_populate_recordset(CAST(NULL AS clients), CAST(:rows AS jsonb)) AS r "
    f"WHERE c.id = r.id RETURNING {', '.join(f'c.{column.name}' for column in Client.__table__.columns)}"
).columns(*Client.__table__.columns)


def _taken(row: ImportRow) -> RowProblem:
    return row.refused(
        "client_number",
        "Another client has this number.",
        "Choose a number that is free, or import with mode=upsert to change that client.",
        "client_number_taken",
    )


def _key(match_by: MatchBy, value: str) -> str:
    return value if match_by is MatchBy.CLIENT_NUMBER else value.lower()


def _same(stands: Any, value: Any) -> bool:
    if isinstance(stands, Decimal):
        return stands == Decimal(value)
    if isinstance(stands, UUID):
        return value is not None and stands == UUID(str(value))
    return bool(stands == value)


def _json(row: RowMapping) -> Values:
    """The row as jsonb_populate_recordset reads it back."""
    return {name: _plain(row[name]) for name in ("id", *_CLIENT_COLUMNS)}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value) if isinstance(value, UUID | Decimal) else value


def _is_uuid(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
