"""What loops look through belongs to all organizations: one that has very much to do holds up no other."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.routing import _SET, RoutingQueue
from db.schedules import due
from db.session import Access, Role
from db.taskduties import due_tasks
from tests.api.house import House, house
from workers.metrics import Metrics

__all__ = ["house"]

LEASE = timedelta(seconds=30)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
#: More than any loop takes, or looks at, in one go.
FLOOD = 1_500
INSERTS = {
    "schedules": """
        INSERT INTO schedules (id, organization_id, anchor, since, due_at)
        SELECT gen_random_uuid(), :organization, :at, :at, :at FROM generate_series(1, :count)""",
    "tasks": """
        INSERT INTO tasks (organization_id, execution_id, occurrence, kind, title, next_due)
        SELECT :organization, gen_random_uuid(), '/do/0/a#' || g, 'approval', 'Approve', :at
        FROM generate_series(1, :count) AS g""",
    "event_routings": """
        INSERT INTO event_routings (organization_id, event_id, trigger_id, number, leased_until)
        SELECT :organization, gen_random_uuid(), gen_random_uuid(), g, :at FROM generate_series(1, :count) AS g""",
    "execution_outcomes": """
        INSERT INTO execution_outcomes (organization_id, execution_id, type, leased_until)
        SELECT :organization, gen_random_uuid(), 'execution.failed', :at FROM generate_series(1, :count)""",
}


async def fill(house: House, table: str, organization: UUID, count: int, at: datetime) -> None:
    async with house.admin.begin() as connection:
        # Rows alone are looked at here, not what they belong to.
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        values = {"organization": organization, "count": count, "at": at}
        await connection.execute(text(INSERTS[table]), values)


async def taken(house: House, table: str, limit: int = 100) -> list[UUID]:
    """Whose turn it is."""
    async with house.database.transaction(Access(Role.SYSTEM)) as tx:
        match table:
            case "schedules":
                return [each.organization_id for each in await due(tx, NOW, limit)]
            case "tasks":
                return [each.organization_id for each in await due_tasks(tx, NOW, limit)]
            case "event_routings":
                found = await RoutingQueue(tx).claim(limit=limit, lease=LEASE)
            case _:
                found = await RoutingQueue(tx).claim_outcomes(limit=limit, lease=LEASE)
    return [each.organization_id for each in found]


@pytest.mark.parametrize("table", INSERTS)
async def test_who_comes_behind_a_flood_is_in_the_next_batch(house: House, table: str) -> None:
    await fill(house, table, house.owner.organization_id, FLOOD, NOW - timedelta(hours=1))
    await fill(house, table, house.stranger.organization_id, 3, NOW - timedelta(minutes=1))
    found = await taken(house, table)
    assert len(found) == 100
    assert found.count(house.stranger.organization_id) == 3


@pytest.mark.parametrize("table", ["event_routings", "execution_outcomes"])
async def test_what_is_leased_is_nobodys_and_a_flood_is_worked_off(house: House, table: str) -> None:
    await fill(house, table, house.owner.organization_id, 150, NOW - timedelta(hours=1))
    assert [len(await taken(house, table)) for _ in range(3)] == [100, 50, 0]


@pytest.mark.parametrize("table", ["event_routings", "execution_outcomes"])
async def test_what_fails_for_hours_is_not_given_up_within_minutes(house: House, table: str) -> None:
    await fill(house, table, house.owner.organization_id, 1, NOW - timedelta(hours=1))
    for attempts, minutes in ((0, 0.5), (3, 0.5), (4, 1), (10, 64), (19, 128)):
        async with house.admin.begin() as connection:
            again = f"UPDATE {table} SET attempts = :attempts, leased_until = now()"
            await connection.execute(text(again), {"attempts": attempts})
        assert len(await taken(house, table)) == 1
        [row] = await house.everything(table)
        assert row["attempts"] == attempts + 1
        async with house.admin.connect() as connection:
            left = await connection.scalar(
                text("SELECT CAST(:until AS timestamptz) - now()"), {"until": row["leased_until"]}
            )
        assert timedelta(minutes=minutes) - timedelta(seconds=10) < left <= timedelta(minutes=minutes)


async def test_each_place_of_a_set_is_found_without_reading_all_that_waits(house: House) -> None:
    """A set whose other half never comes must not become slower with each event."""
    trigger = uuid4()
    async with house.admin.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        events = """
            INSERT INTO events (organization_id, source, event_id, type, content)
            SELECT :organization, 'shop', g, 'paid', '' FROM generate_series(1, 20000) AS g"""
        held = """
            INSERT INTO event_routings
                (organization_id, event_id, trigger_id, number, verdict, filter, correlation)
            SELECT organization_id, id, :trigger, number, 'held', 0, '' FROM events"""
        await connection.execute(text(events), {"organization": house.owner.organization_id})
        await connection.execute(text(held), {"trigger": trigger})
    async with house.admin.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM ANALYZE event_routings, events"))
    async with house.working() as tx:
        explain = text("EXPLAIN (ANALYZE, FORMAT JSON) " + _SET.text)
        asked = {"trigger_id": trigger, "correlation": "", "filters": 2}
        [plan] = await tx.scalar(explain, asked)
    assert most_rows(plan["Plan"]) <= 10


def most_rows(node: dict[str, object]) -> float:
    """The most rows that any part of a plan has looked at."""
    own = float(str(node["Actual Rows"])) + float(str(node.get("Rows Removed by Filter", 0)))
    inner = node.get("Plans", [])
    assert isinstance(inner, list)
    return max([own, *map(most_rows, inner)])


async def test_what_waits_for_the_loops_is_measured(house: House) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    metrics = Metrics(house.database, None)
    names = ("schedules_late_seconds", "tasks_late_seconds", "event_routings_oldest_seconds")
    before = measured(await metrics.text())
    assert [before[name] for name in (*names, "event_routings_pending")] == [0, 0, 0, 0]
    for table in ("schedules", "tasks", "event_routings"):
        await fill(house, table, house.owner.organization_id, 3, an_hour_ago)
    after = measured(await metrics.text())
    assert all(3600 <= after[name] < 3700 for name in names), after
    assert after["event_routings_pending"] == 3


def measured(told: bytes) -> dict[str, float]:
    lines = [line.removeprefix("perdure_").split() for line in told.decode().splitlines()]
    return {line[0]: float(line[1]) for line in lines if len(line) == 2 and not line[0].startswith("#")}
