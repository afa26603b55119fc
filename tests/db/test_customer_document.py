"""The customer's document: everything in it is in the migrated database, or docs/schema-decisions.md replaces it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.db.customer import DOCUMENT, Wish, wishes

DECISIONS = Path(__file__).resolve().parents[2] / "docs" / "schema-decisions.md"
#: More would be another schema than the customer's.
MOST_COLUMNS_REPLACED = 15
#: A row of a table of replacements: what was asked for, what stands in its place, why.
_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
#: Types that differ by rule; the document of decisions tells both rules.
RULES = {
    "varchar": {"uuid", "text"},
    "timestamp": {"timestamp with time zone"},
}

needs_the_document = pytest.mark.skipif(
    not DOCUMENT.exists(), reason="the customer's document lies beside the repository, and is not there"
)


def asked() -> list[Wish]:
    return list(dict.fromkeys(wishes(DOCUMENT.read_text())))


def replaced() -> dict[str, tuple[str, str]]:
    """What the decisions replace: name → replacement and reason."""
    chapter = DECISIONS.read_text().split("## What was replaced", 1)[1].split("\n## ", 1)[0]
    rows = _ROW.findall(chapter)
    assert len({row[0] for row in rows}) == len(rows), "something is replaced twice"
    return {name: (replacement, reason) for name, replacement, reason in rows}


@pytest.fixture
async def catalogue(admin: AsyncEngine) -> AsyncIterator["Catalogue"]:
    async with admin.connect() as connection:
        yield Catalogue(connection)


class Catalogue:
    """Whether the migrated database has what was asked for."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def has(self, wish: Wish) -> bool:
        check = getattr(self, "_" + wish.kind.replace(" ", "_"))
        return bool(await check(wish))

    async def names(self, word: str) -> bool:
        """Whether anything at all bears this name: `table`, `table.column`, an index, a function, a view …"""
        table, _, column = word.rpartition(".")
        if table and await self._ask("column", table, column):
            return True
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_class WHERE relname = :name AND relnamespace::regnamespace::text IN "
            "('public', 'app')) OR EXISTS (SELECT FROM pg_proc WHERE proname = :name AND "
            "pronamespace = 'app'::regnamespace) OR EXISTS (SELECT FROM pg_constraint WHERE conname = :name) "
            "OR EXISTS (SELECT FROM pg_policies WHERE policyname = :name)",
            name=column if table == "app" else word,
        )

    async def _one(self, query: str, **values: Any) -> Any:
        return await self._connection.scalar(text(query), values)

    async def _ask(self, what: str, table: str, column: str) -> Any:
        """One fact about a column; None when there is no such column."""
        facts = {
            "column": "true",
            "type": "format_type(a.atttypid, a.atttypmod)",
            "not null": "a.attnotnull",
            "default": "pg_get_expr(d.adbin, d.adrelid)",
        }
        return await self._one(
            f"SELECT {facts[what]} FROM pg_attribute AS a "
            "LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
            "WHERE a.attrelid = to_regclass('public.' || quote_ident(:table)) AND a.attname = :column "
            "AND NOT a.attisdropped",
            table=table,
            column=column,
        )

    async def _table(self, wish: Wish) -> Any:
        return await self._one("SELECT to_regclass('public.' || :name) IS NOT NULL", name=wish.table)

    async def _column(self, wish: Wish) -> Any:
        return await self._ask("column", wish.table, wish.column)

    async def _type(self, wish: Wish) -> bool:
        theirs = wish.detail[0]
        ours = await self._ask("type", wish.table, wish.column)
        return ours == theirs or ours in RULES.get(theirs.partition("(")[0], set())

    async def _not_null(self, wish: Wish) -> Any:
        return await self._ask("not null", wish.table, wish.column)

    async def _default(self, wish: Wish) -> bool:
        ours = await self._ask("default", wish.table, wish.column)
        kind = await self._ask("type", wish.table, wish.column)
        if ours is None:
            return False
        if "gen_random_uuid" in ours:
            return wish.detail[0] == ours
        # Both are asked in one transaction, in which now() stands still.
        return bool(await self._one(f"SELECT ({wish.detail[0]})::{kind} = ({ours})".replace(":", "\\:")))

    async def _primary_key(self, wish: Wish) -> Any:
        return await self._unique_by(wish.table, (wish.column,), "p")

    async def _unique(self, wish: Wish) -> Any:
        return await self._unique_by(wish.table, wish.detail, "u")

    async def _unique_by(self, table: str, columns: tuple[str, ...], kind: str) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_constraint AS c WHERE c.contype::text = :kind "
            "AND c.conrelid = to_regclass('public.' || :table) AND :columns = "
            "(SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute "
            "WHERE attrelid = c.conrelid AND attnum = ANY (c.conkey)))",
            kind=kind,
            table=table,
            columns=",".join(sorted(columns)),
        )

    async def _reference(self, wish: Wish) -> Any:
        return await self._refers(wish, "%")

    async def _on_delete(self, wish: Wish) -> Any:
        assert wish.detail[1] == "CASCADE"
        return await self._refers(wish, "c")

    async def _refers(self, wish: Wish, deleting: str) -> Any:
        """Alone, or together with the organization."""
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid "
            "AND a.attnum = ANY (c.conkey) WHERE c.contype = 'f' AND a.attname = :column "
            "AND c.conrelid = to_regclass('public.' || :table) AND c.confrelid = to_regclass('public.' || :parent) "
            "AND c.confdeltype::text LIKE :deleting)",
            table=wish.table,
            column=wish.column,
            parent=wish.detail[0],
            deleting=deleting,
        )

    async def _values(self, wish: Wish) -> bool:
        """Whether the column's closed set has all of them."""
        kind = await self._ask("type", wish.table, wish.column)
        of_type = await self._connection.scalars(
            text("SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype(:kind)"), {"kind": kind}
        )
        checks = await self._connection.scalars(
            text(
                "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.contype = 'c' "
                "AND c.conrelid = to_regclass('public.' || :table) AND c.conkey = ARRAY(SELECT attnum "
                "FROM pg_attribute WHERE attrelid = c.conrelid AND attname = :column)"
            ),
            {"table": wish.table, "column": wish.column},
        )
        closed = set(of_type).union(*(re.findall(r"'([^']*)'", check) for check in checks))
        return set(wish.detail) <= closed

    async def _enum(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_enum WHERE enumtypid = to_regtype(:n))", n=wish.name
        )

    async def _enum_value(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_enum WHERE enumtypid = to_regtype(:name) AND enumlabel = :value)",
            name=wish.detail[0],
            value=wish.detail[1],
        )

    async def _index(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_indexes WHERE indexname = :name AND tablename = :table)",
            name=wish.name,
            table=wish.table,
        )

    async def _constraint(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = :name "
            "AND conrelid = to_regclass('public.' || :table))",
            name=wish.name,
            table=wish.table,
        )

    async def _row_security(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT relrowsecurity AND relforcerowsecurity FROM pg_class "
            "WHERE oid = to_regclass('public.' || :table)",
            table=wish.table,
        )

    async def _policy(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_policies WHERE policyname = :name AND tablename = :table)",
            name=wish.name,
            table=wish.table,
        )

    async def _function(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_proc WHERE proname = :name AND pronamespace::regnamespace::text IN "
            "('public', 'app') AND EXISTS (SELECT FROM pg_trigger WHERE tgfoid = pg_proc.oid))",
            name=wish.name,
        )

    async def _partition(self, wish: Wish) -> Any:
        return await self._one("SELECT to_regclass('public.' || :name) IS NOT NULL", name=wish.name)

    async def _view(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_matviews WHERE matviewname = :name)", name=wish.name
        )

    async def _view_column(self, wish: Wish) -> Any:
        return await self._one(
            "SELECT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
            "WHERE c.relkind = 'm' AND c.relname = :view AND a.attname = :column)",
            view=wish.detail[0],
            column=wish.detail[1],
        )


