"""Invariant 6: no organization's data in another's rows; nothing of a tenant readable in Temporal's file or in logs."""

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from tests.factories.canaries import Search
from tests.factories.invariants import Violation
from tests.faults.sent import House
from workers.devstack.stack import Stack


def files(stack: Stack, houses: Sequence[House]) -> list[Violation]:
    """Temporal's database with its write-ahead log, and every log of the stack, in every form of a word."""
    search = Search(word for house in houses for word in (house.canary, house.secret))
    places = [*Path(stack.files["temporal"]).parent.iterdir(), *Path(stack.files["logs"]).iterdir()]
    found = [sighting for place in places if place.is_file() for sighting in search.in_file(place)]
    return [Violation(6, each.word, f"stands in {Path(each.where).name}") for each in found]


async def rows(admin: asyncpg.Connection, houses: Sequence[House]) -> list[Violation]:
    """A canary may stand in its own organization's rows, a secret in nobody's."""
    tables = await admin.fetch(
        "SELECT c.relname, EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid"
        " AND a.attname = 'organization_id') AS owned FROM pg_class c"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace"
    )
    found = []
    for table in tables:
        name, owned = table["relname"], table["owned"]
        for house in houses:
            if number := await _holding(admin, name, house.secret):
                found.append(Violation(6, house.name, f"{number} rows of {name} hold a secret"))
            elsewhere = "organization_id IS DISTINCT FROM $2" if owned else "$2::uuid IS NOT NULL"
            if number := await _holding(admin, name, house.canary, elsewhere, house.id):
                found.append(
                    Violation(6, house.name, f"{number} rows of {name} that are not its own hold its data")
                )
    return found


async def _holding(
    admin: asyncpg.Connection, table: str, canary: str, where: str = "true", *values: object
) -> int:
    looking = f'SELECT count(*) FROM "{table}" t WHERE t::text ~ $1 AND {where}'
    spelled = "|".join([canary, canary.encode().hex()])
    return int(await admin.fetchval(looking, spelled, *values))
