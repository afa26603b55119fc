"""Events start workflows: each one once, whoever sends it, however many routers look and whichever of them dies."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.session import Access, Role
from domain.routing import MAXIMUM_HOPS
from tests.workflows.engine import SECRET, Engine, checked
from workers.routing import Routing
from workers.wiring import wire

PAID = "com.example.paid"
NOTE: list[dict[str, Any]] = [{"note": {"set": "${ {heard: ., by: $workflow.trigger} }"}}]


def cloud(type: str = PAID, **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": uuid4().hex, "source": "https://shop.example", "type": type, **more}


async def triggered(engine: Engine, configuration: Any, do: Any = None, **document: Any) -> str:
    """The id of a published workflow with an event trigger, or with a `schedule` of its own."""
    body = {"name": "Hears", "definition": {"do": do or NOTE, **document}}
    if configuration is not None:
        body["triggers"] = [{"type": "event", "name": "paid", "configuration": configuration}]
    created = await engine.post("/v1/workflows", body)
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    return str(created["id"])


async def send(engine: Engine, *events: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await engine.post("/v1/events", list(events) if len(events) > 1 else events[0])
    items: list[dict[str, Any]] = answer["items"]
    return items


async def executions(engine: Engine, workflow_id: str) -> list[dict[str, Any]]:
    """Oldest first."""
    page = await engine.get(f"/v1/executions?workflow_id={workflow_id}&limit=200")
    return list(reversed(page["items"]))


async def routings(engine: Engine) -> list[dict[str, Any]]:
    statement = text(
        "SELECT r.verdict, r.reason, r.execution_id, e.event_id FROM event_routings r "
        "JOIN events e ON e.id = r.event_id ORDER BY r.number, r.trigger_id"
    )
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        return [dict(row) for row in (await tx.execute(statement)).mappings()]


async def verdicts(engine: Engine) -> list[str]:
    return [each["verdict"] for each in await routings(engine)]


async def until(happened: Callable[[], Any], seconds: float = 60) -> Any:
    ends = time.monotonic() + seconds
    while not (found := await happened()):
        assert time.monotonic() < ends, f"nothing happened in {seconds} s"
        await asyncio.sleep(0.03)
    return found


async def settled(engine: Engine) -> list[str]:
    """Every verdict, once nothing is pending."""

    async def none_pending() -> list[str] | None:
        found = await verdicts(engine)
        return None if "pending" in found or not found else found

    found: list[str] = await until(none_pending)
    return found


# Starting


async def test_an_event_starts_what_waits_for_it_and_is_its_input(engine: Engine) -> None:
    workflow = await triggered(engine, {"type": PAID, "filter": ".data.amount > 100"})
    small, large = cloud(data={"amount": 7}), cloud(data={"amount": 700}, subject="order 3")
    assert [each["verdict"] for each in await send(engine, small, large)] == ["accepted", "accepted"]
    assert await settled(engine) == ["filtered", "started"]
    [started] = await executions(engine, workflow)
    row = await engine.ended(started["id"])
    assert row["output"]["heard"] == {"amount": 700}
    by = row["output"]["by"]
    assert (by["type"], by["name"], by["event"]["id"], by["event"]["subject"]) == (
        "event",
        "paid",
        large["id"],
        "order 3",
    )
    assert row["trigger_event"] == "event:paid"
    # Four eyes keep whoever sent it from deciding what it started.
    assert str(row["started_by"]) == (await engine.get("/v1/me"))["id"]


async def test_the_same_event_again_starts_nothing_more(engine: Engine) -> None:
    workflow = await triggered(engine, {"type": PAID})
    event = cloud(data=1)
    assert [each["verdict"] for each in await send(engine, event, event)] == ["accepted", "duplicate"]
    [again] = await send(engine, event)
    assert again["verdict"] == "duplicate"
    other = await engine.http.post("/v1/events", json={**event, "data": 2})
    assert (other.status_code, other.json()["code"]) == (409, "event_id_reused")
    assert await settled(engine) == ["started"]
    assert len(await executions(engine, workflow)) == 1


async def test_types_sources_patterns_and_readings_narrow_what_is_meant(engine: Engine) -> None:
    two = await triggered(engine, {"type": ["a", "b"], "source": "https://shop.example", "read": "envelope"})
    pattern = await triggered(engine, {"type": "client\\..*", "subject": '${ startswith("c-") }'})
    every = await triggered(engine, {"on": {"any": []}})
    sent = [
        cloud("a", data=1),
        cloud("b", data=2, source="https://other.example"),
        cloud("client.paid", subject="c-1"),
    ]
    await send(engine, *sent)
    # Patterns are looked at with every event, a list of types only with its own.
    assert sorted(await settled(engine)) == ["filtered"] * 3 + ["started"] * 5
    [first] = await executions(engine, two)
    assert (await engine.ended(first["id"]))["output"]["heard"]["type"] == "a"
    assert len(await executions(engine, pattern)) == 1
    heard = [(await engine.ended(each["id"]))["output"]["heard"] for each in await executions(engine, every)]
    assert sorted(heard, key=str) == [[1], [2], [None]]


async def test_the_definitions_own_schedule_is_an_event_trigger(engine: Engine) -> None:
    on = {"any": [{"with": {"type": "a"}}, {"with": {"type": "b", "data": "${ .n > 3 }"}}]}
    workflow = await triggered(engine, None, schedule={"on": on})
    [trigger] = (await engine.get(f"/v1/workflows/{workflow}/triggers"))["items"]
    assert (trigger["type"], trigger["name"], trigger["configuration"]) == ("event", "schedule", {"on": on})
    await send(engine, cloud("a", data=1), cloud("b", data={"n": 1}), cloud("b", data={"n": 4}))
    await settled(engine)
    ran = [(await engine.ended(each["id"]))["output"]["heard"] for each in await executions(engine, workflow)]
    assert sorted(ran, key=str) == [[1], [{"n": 4}]]


async def test_late_events_are_told_from_those_in_time(engine: Engine) -> None:
    workflow = await triggered(engine, {"type": PAID, "max_age": "1 hour"})
    await send(engine, cloud(time="2026-01-01T00:00:00Z"), cloud())
    assert await settled(engine) == ["late", "started"]
    assert "1 hour" in (await routings(engine))[0]["reason"]
    assert len(await executions(engine, workflow)) == 1


# Exactly once


async def test_two_routers_at_once_start_one_execution_for_each_event(idle_engine: Engine) -> None:
    engine = idle_engine
    both = [await triggered(engine, {"type": PAID}) for _ in range(2)]
    await send(engine, *(cloud(data=n) for n in range(40)))
    other = wire(engine.parts.settings, pool_size=8)
    try:
        routers = (engine.parts.routing, other.routing)
        # Half of the leases are over although somebody still works on their rows.
        for _ in range(6):
            await asyncio.gather(
                *(router.sweep() for router in routers), leases_end(engine), leases_end(engine)
            )
    finally:
        await other.close()
    assert await settled(engine) == ["started"] * 80
    for workflow in both:
        inputs = sorted(
            [
                (await engine.row(each["id"]))["trigger_data"]["input"]
                for each in await executions(engine, workflow)
            ]
        )
        assert inputs == list(range(40))


@pytest.mark.timeout(240)
async def test_a_router_that_is_killed_loses_nothing_and_repeats_nothing(idle_engine: Engine) -> None:
    engine = idle_engine
    workflow = await triggered(engine, {"type": PAID})
    for kills in range(2):
        await send(engine, *(cloud(data=n) for n in range(90)))
        before = (await verdicts(engine)).count("started")
        async with router_process(engine) as process:
            await until(partial(_some_started, engine, before + 3))
            process.kill()  # in the middle of its batch, its leases in its hands
            await process.wait()
        assert (await verdicts(engine)).count("pending") > kills, "it was killed too late to prove anything"
    await leases_end(engine)
    async with router_process(engine):
        assert await settled(engine) == ["started"] * 180
    assert len({row["execution_id"] for row in await routings(engine)}) == 180
    assert len(await executions(engine, workflow)) == 180


async def _some_started(engine: Engine, number: int) -> bool:
    return (await verdicts(engine)).count("started") >= number


# Sets of events


ORDER = {"order": {"from": ".data.order"}}
BOTH = {
    "all": [
        {"with": {"type": "order.paid"}, "correlate": ORDER},
        {"with": {"type": "order.packed"}, "correlate": ORDER},
    ]
}


async def test_a_set_starts_once_when_the_last_of_it_arrived(engine: Engine) -> None:
    workflow = await triggered(engine, None, schedule={"on": BOTH})
    await send(engine, cloud("order.paid", data={"order": 1}), cloud("order.paid", data={"order": 2}))
    await send(engine, cloud("order.packed", data={"order": 3}), cloud("order.packed", data={}))
    assert await settled(engine) == ["held", "held", "held", "filtered"]
    assert await executions(engine, workflow) == []
    [last] = await send(engine, cloud("order.packed", data={"order": 2, "by": "Bo"}))
    await settled(engine)
    [started] = await executions(engine, workflow)
    row = await engine.ended(started["id"])
    assert row["output"]["heard"] == [{"order": 2}, {"order": 2, "by": "Bo"}]
    assert str(row["started_by"]) == (await engine.get("/v1/me"))["id"]
    assert [each["type"] for each in row["output"]["by"]["events"]] == ["order.paid", "order.packed"]
    shown = await engine.get(f"/v1/events/{last['event_id']}")
    assert shown["routings"][0]["execution_id"] == started["id"]
    assert sorted(await verdicts(engine)) == ["filtered", "held", "held", "started", "started"]


async def test_a_set_is_completed_across_restarts_whichever_router_sees_the_last(idle_engine: Engine) -> None:
    """Every event is seen by a router of its own, and the last two of twenty sets come at the same time."""
    engine = idle_engine
    workflow = await triggered(engine, None, schedule={"on": BOTH})
    for beginning in range(0, 20, 10):
        await send(
            engine, *(cloud("order.paid", data={"order": n}) for n in range(beginning, beginning + 10))
        )
        async with one_router(engine) as router:
            await router.sweep()
    assert await settled(engine) == ["held"] * 20
    await send(engine, *(cloud("order.packed", data={"order": n}) for n in range(20) for _ in range(2)))
    async with one_router(engine) as first, one_router(engine) as second:
        await asyncio.gather(first.sweep(), second.sweep())
        while "pending" in await verdicts(engine):
            await asyncio.gather(first.sweep(), second.sweep())
    assert len(await executions(engine, workflow)) == 20
    # Of the two that were packed each time, the second waits for the next payment.
    assert sorted(await verdicts(engine)) == ["held"] * 20 + ["started"] * 40


async def test_without_correlation_the_oldest_of_each_kind_go_together(engine: Engine) -> None:
    on = {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}
    workflow = await triggered(engine, {"on": on})
    for n in range(3):
        await send(engine, cloud("a", data=f"a{n}"))
    await settled(engine)
    for n in range(2):
        await send(engine, cloud("b", data=f"b{n}"))
        await settled(engine)
    heard = [
        (await engine.ended(each["id"]))["output"]["heard"] for each in await executions(engine, workflow)
    ]
    assert heard == [["a0", "b0"], ["a1", "b1"]]
    assert (await verdicts(engine)).count("held") == 1


async def test_what_was_held_is_judged_anew_when_the_filters_change(engine: Engine) -> None:
    on = {"all": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]}
    workflow = await triggered(engine, {"on": on})
    await send(engine, cloud("a", data=1))
    assert await settled(engine) == ["held"]
    await republish(engine, workflow, {"type": "a"})
    assert await settled(engine) == ["started"]


# What goes wrong


async def test_a_filter_that_fails_or_never_ends_costs_its_own_trigger_alone(engine: Engine) -> None:
    fails = await triggered(engine, {"type": PAID, "filter": '.data.amount | test("x")'})
    endless = await triggered(engine, {"type": PAID, "filter": "[range(1000000)] | length > 3"})
    sound = await triggered(engine, {"type": PAID})
    event = cloud(data={"amount": 3})
    [sent] = await send(engine, event)
    assert sorted(await settled(engine)) == ["failed", "failed", "started"]
    assert len(await executions(engine, sound)) == 1
    for workflow, told in ((fails, "test"), (endless, "too many steps")):
        [trigger] = (await engine.get(f"/v1/workflows/{workflow}/triggers"))["items"]
        assert told in trigger["problem"]["reason"]
        assert trigger["problem"]["event_id"] == sent["event_id"]
    # Mended and published, the event can be looked at once more; where it had started something, it is not.
    await republish(engine, fails, {"type": PAID, "filter": ".data.amount == 3"})
    [trigger] = (await engine.get(f"/v1/workflows/{fails}/triggers"))["items"]
    assert trigger["problem"] is None
    answer = await engine.post(f"/v1/events/{sent['event_id']}/replay", {})
    assert answer == {"routings": 2}
    assert sorted(await settled(engine)) == ["failed", "started", "started"]
    assert len(await executions(engine, sound)) == 1


async def test_a_workflow_that_cannot_start_is_told_with_its_reason(engine: Engine) -> None:
    paused = await triggered(engine, {"type": PAID})
    await engine.post(f"/v1/workflows/{paused}/pause", {})
    schema = {"schema": {"document": {"type": "object", "required": ["amount"]}}}
    choosy = await triggered(engine, {"type": PAID}, input=schema)
    await send(engine, cloud(data={}))
    assert await settled(engine) == ["refused", "refused"]
    reasons = sorted([row["reason"] for row in await routings(engine)])
    assert "amount" in reasons[0]
    assert "paused" in reasons[1]
    assert await executions(engine, paused) == await executions(engine, choosy) == []


async def test_events_of_one_organization_never_start_anothers(engine: Engine) -> None:
    ours = await triggered(engine, {"type": PAID})
    account = {"email": "bob@example.com", "password": "tidal ferns at dusk", "name": "Bob"}
    registered = checked(
        await engine.http.post("/v1/auth/register", json={**account, "organization_name": "Other"})
    )
    own, token = engine.http.headers["Authorization"], f"Bearer {registered['access_token']}"
    engine.http.headers["Authorization"] = token
    other = Engine(engine.parts, engine.http, engine.client, UUID(registered["organization"]["id"]))
    theirs = await triggered(other, {"on": {"any": []}})
    event = cloud(data="theirs")
    await send(other, event)
    assert await settled(other) == ["started"]
    engine.http.headers["Authorization"] = own
    # The same source and id is another event here.
    [sent] = await send(engine, {**event, "data": "ours"})
    assert sent["verdict"] == "accepted"
    assert await settled(engine) == ["started"]
    [here] = await executions(engine, ours)
    assert (await engine.ended(here["id"]))["output"]["heard"] == "ours"
    engine.http.headers["Authorization"] = token
    assert len(await executions(other, theirs)) == 1
    assert (await engine.http.get(f"/v1/events/{sent['event_id']}")).status_code == 404
    sources = {each["source"] for each in (await other.get("/v1/events"))["items"]}
    assert sources == {"https://shop.example", "/perdure/executions"}
    assert (await other.get(f"/v1/events?type={PAID}"))["items"][0]["id"] != sent["event_id"]
    # Not even the router itself could write down one for the other: the database refuses the pair.
    statement = text(
        "INSERT INTO event_routings (organization_id, event_id, trigger_id, number) "
        "SELECT :organization, :event, id, 1 FROM triggers WHERE workflow_id = :workflow"
    )
    values = {
        "organization": other.organization_id,
        "event": UUID(sent["event_id"]),
        "workflow": UUID(theirs),
    }
    async with engine.parts.database.transaction(Access(Role.WORKER, other.organization_id)) as tx:
        with pytest.raises(IntegrityError):
            await tx.execute(statement, values)


# What executions tell when they end


async def test_an_outcome_starts_the_next_workflow(engine: Engine) -> None:
    first = await engine.publish([{"a": {"set": {"total": "${ .n * 2 }"}}}])
    chained = await triggered(
        engine, {"type": "execution.completed", "filter": f'.data.workflow_id == "{first}"'}
    )
    id = (await engine.start(first, {"n": 21}))["id"]
    await settled(engine)
    [started] = await executions(engine, chained)
    heard = (await engine.ended(started["id"]))["output"]["heard"]
    assert (heard["execution_id"], heard["workflow"], heard["status"], heard["output"]) == (
        id,
        "test",
        "completed",
        {"total": 42},
    )
    assert (await engine.row(started["id"]))["execution_context"]["hops"] == 1


@pytest.mark.parametrize("how", ["failed", "cancelled", "cancelled before it began", "terminated"])
async def test_every_end_is_told(engine: Engine, how: str) -> None:
    type = f"execution.{how.partition(' ')[0]}"
    handler = await triggered(engine, {"type": type})
    if how == "failed":
        await engine.run([{"a": {"set": "${ error }"}}])
    elif how == "terminated":
        id = (await engine.start(await engine.publish([{"a": {"wait": {"hours": 1}}}])))["id"]
        row = await engine.waiting(id)
        await engine.client.get_workflow_handle(row["temporal_workflow_id"]).terminate("an operator")
        await engine.ended(id)
    else:
        await cancelled(engine, "before" in how)

    async def told() -> list[dict[str, Any]]:
        return await executions(engine, handler)

    [started] = await until(told)
    heard = (await engine.ended(started["id"]))["output"]["heard"]
    assert heard["status"] == how.partition(" ")[0]
    [event] = (await engine.get(f"/v1/events?type={type}"))["items"]
    assert (event["source"], event["execution_id"]) == ("/perdure/executions", heard["execution_id"])


async def cancelled(engine: Engine, before_it_began: bool) -> None:
    id = (await engine.start(await engine.publish([{"a": {"wait": {"hours": 1}}}])))["id"]
    await engine.waiting(id)
    if before_it_began:  # as if nobody had carried its start away yet
        async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
            await tx.execute(
                text("UPDATE outbox SET dispatched_at = NULL, leased_until = now() - interval '1 s'")
            )
            await tx.execute(text("UPDATE workflow_executions SET status = 'queued'"))
            await tx.execute(text("UPDATE outbox SET available_at = now() + interval '1 hour'"))
    await engine.post(f"/v1/executions/{id}/cancel", {})
    await engine.ended(id)


async def test_nothing_is_written_where_nobody_wants_to_hear_of_it(engine: Engine) -> None:
    await triggered(engine, {"type": "execution.failed"})
    await engine.run([{"a": {"set": {"x": 1}}}])
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        assert await tx.scalar(text("SELECT count(*) FROM execution_outcomes")) == 0
    assert (await engine.get("/v1/events"))["items"] == []


async def test_a_step_can_listen_to_the_end_of_another_execution(engine: Engine) -> None:
    listen = {"listen": {"to": {"one": {"with": {"type": "execution.completed"}}}}}
    id = (await engine.start(await engine.publish([{"hear": listen}])))["id"]
    await engine.waiting(id)
    other = await engine.run([{"a": {"set": {"x": 1}}}])
    [heard] = (await engine.ended(id))["output"]
    assert heard["execution_id"] == str(other["id"])


async def test_the_end_of_what_a_trigger_started_is_nothing_for_that_trigger(engine: Engine) -> None:
    """Whoever takes every event does not mean the echo of his own executions."""
    workflow = await triggered(engine, {"on": {"any": []}})
    await send(engine, cloud())

    async def told() -> bool:
        return await verdicts(engine) == ["started", "filtered"]

    await until(told)
    assert "started itself" in (await routings(engine))[1]["reason"]
    assert len(await executions(engine, workflow)) == 1


@pytest.mark.parametrize("by", ["outcomes", "emitted events", "clients that change"])
async def test_a_loop_ends_and_says_so(engine: Engine, by: str) -> None:
    if by == "outcomes":
        looping = [await triggered(engine, {"type": "execution.completed"}), await engine.publish(NOTE)]
        other = {"type": "execution.completed", "filter": f'.data.workflow_id == "{looping[0]}"'}
        looping[1] = await triggered(engine, other)
        await engine.start(await engine.publish(NOTE))
    elif by == "emitted events":
        looping = [await triggered(engine, {"type": "tick"}, [{"again": emit("tick")}])]
        await engine.start(looping[0])
    else:
        client = await engine.post("/v1/clients", {"name": "Lind", "client_type": "individual"})
        change = {"call": "client.update", "with": {"id": client["id"], "city": "${ $workflow.id }"}}
        looping = [await triggered(engine, {"type": "client.changed"}, [{"again": change}])]
        await engine.start(looping[0])

    async def refused() -> list[dict[str, Any]]:
        return [row for row in await routings(engine) if row["verdict"] == "refused"]

    [last, *_] = await until(refused, 60)
    assert "loop" in last["reason"]
    await asyncio.sleep(1.2)
    started = [row["execution_id"] for row in await routings(engine) if row["verdict"] == "started"]
    hops = sorted([(await engine.row(str(id)))["execution_context"]["hops"] for id in started])
    assert hops[-1] == MAXIMUM_HOPS
    assert {(await engine.row(str(id)))["started_by"] for id in started} == {None}, "nobody sent these events"
    assert len(hops) == len(set(hops)) or by == "outcomes"


def emit(type: str) -> dict[str, Any]:
    return {"emit": {"event": {"with": {"type": type}}}}


# Helpers


async def leases_end(engine: Engine) -> None:
    async with engine.parts.database.transaction(Access(Role.SYSTEM)) as tx:
        for table in ("event_routings", "execution_outcomes"):
            await tx.execute(text(f"UPDATE {table} SET leased_until = now() - interval '1 s'"))


async def republish(engine: Engine, workflow: str, configuration: dict[str, Any]) -> None:
    before = await engine.http.get(f"/v1/workflows/{workflow}")
    body = {"triggers": [{"type": "event", "name": "paid", "configuration": configuration}]}
    headers = {"If-Match": before.headers["etag"]}
    checked(await engine.http.patch(f"/v1/workflows/{workflow}", json=body, headers=headers))
    await engine.post(f"/v1/workflows/{workflow}/publish", {})


@asynccontextmanager
async def one_router(engine: Engine) -> AsyncIterator[Routing]:
    """A router with nothing of what another one has in its memory."""
    parts = wire(engine.parts.settings, pool_size=6)
    try:
        yield parts.routing
    finally:
        await parts.close()


@asynccontextmanager
async def router_process(engine: Engine) -> AsyncIterator[asyncio.subprocess.Process]:
    """A node that plays the relay's role alone, as a process of its own."""
    settings = engine.parts.settings
    environment = {
        **os.environ,
        "PERDURE_DATABASE_URL": settings.database_url,
        "PERDURE_TEMPORAL_ADDRESS": settings.temporal_address,
        "PERDURE_MASTER_KEYS": f"test:{SECRET}",
        "PERDURE_TOKEN_SECRET": SECRET,
        "PERDURE_PASSWORD_PEPPER": SECRET,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.node",
        "--roles",
        "relay",
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