@needs_the_document
def test_the_reader_of_the_document_overlooks_nothing() -> None:
    document = DOCUMENT.read_text()
    counted: dict[str, int] = {}
    for wish in asked():
        counted[wish.kind] = counted.get(wish.kind, 0) + 1
    sql = re.sub(r"--.*", "", "".join(re.findall(r"```sql\n(.*?)```", document, re.DOTALL)))
    assert counted["column"] == len(re.findall(r'^  "\w+" \w', sql, re.MULTILINE))
    assert counted["primary key"] == len(re.findall(r"^CREATE TABLE \"\w+\" \(", sql, re.MULTILINE))
    assert counted["not null"] == len(re.findall("NOT NULL", sql))
    assert counted["reference"] == len(re.findall("REFERENCES", sql))
    assert counted["on delete"] == len(re.findall("ON DELETE", sql))
    assert counted["unique"] == len(re.findall("UNIQUE", sql))
    assert counted["default"] == len(re.findall("DEFAULT", sql))
    assert counted["index"] == len(re.findall("CREATE INDEX", sql))
    assert counted["enum"] == len(re.findall("CREATE TYPE", sql))
    assert counted["constraint"] == len(re.findall("ADD CONSTRAINT", sql))
    assert counted["policy"] == len(re.findall("CREATE POLICY", sql))
    assert counted["function"] == len(re.findall(r"CREATE OR REPLACE FUNCTION", sql))
    assert counted["partition"] == len(re.findall("PARTITION OF", sql))
    assert counted["view"] == len(re.findall("CREATE MATERIALIZED VIEW", sql))
    # Beyond those with a definition: roles, subscription_plans, folders, activity_logs.
    assert counted["table"] == counted["primary key"] + 4


@needs_the_document
async def test_everything_asked_for_is_there_or_replaced(catalogue: Catalogue) -> None:
    absent = [wish for wish in asked() if not await catalogue.has(wish)]
    # What is asked of a column that is replaced is replaced with it.
    gone = {(wish.table, wish.column) for wish in absent if wish.kind == "column"}
    missing = {
        wish.name: wish.kind
        for wish in absent
        if wish.kind == "column" or (wish.table, wish.column) not in gone
    }
    decided = replaced()
    undecided = [f"{kind}: {name}" for name, kind in missing.items() if name not in decided]
    assert not undecided, "build it, or say in docs/schema-decisions.md what replaces it:\n" + "\n".join(
        undecided
    )
    idle = sorted(decided.keys() - missing.keys())
    assert not idle, "docs/schema-decisions.md replaces what is there, or was never asked for: " + ", ".join(
        idle
    )
    columns = [name for name, kind in missing.items() if kind == "column"]
    assert len(columns) <= MOST_COLUMNS_REPLACED, columns


async def test_every_replacement_exists_and_has_a_reason(catalogue: Catalogue) -> None:
    for name, (replacement, reason) in replaced().items():
        named = _CODE.findall(replacement)
        assert named, f"{name}: say in backticks what replaces it"
        absent = [word for word in named if not await catalogue.names(word)]
        assert not absent, f"{name} is replaced by what does not exist: {', '.join(absent)}"
        assert len(reason.split()) > 3, f"{name}: a reason is a sentence"
