"""Erasing organizations and people through the real worker: nothing survives, nobody else is touched, and a worker
that dies anywhere on the way costs nothing but time."""

import asyncio
import base64
import inspect
import os
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.json_format import MessageToDict
from sqlalchemy import RowMapping, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.erasing import Erasing
from db.engine import create_engine
from db.erasure import Departures, Erasures, belongings
from db.session import Access, Role
from db.tables import metadata
from db.tenants import PLATFORM
from domain.erasure import Subject
from domain.keys import Unreadable
from domain.processes.erasure import ERASE_ORGANIZATION, ERASE_USER
from tests.factories import rows
from tests.workflows.engine import SECRET, Engine
from workers.settings import Settings

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
    parts: Sequence[UUID] = (),
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
            ERASE_ORGANIZATION if subject is Subject.ORGANIZATION else ERASE_USER,
            PLATFORM,
            input={"erasure_id": str(id), "grace_seconds": grace, "settle": "PT0.1S"},
            started_by=by,
        )
        for part in parts:
            await Erasures(tx).take_along(id, part, by, datetime.now(UTC))
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
    [line] = (
        await behind.execute(
            text("SELECT metadata FROM activity_logs WHERE resource = 'organizations' AND action = 'delete'")
        )
    ).all()
    assert line.metadata == {}, "the platform's log quotes what is gone"
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


async def test_a_clock_that_is_behind_delays_an_erasure_and_does_not_drop_it(engine: Engine) -> None:
    """Whoever planned it, Temporal's timer and the worker look at three clocks."""
    services = engine.parts.activities._services
    assert services.erasing is not None
    behind_by = timedelta(seconds=2)
    late = replace(services.erasing, clock=lambda: datetime.now(UTC) - behind_by)
    engine.parts.activities._services = replace(services, erasing=late)
    id, execution_id = await plan(engine, Subject.ORGANIZATION, engine.organization_id, await me(engine))
    await erased(engine, id, execution_id)


def test_every_table_of_a_tenant_goes_with_it() -> None:
    covered = {belonging.table for belonging in belongings(Subject.ORGANIZATION)}
    tenants = {table.name for table in metadata.sorted_tables if "organization_id" in table.c}
    assert tenants == covered, (
        f"{sorted(tenants - covered)} would survive their organization: refer to it ON DELETE CASCADE (db.base.Tenant)"
    )


async def test_a_person_goes_and_what_they_wrote_elsewhere_stays(
    engine: Engine, behind: AsyncConnection
) -> None:
    person, alone = await me(engine), engine.organization_id
    await behind.execute(
        text("UPDATE users SET phone = '+49 30 1', national_id = 'x' WHERE id = :id"), {"id": person}
    )
    elsewhere = await rows.organization(behind)
    await rows.member(behind, elsewhere["id"], user_id=person)
    client = await rows.client(behind, elsewhere["id"], created_by=person)
    log = await rows.row(
        behind, "activity_logs", elsewhere["id"], user_id=person, ip_address="192.0.2.7", user_agent="Firefox"
    )
    for belonging in belongings(Subject.USER):
        if not await behind.scalar(
            text(f"SELECT 1 FROM {belonging.table} WHERE {belonging.column} = '{person}'")
        ):
            tenant = elsewhere["id"] if "organization_id" in metadata.tables[belonging.table].c else None
            await rows.row(behind, belonging.table, tenant, **{belonging.column: person})

    async with engine.parts.database.transaction(Access(Role.API)) as tx:
        left_alone = await Departures(tx).leave_for_good(person, datetime.now(UTC))
        assert [(row["organization_id"], row["others"]) for row in left_alone] == [(alone, 0)]
    id, execution_id = await plan(engine, Subject.USER, person, person, parts=[alone])
    row = await erased(engine, id, execution_id)

    assert await left(behind, alone) == {}
    assert row["erased"]["sessions"] >= 1
    for belonging in belongings(Subject.USER):
        where = f"{belonging.table} WHERE {belonging.column} = '{person}'"
        assert await behind.scalar(text(f"SELECT count(*) FROM {where}")) == 0, where
    user = (await behind.execute(text("SELECT * FROM users WHERE id = :id"), {"id": person})).mappings().one()
    assert (user["email"], user["password"]) == (f"erased-{person}@erased.invalid", "!")
    assert not user["is_active"]
    kept = {"id", "username", "email", "password", "role_id", "is_active", "created_at", "updated_at"}
    fresh = await rows.user(behind)
    assert {name for name, value in user.items() if name not in kept and value != fresh[name]} == set()
    assert "Ada" not in str(dict(user))
    assert "ada@example.com" not in str(dict(user))
    # Authorship points to nobody in particular; the log knows who, and no more from where.
    created_by = text("SELECT created_by FROM clients WHERE id = :id")
    assert await behind.scalar(created_by, {"id": client["id"]}) == person
    noted = await behind.execute(
        text("SELECT user_id, ip_address, user_agent FROM activity_logs WHERE id = :id"), {"id": log["id"]}
    )
    assert tuple(noted.one()) == (person, None, None)
    # The address is free again.
    account = {
        "email": "ada@example.com",
        "password": "tidal ferns at dusk",
        "name": "Ada",
        "organization_name": "Again",
    }
    assert (await engine.http.post("/v1/auth/register", json=account)).status_code == 201


