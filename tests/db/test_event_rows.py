"""Events in the database: recorded once, brought to whoever listens, and lost between no two transactions."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text, update

from db.engine import create_engine
from db.eventlisteners import EventSubscription, Listener, Listeners
from db.events import Event, Events, NewEvent
from db.executions import WorkflowExecution
from db.mirror import Mirror, Reporter
from db.outbox import Outbox, OutboxRow
from db.session import Access, Database, Role
from db.sweeps import Sweeps
from domain.definitions.commands import StepRecord
from domain.executions import ExecutionStatus, StepStatus
from domain.mirror import Snapshot
from tests.factories import rows

RUN = "run-1"


class World:
    """An organization with an execution that listens; whoever emits is the organization's worker as well."""

    def __init__(self, database: Database, execution: Any) -> None:
        self.database = database
        self.organization_id: UUID = execution["organization_id"]
        self.execution = execution
        self.worker = Access(Role.WORKER, self.organization_id)
        self.told = 0

    def event(self, type: str = "paid", **given: Any) -> NewEvent:
        id = uuid4()
        values = {"source": "/tests", "event_id": str(id), "content": b"sealed", "execution_id": None}
        return NewEvent(id=id, organization_id=self.organization_id, type=type, **{**values, **given})

    def listener(
        self, types: list[str] | None = None, occurrence: str = "/do/0/hear#1", **given: Any
    ) -> Listener:
        values = {"types": ["paid"] if types is None else types, **given}
        return Listener(self.organization_id, self.execution["id"], occurrence, **values)

    async def record(self, *events: NewEvent) -> list[bool]:
        async with self.database.transaction(self.worker) as tx:
            return [await Events(tx).record(event) for event in events]

    async def recorded(self, count: int, type: str = "paid") -> list[UUID]:
        events = [self.event(type) for _ in range(count)]
        await self.record(*events)
        return [event.id for event in events]

    async def register(self, listener: Listener, limit: int = 100) -> tuple[list[UUID], bool]:
        async with self.database.transaction(self.worker) as tx:
            await Listeners(tx).register(listener)
            return await self._page(tx, listener, limit)

    async def earlier(self, listener: Listener, limit: int = 100) -> tuple[list[UUID], bool]:
        async with self.database.transaction(self.worker) as tx:
            return await self._page(tx, listener, limit)

    async def _page(self, tx: Any, listener: Listener, limit: int) -> tuple[list[UUID], bool]:
        events, more = await Listeners(tx).earlier(listener, limit=limit, size=100_000)
        return [event.id for event in events], more

    async def signalled(self) -> list[UUID]:
        """The events that were put into the outbox for the execution, in the order in which they are carried."""
        async with self.database.transaction(Access(Role.SYSTEM)) as tx:
            claimed = await Outbox(tx).claim(limit=1000, lease=timedelta(seconds=0))
        return [UUID(entry.payload["event"]["id"]) for entry in claimed if "event" in entry.payload]

    async def ended(self, occurrence: str = "/do/0/hear#1") -> None:
        """The execution reports that the step has ended."""
        self.told += 1
        record = StepRecord(
            occurrence, "/do/0/hear", "hear", "listen", None, 1, 1, StepStatus.COMPLETED, 1, 2
        )
        snapshot = Snapshot((1, 1, self.told), ExecutionStatus.RUNNING, 0, 0)
        async with self.database.transaction(self.worker) as tx:
            assert await self.mirror(tx).report(snapshot, [record])

    def mirror(self, tx: Any) -> Mirror:
        return Mirror(tx, Reporter(self.organization_id, self.execution["id"], RUN))


@pytest.fixture
async def world(database_url: str, admin_url: str) -> AsyncIterator[World]:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=6)
    try:
        async with admin.begin() as connection:
            acme = await rows.organization(connection)
            execution = await rows.execution(connection, acme["id"], status="running", completed_at=None)
            await connection.execute(
                update(WorkflowExecution).values(created_at=datetime.now(UTC) - timedelta(minutes=1))
            )
        yield World(database, execution)
    finally:
        await database.close()
        await admin.dispose()


