"""Finding clients and contacts: by words, by what they are, in an order, page after page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, cast, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.elements import KeyedColumnElement

from db.base import Base
from db.clients import CLIENT_WORDS, CONTACT_WORDS, Client, Contact

#: What a row was sorted by, and its id.
Position: TypeAlias = tuple[str | datetime, UUID]
#: More words than this find nothing that fewer would not.
MAXIMUM_WORDS = 10


class Sort(StrEnum):
    """`-` begins with the newest, or with the end of the alphabet."""

    CREATED = "created_at"
    NEWEST = "-created_at"
    CHANGED = "updated_at"
    LAST_CHANGED = "-updated_at"
    NAME = "name"
    NAME_DOWN = "-name"


@dataclass(frozen=True, slots=True)
class ClientFilter:
    """What is left out does not filter. `q`: every word in name, company, number or e-mail address."""

    q: str | None = None
    status: str | None = None
    client_type: str | None = None
    assigned_manager: UUID | None = None
    #: Clients whom nobody manages.
    unassigned: bool = False
    tag: str | None = None
    country: str | None = None
    #: Blind indexes of the one tax id that is looked for.
    tax_ids: Sequence[bytes] | None = None


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """What is left out does not filter. `q`: every word in names or e-mail address."""

    q: str | None = None
    client_id: UUID | None = None
    tag: str | None = None
    is_primary: bool | None = None
    can_authorize: bool | None = None
    receives_communications: bool | None = None


def words_of(q: str) -> list[str]:
    """Patterns for ILIKE, the longest word first; `%` and `_` mean themselves."""
    words = sorted(dict.fromkeys(q.split()), key=len, reverse=True)[:MAXIMUM_WORDS]
    escaped = (word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in words)
    return [f"%{word}%" for word in escaped]


def clients(wanted: ClientFilter, *, indexed: bool = True) -> Select[Any]:
    """Every client that fits; `indexed` asks app.search_clients, which app_api alone may call."""
    found = select(Client)
    if wanted.q and (words := words_of(wanted.q)):
        found = found.where(
            _searched("clients", Client.id, words) if indexed else _containing(CLIENT_WORDS, words)
        )
    if wanted.status is not None:
        found = found.where(Client.status == wanted.status)
    if wanted.client_type is not None:
        found = found.where(Client.client_type == wanted.client_type)
    if wanted.assigned_manager is not None:
        found = found.where(Client.assigned_manager == wanted.assigned_manager)
    if wanted.unassigned:
        found = found.where(Client.assigned_manager.is_(None))
    if wanted.tag is not None:
        found = found.where(Client.tags.contains([wanted.tag]))
    if wanted.country is not None:
        found = found.where(Client.country == wanted.country)
    if wanted.tax_ids is not None:
        found = found.where(Client.tax_id_index.in_(wanted.tax_ids))
    return found


def contacts(wanted: ContactFilter, *, indexed: bool = True) -> Select[Any]:
    """Every contact that fits; `indexed` asks app.search_contacts, which app_api alone may call."""
    found = select(Contact)
    if wanted.q and (words := words_of(wanted.q)):
        found = found.where(
            _searched("contacts", Contact.id, words) if indexed else _containing(CONTACT_WORDS, words)
        )
    if wanted.client_id is not None:
        found = found.where(Contact.client_id == wanted.client_id)
    if wanted.tag is not None:
        found = found.where(Contact.tags.contains([wanted.tag]))
    for name in ("is_primary", "can_authorize", "receives_communications"):
        value = getattr(wanted, name)
        if value is not None:
            found = found.where(Contact.__table__.c[name].is_(value))
    return found


def sorted_by(statement: Select[Any], table: type[Base], sort: Sort, after: Position | None) -> Select[Any]:
    """In this order, behind the row at `after`; rows that are equal follow their ids. Each has its `sort_key`."""
    key, id = sort_key(table, sort), table.__table__.c.id
    statement = statement.add_columns(key.label("sort_key"))
    down = sort.value.startswith("-")
    ordered = statement.order_by(key.desc(), id.desc()) if down else statement.order_by(key, id)
    if after is None:
        return ordered
    here, there = tuple_(key, id), tuple_(*after)
    return ordered.where(here < there if down else here > there)


def sort_key(table: type[Base], sort: Sort) -> ColumnElement[Any]:
    columns = table.__table__.c
    name = sort.value.removeprefix("-")
    if name != "name":
        return columns[name]
    return func.lower(columns.name if table is Client else columns.last_name + " " + columns.first_name)


def _searched(table: str, id: Any, words: list[str]) -> ColumnElement[bool]:
    call = getattr(func.app, f"search_{table}")(cast(words, ARRAY(Text())), type_=Uuid())
    found: KeyedColumnElement[Any] = call.table_valued("id").render_derived(name="found").c.id
    condition: ColumnElement[bool] = id.in_(select(found))
    return condition


def _containing(expression: str, words: list[str]) -> ColumnElement[bool]:
    text = literal_column(f"({expression})", Text())
    return and_(*(text.ilike(word) for word in words))
