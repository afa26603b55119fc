"""Closed sets and other CHECKs of the database are those of the models, whose words come from the Python enums."""

import re

import pytest
from sqlalchemy import CheckConstraint, Enum, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine

from db.tables import metadata
from domain.permissions import ROLES, Permission, RoleName

_WORD = re.compile(r"'((?:[^']|'')*)'")
CHECKS = text(
    'SELECT conrelid::regclass::text AS "table", conname, pg_get_constraintdef(oid) AS said FROM pg_constraint '
    "WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND NOT (conrelid IN "
    "(SELECT oid FROM pg_class WHERE relispartition))"
)


def modelled() -> dict[str, str]:
    """Every CHECK of the models, by name, as SQL."""
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
    return {
        str(preparer.format_constraint(constraint)).strip('"'): str(constraint.sqltext)
        for table in metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }


async def stored(admin: AsyncEngine) -> dict[str, str]:
    async with admin.connect() as connection:
        return {row.conname: row.said for row in await connection.execute(CHECKS)}


async def test_the_database_checks_what_the_models_say_and_nothing_else(admin: AsyncEngine) -> None:
    assert (await stored(admin)).keys() == modelled().keys()


async def test_every_closed_set_has_the_words_of_its_enum(admin: AsyncEngine) -> None:
    found, differing = await stored(admin), {}
    for name, said in modelled().items():
        ours, theirs = set(_WORD.findall(said)), set(_WORD.findall(found.get(name, "")))
        if ours != theirs:
            differing[name] = ours ^ theirs
    assert not differing, "a migration and a Python enum disagree"


async def test_enum_types_have_the_words_of_their_enums_in_their_order(admin: AsyncEngine) -> None:
    types = {
        column.type.name: list(column.type.enums)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Enum)
    }
    assert types.keys() >= {"subscription_status", "document_visibility"}
    async with admin.connect() as connection:
        for name, words in types.items():
            labels = await connection.scalars(
                text("SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype(:n) ORDER BY enumsortorder"),
                {"n": name},
            )
            assert list(labels) == words, name


async def test_every_table_that_has_a_moment_of_change_keeps_it(admin: AsyncEngine) -> None:
    async with admin.connect() as connection:
        touched = set(
            await connection.scalars(
                text(
                    "SELECT tgrelid::regclass::text FROM pg_trigger "
                    "WHERE tgfoid = 'app.touch'::regproc AND tgtype & 2 = 2 AND tgtype & 16 = 16"
                )
            )
        )
    columns = {table.name for table in metadata.sorted_tables if "updated_at" in table.c}
    assert touched == columns


@pytest.mark.parametrize(
    ("function", "permission"),
    [
        ("audits", Permission.AUDIT_READ),
        ("decides_tasks", Permission.TASKS_DECIDE),
        ("reads_executions", Permission.EXECUTIONS_READ),
    ],
)
async def test_who_may_is_known_to_the_database_as_to_the_code(
    admin: AsyncEngine, function: str, permission: Permission
) -> None:
    async with admin.connect() as connection:
        source = text("SELECT prosrc FROM pg_proc WHERE proname = :function")
        body = str(await connection.scalar(source, {"function": function}))
    words = _WORD.findall(body)
    assert {word for word in words if word in set(RoleName)} == {
        name for name, may in ROLES.items() if permission in may
    }
    assert {word for word in words if ":" in word} == {permission.value}


async def test_no_flag_is_undecided(admin: AsyncEngine) -> None:
    """Three-valued flags are read as two."""
    async with admin.connect() as connection:
        flags = await connection.scalars(
            text(
                "SELECT attrelid::regclass || '.' || attname FROM pg_attribute WHERE atttypid = 'boolean'::regtype "
                "AND NOT attnotnull AND attnum > 0 AND attrelid IN (SELECT oid FROM pg_class "
                "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p'))"
            )
        )
        assert list(flags) == []
