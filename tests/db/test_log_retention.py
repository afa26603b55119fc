"""The activity log is kept as long as each organization wishes, and nobody but one function takes a line out of it."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.session import Access, Database, Role
from db.tables import metadata
from db.tenants import PLATFORM, Organization
from domain.blobs import NoBlobs
from tests.factories import rows
from workers.sweeps import STRAY_ACTIVITIES, Sweeper

LOG = metadata.tables["activity_logs"]
NOW = datetime.now(UTC)
RETIRE = text("SELECT app.retire_activities(:batch)")


async def month_of(connection: AsyncConnection, moment: datetime) -> str:
    """The partition of a month long ago, as it would have been made then."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    name = f"activity_logs_y{first:%Y}m{first:%m}"
    if await connection.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is None:
        following = (first + timedelta(days=32)).replace(day=1)
        await connection.execute(text("SET LOCAL ROLE app_owner"))
        for statement in (
            f"CREATE TABLE {name} PARTITION OF activity_logs "
            f"FOR VALUES FROM ('{first.isoformat()}') TO ('{following.isoformat()}')",
            f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        ):
            await connection.exec_driver_sql(statement)
        await connection.execute(text("RESET ROLE"))
    return name


async def organization(connection: AsyncConnection, days: int | None) -> UUID:
    made = await rows.organization(connection, settings={"retention": {"audit_days": days}})
    id: UUID = made["id"]
    return id


async def line(connection: AsyncConnection, organization_id: UUID, ago: int) -> str:
    """A line of so many days ago; where it lies."""
    partition = await month_of(connection, NOW - timedelta(days=ago))
    await rows.row(
        connection, "activity_logs", organization_id, created_at=NOW - timedelta(days=ago), action="x"
    )
    return partition


async def retire(database: Database, batch: int = 1_000) -> int:
    async with database.transaction(Access(Role.SYSTEM)) as tx:
        return int(await tx.scalar(RETIRE, {"batch": batch}) or 0)


async def ages(connection: AsyncConnection, organization_id: UUID) -> list[int]:
    found = await connection.scalars(
        select(LOG.c.created_at).where(LOG.c.organization_id == organization_id, LOG.c.action == "x")
    )
    return sorted((NOW - moment).days for moment in found)


async def forgetful_platform(connection: AsyncConnection) -> None:
    settings = {"retention": {"audit_days": 90}}
    await connection.execute(
        update(Organization).where(Organization.id == PLATFORM).values(settings=settings)
    )


async def test_each_organization_keeps_its_own_log_as_long_as_it_wishes(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        short, long, for_ever = [await organization(connection, days) for days in (100, 400, None)]
        for each in (short, long, for_ever):
            for ago in (10, 95, 105, 390, 410):
                await line(connection, each, ago)
    while await retire(narrow, 2):
        pass
    async with admin.begin() as connection:
        assert await ages(connection, short) == [10, 95]
        assert await ages(connection, long) == [10, 95, 105, 390]
        assert await ages(connection, for_ever) == [10, 95, 105, 390, 410]
        still_open = text(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'activity_logs_%' AND relkind = 'r' "
            "AND NOT relforcerowsecurity"
        )
        assert await connection.scalar(still_open) == 0, "every month is closed again"


async def test_a_month_that_nobody_keeps_goes_whole(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        await forgetful_platform(connection)
        short, long = [await organization(connection, days) for days in (90, 200)]
        gone = await line(connection, short, 300)
        kept = await line(connection, long, 170)
        await line(connection, long, 300)
    assert await retire(narrow) > 0
    async with admin.begin() as connection:
        assert await connection.scalar(text("SELECT to_regclass(:name)"), {"name": gone}) is None
        assert await connection.scalar(text("SELECT to_regclass(:name)"), {"name": kept}) is not None
        assert await ages(connection, long) == [170]


async def test_a_month_out_of_which_the_last_line_went_goes_too(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        await organization(connection, None)
        emptied = await line(connection, await organization(connection, 90), 200)
    await retire(narrow)
    async with admin.begin() as connection:
        assert await connection.scalar(text("SELECT to_regclass(:name)"), {"name": emptied}) is None


@pytest.mark.parametrize("settings", [{}, {"retention": 7}, {"retention": {"audit_days": "soon"}}])
async def test_what_no_release_wrote_keeps_for_ever(
    admin: AsyncEngine, narrow: Database, settings: dict[str, Any]
) -> None:
    async with admin.begin() as connection:
        acme = await organization(connection, None)
        await connection.execute(
            update(Organization).where(Organization.id == acme).values(settings=settings)
        )
        await line(connection, acme, 4_000)
    await retire(narrow)
    async with admin.begin() as connection:
        assert await ages(connection, acme) == [4_000]


async def test_nothing_younger_than_ninety_days_goes_whatever_stands_there(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await organization(connection, 1)
        for ago in (80, 89, 130):
            await line(connection, acme, ago)
    await retire(narrow)
    async with admin.begin() as connection:
        assert await ages(connection, acme) == [80, 89]


async def test_a_sweep_retires_and_tells_of_lines_outside_of_every_month(
    admin: AsyncEngine, narrow: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with admin.begin() as connection:
        acme = await organization(connection, 100)
        await line(connection, acme, 200)
        await rows.row(connection, "activity_logs", acme, created_at=NOW + timedelta(days=900), action="x")
    with caplog.at_level(logging.ERROR):
        swept = await Sweeper(narrow, NoBlobs(), lambda: NOW).sweep()
    assert swept["activities"] == 1
    assert STRAY_ACTIVITIES._value.get() == 1
    assert "1 lines of the activity log lie outside" in caplog.text


async def test_who_reads_an_old_month_is_not_held_up_for_long(admin: AsyncEngine, narrow: Database) -> None:
    """The function gives up after two seconds, and the next sweep tries again."""
    async with admin.begin() as connection:
        acme = await organization(connection, 90)
        await line(connection, acme, 200)
    async with admin.begin() as reading:
        await ages(reading, acme)
        with pytest.raises(Exception, match="lock timeout"):
            await retire(narrow)
    assert await retire(narrow) > 0
