"""No tenant reads or writes another's rows, on any table, by any operation, from any context."""

from sqlalchemy.ext.asyncio import AsyncEngine

from db.tables import metadata
from tests.db.isolation import findings, owner
from tests.db.world import settle
from tests.factories.rows import SAMPLES


def test_every_table_has_rows_to_be_tested_with() -> None:
    missing = metadata.tables.keys() - SAMPLES.keys()
    assert not missing, (
        f"no sample values for {', '.join(sorted(missing))}: add them to SAMPLES in tests/factories/rows.py, "
        "so that the isolation test covers the table"
    )


async def test_no_role_crosses_the_border_of_an_organization(admin: AsyncEngine, app: AsyncEngine) -> None:
    world = await settle(admin)
    empty = [
        f"{table.name} of {tenant['name']}"
        for table in metadata.sorted_tables
        for tenant in (world.a, world.b)
        if "organization_id" in table.c
        and not any(row["organization_id"] == tenant["id"] for row in world.everything[table.name])
    ]
    assert not empty, f"nothing to leak in {empty}"
    assert await findings(app, world) == []
    assert await owner(admin) == []