class Dying:
    """The hands of an erasure in a process that dies: before a step does anything, and after it has done all."""

    def __init__(self, real: Erasing) -> None:
        self._real = real
        self._deaths: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def dying(*given: Any) -> Any:
            key = (
                f"{name}{given[1:]}"
                if name != "delete_rows" or given[1].table in ("clients", "workflows")
                else ""
            )
            death = self._deaths[key] = self._deaths.get(key, 0) + 1 if key else 3
            if death == 1:
                raise ConnectionError("the process is killed before the step")
            done = await found(*given)
            if death == 2:
                raise ConnectionError("the process is killed before it could tell")
            return done

        return dying

    @property
    def died(self) -> set[str]:
        return {key.partition("(")[0] for key, times in self._deaths.items() if times >= 3 and key}


async def test_a_worker_that_dies_around_every_step_costs_only_time(
    engine: Engine, behind: AsyncConnection
) -> None:
    services = engine.parts.activities._services
    dying = Dying(services.erasing)  # type: ignore[arg-type]
    engine.parts.activities._services = replace(services, erasing=dying)  # type: ignore[arg-type]
    await fill(behind, engine.organization_id)
    before = await left(behind, engine.organization_id)
    id, execution_id = await plan(engine, Subject.ORGANIZATION, engine.organization_id, await me(engine))
    row = await erased(engine, id, execution_id)
    assert await left(behind, engine.organization_id) == {}
    assert dying.died >= {
        "begin",
        "stop",
        "end_executions",
        "delete_objects",
        "loosen",
        "plan",
        "delete_rows",
        "shred",
        "finish",
    }
    # Each row was counted once, by the transaction that removed it.
    assert row["erased"]["clients"] == before["clients"]
    assert row["erased"]["workflows"] == before["workflows"]


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own, which nobody asks to stop."""
    environment = {
        "PERDURE_DATABASE_URL": settings.database_url,
        "PERDURE_TEMPORAL_ADDRESS": settings.temporal_address,
        "PERDURE_MASTER_KEYS": f"test:{SECRET}",
        "PERDURE_TOKEN_SECRET": SECRET,
        "PERDURE_PASSWORD_PEPPER": SECRET,
    }
    command = (sys.executable, "-m", "workers.node", "--roles", "worker")
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_workers_killed_in_the_middle_leave_nothing_undone(
    idle_engine: Engine, behind: AsyncConnection
) -> None:
    """SIGKILL among the rows, and again when the keys are due: real processes, real losses."""
    engine = idle_engine
    await engine.post("/v1/clients", {"name": "Nordwind GmbH", "tax_id": "DE 123 456 789"})
    await fill(behind, engine.organization_id)
    # A made-up key names a master key that no worker has, and then none starts.
    await behind.execute(text("DELETE FROM encryption_keys WHERE master_key_id <> 'test'"))
    id, execution_id = await plan(engine, Subject.ORGANIZATION, engine.organization_id, await me(engine))
    for deadly in ("rows: ", "keys"):
        async with worker(engine.parts.settings) as process:
            while not str((await erasure(engine, id))["phase"]).startswith(deadly):
                assert process.returncode is None
                await asyncio.sleep(0.005)
            process.kill()
            await process.wait()
        assert (await erasure(engine, id))["status"] in ("erasing", "erased")
    async with worker(engine.parts.settings):
        await erased(engine, id, execution_id)
    assert await left(behind, engine.organization_id) == {}