# Nothing is lost between a registration and an event


async def test_an_event_that_is_being_recorded_is_waited_for(world: World) -> None:
    """The listen registers while an emit has written and not committed: without the lock neither sees the other."""
    event = world.event()
    async with world.database.transaction(world.worker) as emitting:
        assert await Events(emitting).record(event)
        registering = asyncio.create_task(world.register(world.listener()))
        await asyncio.sleep(0.1)
        assert not registering.done()
    assert await registering == ([event.id], False)
    assert await world.signalled() == []


async def test_a_registration_that_is_under_way_is_waited_for(world: World) -> None:
    event = world.event()
    async with world.database.transaction(world.worker) as registering:
        await Listeners(registering).register(world.listener())
        assert await Listeners(registering).earlier(world.listener(), limit=10, size=1000) == ([], False)
        emitting = asyncio.create_task(world.record(event))
        await asyncio.sleep(0.1)
        assert not emitting.done()
    assert await emitting == [True]
    assert await world.signalled() == [event.id]


async def test_those_who_emit_do_not_wait_for_each_other(world: World) -> None:
    async with world.database.transaction(world.worker) as one, asyncio.timeout(2):
        assert await Events(one).record(world.event())
        assert await world.record(world.event()) == [True]


async def test_other_organizations_do_not_wait(world: World, admin_url: str) -> None:
    admin = create_engine(admin_url)
    async with admin.begin() as connection:
        other = (await rows.organization(connection))["id"]
    await admin.dispose()
    async with world.database.transaction(world.worker) as registering, asyncio.timeout(2):
        await Listeners(registering).register(world.listener())
        async with world.database.transaction(Access(Role.WORKER, other)) as tx:
            event = NewEvent(uuid4(), other, None, "/tests", "1", "paid", b"x")
            assert await Events(tx).record(event)


async def test_in_a_crowd_every_event_is_handed_at_least_once(world: World) -> None:
    """Steps that come and go, events that are recorded meanwhile: each is signalled, or handed at a registration."""
    rng = random.Random(5)
    handed: list[UUID] = []
    recorded: list[UUID] = []

    async def emit() -> None:
        for _ in range(25):
            event = world.event(rng.choice(["paid", "opened"]))
            async with world.database.transaction(world.worker) as tx:
                await Events(tx).record(event)
                await asyncio.sleep(rng.random() / 200)
            recorded.append(event.id)

    async def listen() -> None:
        for visit in range(1, 16):
            listener = world.listener(["paid", "opened"], f"/do/0/hear#{visit}")
            page, more = await world.register(listener, limit=3)
            handed.extend(page)
            if rng.random() < 0.5:  # sometimes the step has heard enough before it was brought everything
                while more:
                    page, more = await world.earlier(listener, limit=3)
                    handed.extend(page)
            await asyncio.sleep(rng.random() / 100)
            await world.ended(listener.occurrence)

    await asyncio.gather(emit(), emit(), emit(), listen())
    last = world.listener(["paid", "opened"], "/do/0/hear#99")
    handed.extend((await world.register(last, limit=1000))[0])
    signalled = await world.signalled()
    assert set(handed) | set(signalled) == set(recorded)
    assert len(handed) == len(set(handed)), "no registration hands out an event twice"
    async with world.database.transaction(world.worker) as tx:
        kept = (await tx.execute(select(EventSubscription.occurrence))).scalars().all()
    assert len(kept) < 10, "what later subscriptions cover is forgotten"


# Recording


async def test_an_event_is_recorded_once(world: World) -> None:
    await world.register(world.listener())
    first, again = world.event(event_id="1"), world.event(event_id="1")
    assert await world.record(first, again) == [True, False]
    assert await world.record(world.event(event_id="1", source="/else")) == [True]
    assert len(await world.signalled()) == 2
    async with world.database.transaction(world.worker) as tx:
        assert await Events(tx).of("/tests", "1") == (first.id, b"sealed")


