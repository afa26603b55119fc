"""organization_stats counts rightly and tells nobody another's numbers; use is counted exactly, whenever one counts."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.identity import User
from db.session import Access, Database, Role
from db.statistics import REFRESH_EVERY, OrganizationStats, Statistics
from db.tables import metadata
from db.tenants import PLATFORM
from db.usage import Calls, Counting, Usage, UsageCounter, add_calls
from domain.tenants import MembershipStatus
from domain.usage import Metric, hour_of, month_after, month_of
from tests.factories import rows

SYSTEM = Access(Role.SYSTEM)
NOW = datetime.now(UTC)
LATER = NOW + REFRESH_EVERY * 2


async def refreshed(database: Database, now: datetime = LATER) -> int:
    async with database.transaction(SYSTEM) as tx:
        return await Statistics(tx).refresh(now)


async def stats(database: Database, organization: rows.Row) -> OrganizationStats | None:
    access = Access(Role.API, organization["id"], organization["created_by"])
    async with database.transaction(access) as tx:
        return await Statistics(tx).of_organization()


async def test_rows_do_not_multiply(admin: AsyncEngine, narrow: Database) -> None:
    """3 people, 2 clients and 2 documents of 1 500 bytes: joined first, as once designed, they gave 6 000 and more."""
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        for _ in range(2):
            await rows.member(connection, acme["id"])
            await rows.client(connection, acme["id"])
        for size in (1_000, 500):
            await rows.row(connection, "documents", acme["id"], file_size=size)
    await refreshed(narrow)
    found = await stats(narrow, acme)
    assert found == OrganizationStats(3, 2, 2, 1_500, LATER)


async def test_only_active_people_and_current_versions_count(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme, other = [await rows.organization(connection) for _ in range(2)]
        await rows.member(connection, acme["id"], status=MembershipStatus.SUSPENDED)
        await rows.member(connection, acme["id"], status=MembershipStatus.PENDING)
        gone = await rows.member(connection, acme["id"])
        await connection.execute(update(User).where(User.id == gone["user_id"]).values(is_active=False))
        first = await rows.row(connection, "documents", acme["id"], file_size=7, is_current_version=False)
        await rows.row(
            connection, "documents", acme["id"], file_size=9, version=2, parent_document_id=first["id"]
        )
        await rows.row(connection, "documents", other["id"], file_size=1_000)
    await refreshed(narrow)
    assert await stats(narrow, acme) == OrganizationStats(1, 1, 1, 9, LATER)
    assert await stats(narrow, other) == OrganizationStats(1, 1, 1, 1_000, LATER)


async def test_an_organization_founded_since_has_no_numbers_yet(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    assert await stats(narrow, acme) is None


async def test_it_is_counted_when_it_is_old_and_by_one_at_a_time(
    admin: AsyncEngine, narrow: Database
) -> None:
    assert await refreshed(narrow, LATER) == 1
    assert await refreshed(narrow, LATER + timedelta(minutes=1)) == 0
    assert await refreshed(narrow, LATER + REFRESH_EVERY) == 1
    async with admin.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('perdure statistics'))"))
        assert await refreshed(narrow, LATER + REFRESH_EVERY * 9) == 0


@pytest.mark.parametrize("role", [Role.API, Role.WORKER])
async def test_nobody_else_looks_into_the_view(admin: AsyncEngine, narrow: Database, role: Role) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    for table in ("organization_stats", "marks"):
        with pytest.raises(DBAPIError, match="permission denied for schema stats"):
            async with narrow.transaction(Access(role, acme["id"], acme["created_by"])) as tx:
                await tx.execute(text(f"SELECT * FROM stats.{table}"))


async def test_a_reader_is_not_held_up_while_it_is_counted(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    async with admin.begin() as connection:
        await connection.execute(text("SET LOCAL ROLE app_system"))
        await connection.execute(text("REFRESH MATERIALIZED VIEW CONCURRENTLY stats.organization_stats"))
        assert await stats(narrow, acme) is None


async def test_a_database_without_temporary_tables_is_counted_too(
    admin: AsyncEngine, narrow: Database, database: str
) -> None:
    async with admin.begin() as connection:
        await connection.execute(text(f"REVOKE TEMPORARY ON DATABASE {database} FROM app_system"))
    assert await refreshed(narrow) == 1


async def executions(connection: AsyncConnection, organization: UUID, at: datetime, steps: int) -> UUID:
    made = await rows.execution(connection, organization, created_at=at)
    for number in range(steps):
        await rows.row(
            connection,
            "execution_steps",
            organization,
            execution_id=made["id"],
            occurrence=f"/do/{number}#1",
            started_at=at,
        )
    id: UUID = made["id"]
    return id


async def count(database: Database, now: datetime) -> None:
    async with database.transaction(SYSTEM) as tx:
        await Counting(tx).count(now)


async def month(database: Database, organization: rows.Row, at: datetime = NOW) -> dict[str, int]:
    async with database.transaction(Access(Role.API, organization["id"], organization["created_by"])) as tx:
        (found,) = await Usage(tx).months(at, at)
    return {metric.value: amount for metric, amount in found.amounts.items()}


async def test_executions_and_steps_are_counted_once_however_often_one_counts(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme, other = [await rows.organization(connection) for _ in range(2)]
        await executions(connection, acme["id"], NOW, 3)
        await executions(connection, acme["id"], NOW - timedelta(minutes=70), 2)
        await executions(connection, other["id"], NOW, 1)
        process = await rows.execution(connection, acme["id"], created_at=NOW, kind="client_import")
        await rows.row(connection, "execution_steps", acme["id"], execution_id=process["id"], started_at=NOW)
    for _ in range(3):
        await count(narrow, NOW)
    expected = {"executions_started": 2, "steps_run": 5}
    if (NOW - timedelta(minutes=70)).month != NOW.month:
        pytest.skip("the month began within the last hour")
    found = await month(narrow, acme)
    assert {name: found[name] for name in expected} == expected
    assert (await month(narrow, other))["steps_run"] == 1


async def test_a_row_committed_late_is_counted_and_a_forgotten_one_stays_counted(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        first = await executions(connection, acme["id"], NOW - timedelta(seconds=1), 1)
    await count(narrow, NOW)
    async with admin.begin() as connection:
        await executions(connection, acme["id"], NOW - timedelta(seconds=2), 1)
    await count(narrow, NOW + timedelta(minutes=5))
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM workflow_executions WHERE id = :id"), {"id": first})
    await count(narrow, NOW + timedelta(minutes=10))
    async with admin.begin() as connection:
        amounts = await connection.execute(
            select(UsageCounter.metric, UsageCounter.amount).where(UsageCounter.organization_id == acme["id"])
        )
        assert sum(amount for metric, amount in amounts if metric == "executions_started") == 2


async def test_a_row_of_the_hour_before_may_come_after_that_was_counted(
    admin: AsyncEngine, narrow: Database
) -> None:
    hour = hour_of(NOW)
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    await count(narrow, hour + timedelta(minutes=2))
    async with admin.begin() as connection:
        await executions(connection, acme["id"], hour - timedelta(minutes=5), 1)
    await count(narrow, hour + timedelta(minutes=7))
    assert (await month(narrow, acme, hour - timedelta(minutes=5)))["executions_started"] == 1


async def test_calls_are_added_up_and_what_is_gone_is_passed_over(
    admin: AsyncEngine, narrow: Database
) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    for amount in (3, 4):
        async with narrow.transaction(Access(Role.API)) as tx:
            await add_calls(tx, [Calls(acme["id"], NOW, amount), Calls(uuid4(), NOW, 9)])
    assert (await month(narrow, acme))["api_calls"] == 7


async def test_members_and_storage_count_at_their_highest(admin: AsyncEngine, narrow: Database) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        ada = await rows.member(connection, acme["id"])
        await rows.row(connection, "documents", acme["id"], file_size=12)
    await refreshed(narrow, LATER)
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM documents"))
        await connection.execute(text("DELETE FROM user_organizations WHERE id = :id"), {"id": ada["id"]})
    await refreshed(narrow, LATER + REFRESH_EVERY)
    found = await month(narrow, acme, LATER)
    assert (found["members"], found["storage_bytes"]) == (2, 12)
    async with admin.begin() as connection:
        of_platform = select(UsageCounter).where(UsageCounter.organization_id == PLATFORM)
        assert (await connection.execute(of_platform)).all() == []


#: What happened in which of some hours around the one that is counted.
HAPPENED = st.lists(
    st.tuples(st.sampled_from(["execution", "count", "calls", "forget"]), st.integers(0, 90)), max_size=14
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=HAPPENED, ahead=st.integers(0, 200))
async def test_counters_equal_what_happened_in_whatever_order(
    admin: AsyncEngine, narrow: Database, happened: list[tuple[str, int]], ahead: int
) -> None:
    """Rows appear late by up to an hour, counting happens any time, and what was counted may be forgotten."""
    began = NOW.replace(hour=5) - timedelta(days=400)
    clock = began + timedelta(minutes=ahead)
    model = dict.fromkeys(Metric, 0)
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        await connection.execute(text("DELETE FROM stats.marks WHERE name = 'usage'"))
    for what, minutes in happened:
        clock += timedelta(minutes=minutes)
        if what == "count":
            await count(narrow, clock)
        elif what == "calls":
            async with narrow.transaction(Access(Role.API)) as tx:
                await add_calls(tx, [Calls(acme["id"], clock, minutes)])
            model[Metric.API_CALLS] += minutes
        elif what == "execution":
            async with admin.begin() as connection:
                await executions(connection, acme["id"], clock - timedelta(minutes=minutes % 59), minutes % 4)
            model[Metric.EXECUTIONS_STARTED] += 1
            model[Metric.STEPS_RUN] += minutes % 4
        else:
            await count(narrow, clock)
            async with admin.begin() as connection:
                old = {"org": acme["id"], "old": clock - timedelta(hours=24)}
                await connection.execute(
                    text(
                        "DELETE FROM workflow_executions WHERE organization_id = :org AND created_at < :old"
                    ),
                    old,
                )
    await count(narrow, clock)
    if ahead % 2:
        async with narrow.transaction(SYSTEM) as tx:
            while await Counting(tx).fold(clock + timedelta(days=60), 3):
                pass
    async with narrow.transaction(Access(Role.API, acme["id"], acme["created_by"])) as tx:
        months = await Usage(tx).months(began - timedelta(days=1), clock)
    counted = {metric: sum(each.amounts[metric] for each in months) for metric in Metric}
    assert counted == model


async def test_hours_of_long_ago_become_days(admin: AsyncEngine, narrow: Database) -> None:
    day = hour_of(NOW - timedelta(days=50)).replace(hour=0)
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
        for hour in range(24):
            for metric in (Metric.API_CALLS, Metric.MEMBERS):
                await connection.execute(
                    insert(UsageCounter).values(
                        organization_id=acme["id"],
                        since=day + timedelta(hours=hour),
                        metric=metric,
                        amount=hour,
                    )
                )
    for _ in range(9):
        async with narrow.transaction(SYSTEM) as tx:
            await Counting(tx).fold(NOW, 7)
    async with admin.begin() as connection:
        left = await connection.execute(
            select(UsageCounter.since, UsageCounter.metric, UsageCounter.amount).where(
                UsageCounter.organization_id == acme["id"]
            )
        )
        assert set(left.all()) == {(day, "api_calls", 276), (day, "members", 23)}


def test_months_follow_each_other() -> None:
    december = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert month_of(december) == datetime(2026, 12, 1, tzinfo=UTC)
    assert month_after(month_of(december)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert {column.name for column in metadata.tables["usage_counters"].primary_key} == {
        "organization_id",
        "since",
        "metric",
    }
