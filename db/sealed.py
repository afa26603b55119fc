"""Which columns hold sealed values, and where in them each is at home: rotation seals all of them again."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Table

from db.base import Base
from db.clients import Client
from db.secrets import SecretVersion


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A `bytea` column of a tenant table with a `uuid` id, sealed for `place(table, column, id)`.

    `index` is the column of its blind index, when values can be looked up. Workers need SELECT on the table and
    UPDATE of the columns.
    """

    model: type[Base]
    column: str
    index: str | None = None

    @property
    def table(self) -> Table:
        table = self.model.__table__
        assert isinstance(table, Table)
        return table

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"


#: Every column that is sealed; a test holds each `bytea` column of the schema to this list or to its reason.
SEALED_COLUMNS = (
    SealedColumn(SecretVersion, "value"),
    SealedColumn(Client, "tax_id", index="tax_id_index"),
)


def place(table: str, column: str, id: UUID) -> str:
    """What a sealed value is bound to: moved to another row or column it does not open."""
    return f"{table}.{column}/{id}"
