"""The activity log's months are made ahead, and rows of a month that was forgotten move into it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.session import Access, Database, Role
from db.tenants import ActivityLog
from tests.factories import rows

WHERE = text("SELECT tableoid::regclass::text FROM activity_logs WHERE id = :id")


async def make(database: Database, ahead: int) -> int:
    async with database.transaction(Access(Role.SYSTEM)) as tx:
        return int(await tx.scalar(text("SELECT app.make_partitions(:ahead)"), {"ahead": ahead}) or 0)


async def test_partitions_are_made_once(narrow: Database, admin: AsyncEngine) -> None:
    assert await make(narrow, 3) == 0, "the migration made this month and the next three"
    assert await make(narrow, 5) == 2
    assert await make(narrow, 5) == 0


async def test_a_row_written_before_its_month_was_made_moves_there(
    narrow: Database, admin: AsyncEngine
) -> None:
    far = datetime.now(UTC) + timedelta(days=200)
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        entry = await rows.row(connection, "activity_logs", acme["id"], created_at=far)
        assert await connection.scalar(WHERE, {"id": entry["id"]}) == "activity_logs_default"
    assert await make(narrow, 8) == 5
    async with admin.begin() as connection:
        assert await connection.scalar(WHERE, {"id": entry["id"]}) == f"activity_logs_y{far:%Y}m{far:%m}"
    async with narrow.transaction(Access(Role.WORKER, acme["id"])) as tx:
        assert entry["id"] in (await tx.scalars(select(ActivityLog.id))).all()


@pytest.mark.parametrize("partition", ["activity_logs_default", f"activity_logs_y{datetime.now(UTC):%Ym%m}"])
async def test_a_partition_cannot_be_read_past_its_parents_policy(
    narrow: Database, admin: AsyncEngine, partition: str
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with narrow.transaction(Access(Role.API, acme["id"], acme["created_by"])) as tx:
            await tx.execute(text(f"SELECT * FROM {partition}"))


async def test_what_happened_stays_as_it_was_written(narrow: Database, admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    values = {
        "organization_id": acme["id"],
        "actor_type": "worker",
        "action": "start",
        "resource": "execution",
    }
    access = Access(Role.WORKER, acme["id"])
    async with narrow.transaction(access) as tx:
        await tx.execute(insert(ActivityLog).values(**values))
    for statement in ("UPDATE activity_logs SET action = 'forged'", "DELETE FROM activity_logs"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with narrow.transaction(access) as tx:
                await tx.execute(text(statement))
