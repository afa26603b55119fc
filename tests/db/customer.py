"""What the customer's document asks for, read from its SQL: one Wish per table, column, constraint and so on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Beside the repository; whoever has only the repository has no such document.
DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "seed" / "database-schema-and-architecture.md"

_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)
_TABLE = re.compile(r'^CREATE TABLE "(\w+)" \(\n(.*?)^\);', re.DOTALL | re.MULTILINE)
_COLUMN = re.compile(
    r'^  "(?P<name>\w+)" (?P<type>[a-z]+(?:\[\])?(?:\([\d,]+\))?)(?P<rest>[^\n]*?),?\s*(?:--(?P<comment>[^\n]*))?$',
    re.MULTILINE,
)
_WORDS = re.compile(r"'([^']*)'")
_REFERENCE = re.compile(r"REFERENCES (\w+)\((\w+)\)(?: ON DELETE (\w+))?")
_DEFAULT = re.compile(r"DEFAULT (.+?)(?= REFERENCES| UNIQUE| NOT NULL|,?$)")


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing of the document: its kind, the name by which `docs/schema-decisions.md` would call it, its parts."""

    kind: str
    name: str
    table: str = ""
    column: str = ""
    detail: tuple[str, ...] = field(default=())


def wishes(document: str) -> list[Wish]:
    """Everything the document's SQL makes."""
    found: list[Wish] = []
    for block in _BLOCK.findall(document):
        for table, body in _TABLE.findall(block):
            found += _table(table, body)
        found += _others(block)
    return found


def _table(table: str, body: str) -> Iterator[Wish]:
    yield Wish("table", table, table)
    for match in _COLUMN.finditer(body):
        yield from _column(table, match)
    for columns in re.findall(r"^  UNIQUE\((.*?)\)", body, re.MULTILINE):
        names = tuple(re.findall(r'"(\w+)"', columns))
        yield Wish("unique", f"{table} ({', '.join(names)}) unique", table, detail=names)


def _column(table: str, match: re.Match[str]) -> Iterator[Wish]:
    name, kind, rest = match["name"], match["type"], match["rest"]
    where = f"{table}.{name}"
    yield Wish("column", where, table, name)
    yield Wish("type", f"{where} {kind}", table, name, (kind,))
    if "PRIMARY KEY" in rest:
        yield Wish("primary key", f"{where} primary key", table, name)
    if "NOT NULL" in rest:
        yield Wish("not null", f"{where} not null", table, name)
    if "UNIQUE" in rest:
        yield Wish("unique", f"{where} unique", table, name, (name,))
    if reference := _REFERENCE.search(rest):
        parent, _, deleting = reference.groups()
        yield Wish("reference", f"{where} references {parent}", table, name, (parent,))
        if deleting:
            said = f"{where} on delete {deleting.lower()}"
            yield Wish("on delete", said, table, name, (parent, deleting))
    if default := _DEFAULT.search(rest.strip()):
        yield Wish("default", f"{where} default {default[1]}", table, name, (default[1],))
    # An example may stand alone, a closed set has two members at least.
    words = tuple(_WORDS.findall(match["comment"] or ""))
    if len(words) > 1:
        yield Wish("values", f"{where} values {', '.join(words)}", table, name, words)


def _others(block: str) -> Iterator[Wish]:
    for name, values in re.findall(r'CREATE TYPE "(\w+)" AS ENUM \((.*?)\)', block, re.DOTALL):
        yield Wish("enum", name)
        for value in _WORDS.findall(values):
            yield Wish("enum value", f"{name} {value}", detail=(name, value))
    for name, table in re.findall(r'CREATE INDEX (?:\w+ )*?"(\w+)"\s+ON "(\w+)"', block):
        yield Wish("index", name, table)
    for table, name in re.findall(r'ALTER TABLE "(\w+)"\s+ADD CONSTRAINT "(\w+)"', block):
        yield Wish("constraint", name, table)
    for table in re.findall(r'ALTER TABLE "(\w+)" ENABLE ROW LEVEL SECURITY', block):
        yield Wish("row security", f"{table} row security", table)
    for name, table in re.findall(r'CREATE POLICY "(\w+)" ON "(\w+)"', block):
        yield Wish("policy", name, table)
    for name in re.findall(r"FUNCTION (\w+)\(\)", block):
        yield Wish("function", name)
    for name, table in re.findall(r'CREATE TABLE "(\w+)" PARTITION OF "(\w+)"', block):
        yield Wish("table", table, table)
        yield Wish("partition", name, table)
    for name, query in re.findall(r'CREATE MATERIALIZED VIEW "(\w+)" AS\n(.*?);', block, re.DOTALL):
        yield Wish("view", name)
        for line in query.partition("FROM")[0].splitlines():
            if column := re.search(r"(\w+),?\s*$", line.replace("SELECT", "")):
                yield Wish("view column", f"{name}.{column[1]}", detail=(name, column[1]))
    # Tables that only their references name.
    for parent in re.findall(r"REFERENCES (\w+)\(", block):
        yield Wish("table", parent, parent)
