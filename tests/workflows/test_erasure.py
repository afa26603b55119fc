"""Erasing organizations and people through the real worker: nothing survives, nobody else is touched, and a worker
that dies anywhere on the way costs nothing but time."""

import base64
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from sqlalchemy import RowMapping, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.erasure import Erasures, belongings
from db.session import Access, Role
from db.tables import metadata
from db.tenants import PLATFORM
from domain.erasure import Subject
from domain.keys import Unreadable
from domain.processes import Process
from domain.processes.erasure import ERASE_ORGANIZATION, ERASE_USER
from tests.factories import rows
from tests.workflows.engine import Engine

IN_PLATFORM = Access(Role.WORKER, PLATFORM)


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url, pool_size=2)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


async def fill(behind: AsyncConnection, organization_id: UUID) -> None:
    """At least one row in every table that can belong to the organization, none of them waiting for anything."""
    for table in metadata.sorted_tables:
        if "organization_id" in table.c and table.name != "erasures":
            await rows.row(behind, table.name, organization_id)
    await behind.execute(
        text("UPDATE outbox SET dispatched_at = now() WHERE organization_id = :id"), {"id": organization_id}
    )
    await behind.execute(
        text(
            "UPDATE workflow_executions SET status = 'completed', completed_at = now() "
            "WHERE organization_id = :id AND temporal_run_id IS NULL"
        ),
        {"id": organization_id},
    )


async def left(behind: AsyncConnection, organization_id: UUID) -> dict[str, int]:
    """Rows of the organization by table, as the superuser counts them."""
    found = {}
    for table in metadata.sorted_tables:
        column = table.c.get("organization_id") if table.name != "organizations" else table.c.id
        if column is not None:
            counted = select(func.count()).select_from(table).where(column == organization_id)
            found[table.name] = await behind.scalar(counted) or 0
    return {name: count for name, count in found.items() if count}


async def plan(
    engine: Engine,
    subject: Subject,
    subject_id: UUID,
    by: UUID,
    *,
    grace: int = 0,
    process: Process | None = None,
) -> tuple[UUID, UUID]:
    """Ids of the erasure and of its execution, as the API begins them."""
    id = uuid4()
    async with engine.parts.database.transaction(IN_PLATFORM) as tx:
        values = {
            "id": id,
            "subject": subject.value,
            "subject_id": subject_id,
            "requested_by": by,
            "scheduled_for": datetime.now(UTC) + timedelta(seconds=grace),
        }
        await Erasures(tx).plan(values)
        begun = await engine.parts.api.processes.start(
            tx,
            process or (ERASE_ORGANIZATION if subject is Subject.ORGANIZATION else ERASE_USER),
            PLATFORM,
            input={"erasure_id": str(id), "grace_seconds": grace, "settle": "PT0.1S"},
            started_by=by,
        )
        await Erasures(tx).run_by(id, begun.execution_id)
    assert begun.entry is not None
    await engine.parts.dispatcher.dispatch(begun.entry)
    return id, begun.execution_id


def platform(engine: Engine) -> Engine:
    return Engine(engine.parts, engine.http, engine.client, PLATFORM)


async def erasure(engine: Engine, id: UUID) -> RowMapping:
    async with engine.parts.database.transaction(IN_PLATFORM) as tx:
        return await Erasures(tx).get(id)


async def erased(engine: Engine, id: UUID, execution_id: UUID) -> RowMapping:
    ended = await platform(engine).ended(str(execution_id), 60)
    assert ended["status"] == "completed", dict(ended)
    row = await erasure(engine, id)
    assert row["status"] == "erased", dict(row)
    return row


async def me(engine: Engine) -> UUID:
    return UUID((await engine.get("/v1/me"))["id"])


