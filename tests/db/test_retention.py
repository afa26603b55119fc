"""What organizations keep no longer than they decided to: executions with all that hangs on them, and deliveries."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.retention import PLATFORM_DAYS, Retention
from db.session import Access, Role, enter
from db.tables import metadata
from db.tenants import PLATFORM
from tests.factories import rows

NOW = datetime.now(UTC)


async def sweep(app: AsyncEngine, kind: str, ahead: float = 0) -> Any:
    async with app.connect() as connection, connection.begin():
        await enter(connection, Access(Role.SYSTEM))
        return await getattr(Retention(connection), kind)(NOW + timedelta(days=ahead))


async def keeping(connection: AsyncConnection, **days: Any) -> UUID:
    made = await rows.organization(connection, settings={"retention": days})
    return UUID(str(made["id"]))


async def ended(connection: AsyncConnection, organization_id: UUID, days_ago: float, **given: Any) -> UUID:
    at = NOW - timedelta(days=days_ago)
    values = {"status": "completed", "created_at": at, "completed_at": at, **given}
    made = await rows.execution(connection, organization_id, **values)
    return UUID(str(made["id"]))


async def left(connection: AsyncConnection, table: str, organization_id: UUID) -> set[Any]:
    query = text(f"SELECT id FROM {table} WHERE organization_id = :id")
    return set(await connection.scalars(query, {"id": organization_id}))


async def test_executions_go_when_their_time_is_up_with_all_that_hangs_on_them(
    admin: AsyncEngine, app: AsyncEngine
) -> None:
    async with admin.begin() as connection:
        short, forever = await keeping(connection, executions_days=10), await keeping(connection)
        old, young = await ended(connection, short, 11), await ended(connection, short, 9)
        open_ = await ended(connection, short, 400, status="waiting", completed_at=None)
        kept = await ended(connection, forever, 4_000)
        for table in ("execution_steps", "effects", "outbox", "tasks", "reconciliations"):
            await rows.row(connection, table, short, execution_id=old)
    assert await sweep(app, "old_executions") == 1
    async with admin.connect() as connection:
        assert await left(connection, "workflow_executions", short) == {young, open_}
        assert await left(connection, "workflow_executions", forever) == {kept}
        for table in ("execution_steps", "effects", "outbox", "tasks", "reconciliations"):
            query = text(f"SELECT count(*) FROM {table} WHERE execution_id = :id")
            assert await connection.scalar(query, {"id": old}) == 0, table


async def test_executions_that_started_each_other_go_when_all_have_ended(
    admin: AsyncEngine, app: AsyncEngine
) -> None:
    async with admin.begin() as connection:
        short = await keeping(connection, executions_days=1)
        root = await ended(connection, short, 9, status="waiting", completed_at=None)
        child = await ended(connection, short, 9, parent_id=root, root_id=root)
    assert await sweep(app, "old_executions") == 0
    async with admin.begin() as connection:
        await connection.execute(
            text("UPDATE workflow_executions SET status = 'completed', completed_at = :at WHERE id = :id"),
            {"id": root, "at": NOW - timedelta(days=2)},
        )
        assert await left(connection, "workflow_executions", short) == {root, child}
    assert await sweep(app, "old_executions") == 2


async def test_deliveries_go_after_their_bodies(admin: AsyncEngine, app: AsyncEngine) -> None:
    async with admin.begin() as connection:
        short, forever = await keeping(connection, deliveries_days=5), await keeping(connection)
        made = [
            await rows.row(
                connection, "deliveries", organization, received_at=NOW - timedelta(days=6), body_key=key
            )
            for organization, key in ((short, None), (short, "somewhere"), (forever, None))
        ]
    assert [body.key for body in await sweep(app, "due_bodies")] == ["somewhere"]
    assert await sweep(app, "old_deliveries") == 1
    async with admin.begin() as connection:
        assert await left(connection, "deliveries", short) == {made[1]["id"]}
        assert await left(connection, "deliveries", forever) == {made[2]["id"]}


async def test_an_execution_waits_until_what_it_stored_is_deleted(
    admin: AsyncEngine, app: AsyncEngine
) -> None:
    async with admin.begin() as connection:
        short = await keeping(connection, executions_days=1)
        id = await ended(connection, short, 9)
        delivery = await rows.row(connection, "deliveries", short, execution_id=id, body_key="somewhere")
    assert await sweep(app, "old_executions") == 0
    async with admin.begin() as connection:
        await connection.execute(
            text("UPDATE deliveries SET body_key = NULL WHERE id = :id"), {"id": delivery["id"]}
        )
    assert await sweep(app, "old_executions") == 1


async def test_what_the_platform_did_for_itself_is_forgotten_after_a_week(
    admin: AsyncEngine, app: AsyncEngine
) -> None:
    async with admin.begin() as connection:
        await ended(connection, PLATFORM, PLATFORM_DAYS - 1)
    assert await sweep(app, "old_executions") == 0
    assert await sweep(app, "old_executions", ahead=2) == 1


@pytest.mark.parametrize("settings", [{"executions_days": "ten"}, {"executions_days": None}, [], "x", 1e300])
async def test_settings_nobody_understands_keep_everything(
    admin: AsyncEngine, app: AsyncEngine, settings: Any
) -> None:
    async with admin.begin() as connection:
        made = await rows.organization(connection, settings={"retention": settings})
        await ended(connection, made["id"], 9_000)
    assert await sweep(app, "old_executions") == 0
    assert await sweep(app, "old_deliveries") == 0


def test_nothing_keeps_an_old_execution_from_going() -> None:
    """A reference to executions goes with them, or is emptied."""
    for table in metadata.sorted_tables:
        for key in table.foreign_key_constraints:
            if key.referred_table.name == "workflow_executions":
                assert key.ondelete is not None, f"{key.name} would keep every execution it names"
