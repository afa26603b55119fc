"""Invariant 6: no organization's data in another's rows; nothing of a tenant readable in Temporal's file or in logs."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncpg

from tests.factories.invariants import Violation
from tests.faults.sent import House
from workers.devstack.stack import Stack


def files(stack: Stack, houses: Sequence[House]) -> list[Violation]:
    """Temporal's database with its write-ahead log, and every log of the stack."""
    found = []
    places = [*Path(stack.files["temporal"]).parent.iterdir(), *Path(stack.files["logs"]).iterdir()]
    for place in places:
        content = place.read_bytes() if place.is_file() else b""
        for house in houses:
            for canary in (house.canary, house.secret):
                if any(spelling in content for spelling in spellings(canary)):
                    found.append(Violation(6, house.name, f"{canary[:16]}… stands in {place.name}"))
    return found


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


def spellings(canary: str) -> Iterable[bytes]:
    """As it is, and inside base64 at each of the three places where it may begin."""
    plain = canary.encode()
    yield plain
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + plain)
        yield encoded[4 if shift else 0 : -4]  # the first and last quads hold bytes of others as well