async def test_two_who_record_the_same_event_at_once_record_one(world: World) -> None:
    await world.register(world.listener())
    same = [world.event(event_id="1") for _ in range(4)]
    outcomes = await asyncio.gather(*(world.record(event) for event in same))
    assert sorted(outcomes) == [[False], [False], [False], [True]]
    assert len(await world.signalled()) == 1


async def test_an_execution_is_told_once_however_many_of_its_steps_listen(world: World) -> None:
    await world.register(world.listener(["paid"]))
    await world.register(world.listener(["paid", "opened"], "/do/1/other#1"))
    [id] = await world.recorded(1)
    assert await world.signalled() == [id]
    async with world.database.transaction(world.worker) as tx:
        payload: Any = await tx.scalar(select(OutboxRow.payload))
    # It names the event, and holds nothing of it: that is stored once, and sealed.
    assert payload == {"signal": "event", "event": {"id": str(id), "number": payload["event"]["number"]}}


async def test_only_the_types_that_are_listened_to_are_brought(world: World) -> None:
    await world.register(world.listener(["paid"]))
    await world.recorded(2, "opened")
    assert await world.signalled() == []
    async with world.database.transaction(world.worker) as tx:
        listener = Listener(world.organization_id, world.execution["id"], "/do/1/any#1", None)
        await Listeners(tx).register(listener)
    [id] = await world.recorded(1, "strange")
    assert await world.signalled() == [id]


async def test_what_failed_to_commit_was_not_recorded(world: World) -> None:
    await world.register(world.listener())
    async with world.database.transaction(world.worker) as tx:
        await Events(tx).record(world.event())
        await tx.rollback()
    assert await world.signalled() == []


# Early events


async def test_a_step_is_told_what_was_recorded_since_its_execution_was_created(world: World) -> None:
    early = await world.recorded(2)
    await world.recorded(1, "opened")
    async with world.database.transaction(Access(Role.SYSTEM)) as tx:
        await tx.execute(text("SELECT 1"))
    assert await world.register(world.listener()) == (early, False)


async def test_what_is_older_than_the_execution_is_none_of_its_business(world: World, admin_url: str) -> None:
    await world.recorded(1)
    admin = create_engine(admin_url)
    async with admin.begin() as connection:
        await connection.execute(
            update(WorkflowExecution).values(created_at=datetime.now(UTC) + timedelta(seconds=1))
        )
    await admin.dispose()
    assert await world.register(world.listener()) == ([], False)


async def test_early_events_come_in_pages(world: World) -> None:
    early = await world.recorded(7)
    listener = world.listener()
    assert await world.register(listener, limit=3) == (early[:3], True)
    assert await world.earlier(listener, limit=3) == (early[3:6], True)
    assert await world.earlier(listener, limit=3) == (early[6:], False)


async def test_a_page_is_bounded_in_bytes_and_never_empty(world: World) -> None:
    events = [world.event(content=b"x" * 60_000) for _ in range(3)]
    await world.record(*events)
    listener = world.listener()
    assert await world.register(listener) == ([events[0].id], True)
    assert await world.earlier(listener) == ([events[1].id], True)
    assert await world.earlier(listener) == ([events[2].id], False)


async def test_nothing_is_handed_twice(world: World) -> None:
    early = await world.recorded(2)
    assert await world.register(world.listener()) == (early, False)
    signalled = await world.recorded(2)
    assert await world.signalled() == signalled
    await world.ended()
    between = await world.recorded(2)
    assert await world.register(world.listener(occurrence="/do/0/hear#2")) == (between, False)


