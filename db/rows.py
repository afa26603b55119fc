"""What repositories share: a row that must exist, a change nobody overtook, a page, a plain refusal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias, TypeVarTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    RowMapping,
    Select,
    delete,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from db.base import Base
from domain.errors import DomainError, NotFound, Stale

#: The last row of the page before: when it was created, and its id.
Before: TypeAlias = tuple[datetime, UUID]
Columns = TypeVarTuple("Columns")


def one(result: CursorResult[Any]) -> RowMapping:
    """The single row, or NotFound: rows of other organizations are invisible, their ids answer the same."""
    row = result.mappings().one_or_none()
    if row is None:
        raise NotFound()
    return row


async def many(tx: AsyncConnection, statement: Executable) -> Sequence[RowMapping]:
    return (await tx.execute(statement)).mappings().all()


def newest_first(
    statement: Select[*Columns],
    created_at: InstrumentedAttribute[datetime],
    id: InstrumentedAttribute[UUID],
    before: Before | None,
) -> Select[*Columns]:
    """Order by creation, newest first, and begin after the row `before`."""
    ordered = statement.order_by(created_at.desc(), id.desc())
    return ordered if before is None else ordered.where(tuple_(created_at, id) < before)


def containing(q: str, *columns: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Whether one of the columns contains the text, ignoring case; `%` and `_` mean themselves."""
    return or_(*(column.icontains(q, autoescape=True) for column in columns))


def unchanged(column: InstrumentedAttribute[Any], seen: Any) -> ColumnElement[bool]:
    """Whether the row still is what the caller saw; None stands for a caller who does not mind."""
    return true() if seen is None else column == seen


async def change(
    tx: AsyncConnection,
    table: type[Base],
    id: UUID,
    guard: ColumnElement[bool],
    values: Mapping[str, Any],
) -> RowMapping:
    """Update one row while `guard` holds; all its columns afterwards. Raises NotFound, Stale (no guard)."""
    columns = table.__table__.c
    still = (columns.id == id, guard)
    statement: Executable = select(*columns).where(*still)  # changing nothing is no change
    if values:
        statement = update(table).where(*still).values(**values).returning(*columns)
    row = (await tx.execute(statement)).mappings().one_or_none()
    return row if row is not None else await _missed(tx, table, id)


async def remove(tx: AsyncConnection, table: type[Base], id: UUID, guard: ColumnElement[bool]) -> None:
    """Delete one row while `guard` holds. Raises NotFound, or Stale when it does not."""
    if (await tx.execute(delete(table).where(table.__table__.c.id == id, guard))).rowcount == 0:
        await _missed(tx, table, id)


async def _missed(tx: AsyncConnection, table: type[Base], id: UUID) -> RowMapping:
    key = table.__table__.c.id
    one(await tx.execute(select(key).where(key == id)))
    raise Stale()


@contextmanager
def refusing(refusals: Mapping[str, Callable[[], DomainError]]) -> Iterator[None]:
    """Turn the violation of a named constraint into the refusal that says so in the caller's words."""
    try:
        yield
    except IntegrityError as error:
        name = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)
        refusal = refusals.get(name or "")
        if refusal is None:
            raise
        raise refusal() from error
