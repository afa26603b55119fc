"""The customer's own database, built from the SQL of their document; mended only where that does not build."""

import re
from collections.abc import Iterator

import asyncpg

from tests.db.customer import DOCUMENT

_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)
#: Referenced by the document and defined nowhere in it; and the column that its index and its script want.
MENDS = (
    "CREATE TABLE roles (id varchar PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, permissions jsonb)",
    """
    CREATE TABLE subscription_plans (id varchar PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL,
      features jsonb DEFAULT '[]', monthly_price numeric(10,2), yearly_price numeric(10,2),
      created_at timestamp DEFAULT now())
    """,
    """
    CREATE TABLE folders (id varchar PRIMARY KEY DEFAULT gen_random_uuid(), organization_id varchar NOT NULL,
      parent_id varchar, name text NOT NULL, created_by varchar, created_at timestamp DEFAULT now())
    """,
    """
    CREATE TABLE activity_logs (id varchar DEFAULT gen_random_uuid(), user_id varchar, action text, resource text,
      resource_id varchar, metadata jsonb, created_at timestamp NOT NULL DEFAULT now())
      PARTITION BY RANGE (created_at)
    """,
)
AFTER_USERS = "ALTER TABLE users ADD COLUMN organization_id varchar"


def statements() -> Iterator[str]:
    """Every statement of the document, as it is written."""
    for block in _BLOCK.findall(DOCUMENT.read_text()):
        yield from split(block)


def split(sql: str) -> Iterator[str]:
    """At semicolons outside of `$$` bodies and comments."""
    plain = re.sub(r"--[^\n]*", "", sql)
    parts, bodies = [], plain.split("$$")
    for number, part in enumerate(bodies):
        if number % 2:
            parts.append(f"$${part}$$")
        else:
            parts.append(part)
    current = ""
    for part in parts:
        if part.startswith("$$"):
            current += part
            continue
        *ended, rest = part.split(";")
        for each in ended:
            if (current + each).strip():
                yield (current + each).strip()
            current = ""
        current += rest
    if current.strip():
        yield current.strip()


async def build(url: str) -> list[str]:
    """Runs the document in an empty database, in whatever order works; returns what never did."""
    connection = await asyncpg.connect(url)
    try:
        for mend in MENDS:
            await connection.execute(mend)
        waiting = list(statements())
        while waiting:
            left = []
            for statement in waiting:
                try:
                    await connection.execute(statement)
                except asyncpg.UndefinedTableError:
                    left.append(statement)
                else:
                    if statement.startswith('CREATE TABLE "users"'):
                        await connection.execute(AFTER_USERS)
            if len(left) == len(waiting):
                return left
            waiting = left
        return []
    finally:
        await connection.close()