async def test_what_was_not_brought_before_a_step_ended_is_brought_to_the_next(world: World) -> None:
    early = await world.recorded(5)
    assert await world.register(world.listener(), limit=2) == (early[:2], True)
    signalled = await world.recorded(1)
    await world.ended()
    between = await world.recorded(1)
    assert await world.register(world.listener(occurrence="/do/0/hear#2")) == ([*early[2:], *between], False)
    assert await world.signalled() == signalled


async def test_a_registration_repeated_after_a_lost_worker_tells_the_same(world: World) -> None:
    early = await world.recorded(2)
    first = world.listener()
    assert await world.register(first) == (early, False)
    assert await world.register(first) == (early, False)
    await world.ended()
    between = await world.recorded(1)
    second = world.listener(occurrence="/do/0/hear#2")
    assert await world.register(second) == (between, False)
    signalled = await world.recorded(1)
    assert await world.register(second) == (between, False)
    assert await world.signalled() == signalled


async def test_another_course_of_the_execution_is_told_everything_anew(world: World) -> None:
    early = await world.recorded(1)
    assert await world.register(world.listener()) == (early, False)
    later = await world.recorded(1)
    anew = world.listener(course="reset-run")
    assert await world.register(anew) == ([*early, *later], False)


async def test_a_step_that_a_reset_brought_back_listens_again_and_has_missed_nothing(world: World) -> None:
    listener = world.listener(["paid"])
    await world.register(listener)
    signalled = await world.recorded(1)
    await world.ended()
    missed = await world.recorded(2)
    await world.recorded(1, "opened")
    assert await world.signalled() == signalled
    async with world.database.transaction(world.worker) as tx:
        await Listeners(tx).reopen(
            world.organization_id, world.execution["id"], [listener.occurrence], "reset-run"
        )
    later = await world.recorded(1)
    assert await world.signalled() == [*signalled, *missed, *later]
    # The course that the reset began goes on from there.
    await world.ended()
    between = await world.recorded(1)
    following = world.listener(["paid"], "/do/0/hear#2", course="reset-run")
    assert await world.register(following) == (between, False)


# The end


async def test_nothing_is_brought_to_a_step_that_has_ended(world: World) -> None:
    await world.register(world.listener())
    await world.ended()
    await world.recorded(1)
    assert await world.signalled() == []


async def test_an_execution_that_ends_listens_no_more(world: World) -> None:
    await world.register(world.listener())
    async with world.database.transaction(world.worker) as tx:
        snapshot = Snapshot((1, 1, 1), ExecutionStatus.COMPLETED, 100, 0)
        await world.mirror(tx).finish(snapshot, [], None, None)
    await world.recorded(1)
    assert await world.signalled() == []
    async with world.database.transaction(world.worker) as tx:
        assert await tx.scalar(select(EventSubscription.closed_at)) is not None


# What time takes away


async def test_events_and_what_was_handed_of_them_are_forgotten_after_a_month(
    world: World, admin_url: str
) -> None:
    await world.register(world.listener())
    await world.recorded(3)
    await world.ended()
    await world.register(world.listener(["opened"], "/do/1/other#1"))
    counts = []
    for days in (29, 30.1, 31.1):
        async with world.database.transaction(Access(Role.SYSTEM)) as tx:
            now = datetime.now(UTC) + timedelta(days=days)
            sweeps = Sweeps(tx)
            counts.append((await sweeps.forget("events", now), await sweeps.forget("subscriptions", now)))
    assert counts == [(0, 0), (3, 0), (0, 1)], "a step that still listens is not forgotten"


async def test_an_event_that_was_forgotten_is_not_found(world: World, admin_url: str) -> None:
    [id] = await world.recorded(1)
    async with world.database.transaction(world.worker) as tx:
        assert await Events(tx).find(world.organization_id, id) == b"sealed"
    admin = create_engine(admin_url)
    async with admin.begin() as connection:
        await connection.execute(delete(Event))
    await admin.dispose()
    async with world.database.transaction(world.worker) as tx:
        assert await Events(tx).find(world.organization_id, id) is None
        assert await tx.scalar(select(OutboxRow.id)) is None
