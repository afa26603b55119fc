"""The ground every table stands on: names of constraints, column types, tenant keys and closed sets.

Declarative classes only describe tables; statements are written in Core against their columns.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Constraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.schema import ColumnCollectionMixin

type_map = {
    UUID: Uuid(),
    datetime: DateTime(timezone=True),
    str: Text(),
    dict[str, Any]: JSONB(none_as_null=True),
}


def _own_columns(constraint: Constraint | Index, _: Table) -> str:
    """Names tell what differs: a tenant table's keys all begin with the organization, so it is left out."""
    assert isinstance(constraint, ColumnCollectionMixin)
    names = [column.name for column in constraint.columns]
    return "_".join([name for name in names if name != "organization_id"] or names)


class Base(DeclarativeBase):
    """All tables of Perdure."""

    metadata = MetaData(
        naming_convention={
            "own_columns": _own_columns,
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(own_columns)s",
            "ix": "ix_%(table_name)s_%(own_columns)s",
            "fk": "fk_%(table_name)s_%(own_columns)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = type_map


Id = Annotated[
    UUID,
    mapped_column(primary_key=True, server_default=text("gen_random_uuid()"), sort_order=-2),
]
UserRef = Annotated[UUID, mapped_column(ForeignKey("users.id"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=text("now()"), sort_order=90)]
#: Kept current by the trigger `touch` on every table that has it.
UpdatedAt = Annotated[datetime, mapped_column(server_default=text("now()"), sort_order=91)]
Yes = Annotated[bool, mapped_column(server_default=text("true"))]
No = Annotated[bool, mapped_column(server_default=text("false"))]
JsonObject = Annotated[dict[str, Any], mapped_column(JSONB(none_as_null=True), server_default=text("'{}'"))]
JsonList = Annotated[list[Any], mapped_column(JSONB(none_as_null=True), server_default=text("'[]'"))]
#: Any JSON value; SQL NULL means there is none.
JsonValue = Annotated[Any, mapped_column(JSONB(none_as_null=True), nullable=True)]
#: Holds what a data key sealed for `<table>.<column>/<id>`; `db.sealed` names each, so that rotation finds it.
Sealed = Annotated[bytes, mapped_column(LargeBinary(), info={"sealed": True})]
#: The same in a column of the customer's that is text: base64.
SealedText = Annotated[str, mapped_column(Text(), info={"sealed": True})]
Words = Annotated[list[str], mapped_column(ARRAY(Text()), server_default=text("'{}'"))]


class Tenant:
    """A table whose every row belongs to one organization and is hidden from all others."""

    organization_id: Mapped[UUID] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), sort_order=-1
    )


def tenant_key() -> UniqueConstraint:
    """What composite foreign keys refer to, and the index that leads with the organization."""
    return UniqueConstraint("organization_id", "id")


def within(
    column: str, parent: str, *, ondelete: str | None = None, use_alter: bool = False
) -> ForeignKeyConstraint:
    """`column` refers to a row of `parent` in the same organization; no other one can be stored."""
    return ForeignKeyConstraint(
        ["organization_id", column],
        [f"{parent}.organization_id", f"{parent}.id"],
        ondelete=ondelete,
        use_alter=use_alter,
    )


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """`column` holds a member of a closed set (NULL passes where the column allows it)."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