async def test_nothing_of_an_organization_survives_and_nobody_else_is_touched(
    engine: Engine, behind: AsyncConnection
) -> None:
    owner, organization_id = await me(engine), engine.organization_id
    waiting = await engine.start(
        await engine.publish([{"rest": {"wait": {"hours": 1}}}]), {"secret": "tell nobody"}
    )
    await engine.waiting(waiting["id"])
    handle = engine.client.get_workflow_handle((await engine.row(waiting["id"]))["temporal_workflow_id"])
    await fill(behind, organization_id)
    other = await rows.tenant(behind)
    await behind.execute(text("UPDATE outbox SET dispatched_at = now()"))
    before, others = await left(behind, organization_id), await left(behind, other["id"])
    assert before.keys() >= {
        table.name for table in metadata.sorted_tables if "organization_id" in table.c
    } - {"erasures"}

    id, execution_id = await plan(engine, Subject.ORGANIZATION, organization_id, owner)
    row = await erased(engine, id, execution_id)

    assert await left(behind, organization_id) == {}
    assert await left(behind, other["id"]) == others
    assert (await handle.describe()).status.name == "TERMINATED"  # type: ignore[union-attr]
    assert row["erased"]["encryption_keys"] == before["encryption_keys"]
    assert row["erased"]["clients"] == before["clients"]
    told = {name: row["erased"].get(name, 0) for name in before if name not in ("idempotency_keys",)}
    assert all(told[name] >= 1 for name in told), {name for name in told if not told[name]}
    # Whoever asked is still somebody, only not there any more.
    assert await behind.scalar(text("SELECT is_active FROM users WHERE id = :id"), {"id": owner})


async def test_what_lies_in_temporal_cannot_be_read_once_the_keys_are_shredded(
    engine: Engine, behind: AsyncConnection
) -> None:
    owner = await me(engine)
    done = await engine.run([{"say": {"set": {"word": "tell nobody"}}}], {"secret": "tell nobody"})
    handle = engine.client.get_workflow_handle(done["temporal_workflow_id"])
    history = await handle.fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    assert b"tell nobody" not in b"".join(payload.data for payload in payloads)
    assert b"tell nobody" in await opened(engine, payloads)

    id, execution_id = await plan(engine, Subject.ORGANIZATION, engine.organization_id, owner)
    await erased(engine, id, execution_id)

    with pytest.raises(Unreadable):
        await opened(engine, payloads)


async def opened(engine: Engine, payloads: Iterable[Any]) -> bytes:
    """As the codec server opens for Temporal's UI what lies in a history."""
    sealing = engine.parts.api.payloads
    assert sealing is not None
    found = [await sealing.open(MessageToDict(payload)) for payload in payloads]
    return b"".join(base64.b64decode(payload["data"]) for payload in found)


async def test_until_it_begins_an_erasure_can_be_called_off(engine: Engine, behind: AsyncConnection) -> None:
    id, execution_id = await plan(
        engine, Subject.ORGANIZATION, engine.organization_id, await me(engine), grace=2
    )
    waiting = await platform(engine).waiting(str(execution_id))
    assert waiting["waiting_on"]["kind"] == "timer"
    async with engine.parts.database.transaction(IN_PLATFORM) as tx:
        await Erasures(tx).cancel(engine.organization_id, datetime.now(UTC))
    ended = await platform(engine).ended(str(execution_id))
    assert ended["status"] == "completed"
    assert (await erasure(engine, id))["status"] == "cancelled"
    assert await behind.scalar(
        text("SELECT is_active FROM organizations WHERE id = :id"), {"id": engine.organization_id}
    )
    assert (await engine.http.get("/v1/me")).status_code == 200


def test_every_table_of_a_tenant_goes_with_it() -> None:
    covered = {belonging.table for belonging in belongings(Subject.ORGANIZATION)}
    tenants = {table.name for table in metadata.sorted_tables if "organization_id" in table.c}
    assert tenants == covered, (
        f"{sorted(tenants - covered)} would survive their organization: refer to it ON DELETE CASCADE (db.base.Tenant)"
    )
