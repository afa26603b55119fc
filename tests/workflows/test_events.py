"""What one execution emits reaches those that listen: early, late, in order, once, and nobody else's."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from activities.actions.context import ActionContext, Services
from db.control import MAXIMUM_KEPT
from db.eventlisteners import EventSubscription
from db.events import Event
from db.outbox import OutboxRow
from db.session import Access, Role
from domain.definitions.faults import Fault
from tests.workflows.engine import Engine, checked

PAID = "com.example.paid"


def emit(type: str = PAID, **attributes: Any) -> dict[str, Any]:
    return {"emit": {"event": {"with": {"type": type, **attributes}}}}


def listen(to: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"listen": {"to": to or {"one": {"with": {"type": PAID}}}}, **more}


async def rows(engine: Engine, *columns: Any) -> list[Any]:
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        return list((await tx.execute(select(*columns))).all())


async def listening(engine: Engine, do: list[dict[str, Any]], input: Any = None) -> str:
    """The id of an execution that listens."""
    id: str = (await engine.start(await engine.publish(do), input))["id"]
    await engine.waiting(id)
    return id


async def approve(engine: Engine, id: str) -> None:
    task = (await engine.waiting(id))["waiting_on"]["task_id"]
    await engine.post(f"/v1/tasks/{task}/decision", {"outcome": "approved"})


ASK = {"ask": {"call": "approve", "with": {"title": "Go on?"}}}


# From one execution to others


async def test_an_event_reaches_every_execution_that_listens(engine: Engine) -> None:
    both = await asyncio.gather(*(listening(engine, [{"hear": listen()}]) for _ in range(2)))
    other = await listening(engine, [{"hear": listen({"one": {"with": {"type": "com.example.opened"}}})}])
    row = await engine.run([{"tell": emit(data={"amount": "${ .n }"})}], {"n": 7})
    event = row["output"]
    assert (event["type"], event["data"], event["specversion"]) == (PAID, {"amount": 7}, "1.0")
    assert event["source"] == "/perdure/workflows/test"
    for id in both:
        ended = await engine.ended(id)
        assert ended["output"] == [{"amount": 7}], dict(ended)
    assert (await engine.row(other))["status"] == "waiting"
    steps = await engine.steps(both[0])
    assert steps[0]["input"] == {"type": PAID, "consumed": 1}


async def test_what_waits_is_told_which_types_it_waits_for(engine: Engine) -> None:
    id = await listening(
        engine, [{"hear": listen({"any": [{"with": {"type": "a"}}, {"with": {"type": "b"}}]})}]
    )
    shown = (await engine.row(id))["waiting_on"]
    assert shown == {"kind": "event", "step": "hear", "occurrence": "/do/0/hear#1", "types": ["a", "b"]}
    id = await listening(engine, [{"hear": listen({"any": []})}])
    assert (await engine.row(id))["waiting_on"] == {
        "kind": "event",
        "step": "hear",
        "occurrence": "/do/0/hear#1",
    }


async def test_other_organizations_hear_nothing(engine: Engine) -> None:
    account = {"email": "bob@example.com", "password": "tidal ferns at dusk", "name": "Bob"}
    registered = checked(
        await engine.http.post("/v1/auth/register", json={**account, "organization_name": "Other"})
    )
    token = f"Bearer {registered['access_token']}"
    other = Engine(engine.parts, engine.http, engine.client, UUID(registered["organization"]["id"]))
    own = engine.http.headers["Authorization"]
    engine.http.headers["Authorization"] = token
    theirs = await listening(other, [{"hear": listen({"any": []})}])
    engine.http.headers["Authorization"] = own
    ours = await listening(engine, [{"hear": listen({"any": []})}])
    await engine.run([{"tell": emit(data=1)}])
    assert (await engine.ended(ours))["output"] == [1]
    assert (await other.row(theirs))["status"] == "waiting"


async def test_an_execution_hears_its_own_branches(engine: Engine) -> None:
    branches = [{"hear": listen()}, {"tell": emit(data=3)}]
    row = await engine.run([{"both": {"fork": {"branches": branches}, "output": {"as": ".[0]"}}}])
    assert row["output"] == [3], dict(row)


async def test_events_arrive_in_the_order_in_which_they_were_emitted(engine: Engine) -> None:
    to = {"any": [{"with": {"type": PAID}}], "until": "length == 30"}
    id = await listening(engine, [{"hear": listen(to)}])
    loop = {"for": {"in": "[range(30)]", "each": "n"}, "do": [{"tell": emit(data="${ $n }")}]}
    assert (await engine.run([{"often": loop}]))["status"] == "completed"
    assert (await engine.ended(id))["output"] == list(range(30))


# Early, late and many


async def test_what_was_emitted_before_the_step_began_to_listen_is_heard(engine: Engine) -> None:
    id = (await engine.start(await engine.publish([ASK, {"hear": listen()}, {"again": listen()}])))["id"]
    await engine.waiting(id)
    await engine.run([{"one": emit(data=1)}, {"two": emit(data=2)}, {"three": emit("other")}])
    await approve(engine, id)
    row = await engine.ended(id)
    assert row["output"] == [2], dict(row)
    assert [step["output"] for step in await engine.steps(id)][1:] == [[1], [2]]


async def test_what_was_emitted_before_the_execution_began_is_not_heard(engine: Engine) -> None:
    await engine.run([{"one": emit(data=1)}])
    await asyncio.sleep(0.02)
    id = await listening(engine, [{"hear": listen()}])
    await engine.run([{"two": emit(data=2)}])
    assert (await engine.ended(id))["output"] == [2]


async def test_the_event_that_fits_is_found_among_hundreds_of_early_ones(engine: Engine) -> None:
    wanted = {"one": {"with": {"type": PAID, "data": "${ .n == 233 }"}}}
    id = (await engine.start(await engine.publish([ASK, {"hear": listen(wanted)}])))["id"]
    await engine.waiting(id)
    loop = {"for": {"in": "[range(240)]", "each": "n"}, "do": [{"tell": emit(data={"n": "${ $n }"})}]}
    assert (await engine.run([{"often": loop}]))["status"] == "completed"
    await approve(engine, id)
    row = await engine.ended(id)
    assert row["output"] == [{"n": 233}], dict(row)
    said = (await engine.steps(id))[1]["input"]
    # The oldest of what nobody asked for made room; the step log says how many did.
    assert said["consumed"] == 1
    assert 100 <= said["lost"] < 240


async def test_each_early_event_has_its_turn_although_there_are_many(engine: Engine) -> None:
    to = {"any": [{"with": {"type": PAID}}], "until": "length == 230"}
    foreach = {
        "item": "e",
        "do": [{"look": {"call": "data.template", "with": {"text": "${ $e }", "values": {}}}}],
    }
    step = listen(to, foreach={**foreach, "output": {"as": "$e"}})
    id = (await engine.start(await engine.publish([ASK, {"hear": step}])))["id"]
    await engine.waiting(id)
    loop = {"for": {"in": "[range(230)]", "each": "n"}, "do": [{"tell": emit(data='${ "e\\($n)" }')}]}
    assert (await engine.run([{"often": loop}]))["status"] == "completed"
    await approve(engine, id)
    row = await engine.ended(id, 60)
    assert row["output"] == [f"e{n}" for n in range(230)], dict(row)


async def test_large_early_events_of_many_listens_come_in_parts(engine: Engine) -> None:
    """All at once they would be more than Temporal takes from a workflow task, which would repeat for ever."""
    keep = {"keep": {"set": "${ {t: .t} }", "export": {"as": "."}}}
    says = [
        {
            f"say {n}": {
                "emit": {
                    "event": {
                        "with": {
                            "type": f"t{n}",
                            "source": "https://a.example",
                            "data": "${ $context.t * 16 }",
                        }
                    }
                },
                "output": {"as": "{}"},
            }
        }
        for n in range(50)
    ]
    listens = [
        {f"hear {n}": {"listen": {"to": {"one": {"with": {"type": f"t{n}"}}}}, "output": {"as": "length"}}}
        for n in range(50)
    ]
    do = [keep, *says, {"all": {"fork": {"branches": listens}}}]
    row = await engine.run(do, {"t": "x" * 6800})
    assert (row["status"], row["output"]) == ("completed", [1] * 50), dict(row)


async def test_a_step_that_hears_them_all_may_be_sent_more_signals_than_are_kept(engine: Engine) -> None:
    count = MAXIMUM_KEPT + 15
    to = {"any": [{"with": {"type": PAID}}], "until": f"length == {count}"}
    id = await listening(
        engine, [{"hear": listen(to)}, {"hold": listen({"one": {"with": {"type": "never"}}})}]
    )
    for number in range(count):
        await engine.post(f"/v1/executions/{id}/signal", {"type": PAID, "data": number})
    row = await engine.until(id, lambda row: (row["waiting_on"] or {}).get("step") == "hold")
    heard = (await engine.steps(id))[0]
    assert sorted(heard["output"]) == list(range(count)), dict(row)
    # They were consumed, so as many may be kept again.
    for _ in range(MAXIMUM_KEPT):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "kept"})
    refused = await engine.http.post(f"/v1/executions/{id}/signal", json={"type": "kept"})
    assert refused.status_code == 409


# The end of listening


async def test_a_step_that_has_heard_enough_is_brought_nothing_more(engine: Engine) -> None:
    id = await listening(engine, [{"hear": listen()}, ASK])
    await engine.run([{"tell": emit(data=1)}])
    await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    assert [row.closed_at is not None for row in await rows(engine, EventSubscription.closed_at)] == [True]
    before = len(await rows(engine, OutboxRow.id))
    await engine.run([{"tell": emit(data=2)}])
    assert len(await rows(engine, OutboxRow.id)) == before + 1, "only the start of the execution that emits"
    await approve(engine, id)
    assert (await engine.ended(id))["status"] == "completed"


@pytest.mark.parametrize("how", ["cancelled", "timed out", "failed"])
async def test_whatever_ends_a_step_ends_its_listening(engine: Engine, how: str) -> None:
    hear = listen({"any": []})
    if how == "timed out":
        do: list[dict[str, Any]] = [
            {"t": {"try": [{"hear": {**hear, "timeout": {"after": "PT0.3S"}}}], "catch": {}}},
            ASK,
        ]
    else:
        do = [{"hear": {**hear, "foreach": {"do": [{"x": {"set": "${ error }"}}]}}}]
    id = await listening(engine, do)
    if how == "cancelled":
        await engine.post(f"/v1/executions/{id}/cancel", {})
        assert (await engine.ended(id))["status"] == "cancelled"
    elif how == "failed":
        await engine.run([{"tell": emit()}])
        assert (await engine.ended(id))["status"] == "failed"
    else:
        await engine.until(id, lambda row: (row["waiting_on"] or {}).get("kind") == "task")
    assert [row.closed_at is not None for row in await rows(engine, EventSubscription.closed_at)] == [True]


# What is emitted


async def test_events_are_stored_sealed(engine: Engine) -> None:
    row = await engine.run([{"tell": emit(subject="canary-subject", data="canary-data")}])
    [event] = await rows(engine, Event.id, Event.content, Event.type, Event.source, Event.event_id)
    assert b"canary" not in event.content
    assert (event.type, event.source) == (PAID, "/perdure/workflows/test")
    assert str(event.event_id) == row["output"]["id"]
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        told = await tx.scalar(
            text("SELECT string_agg(o.payload::text, ' ') FROM outbox o WHERE kind = 'signal'")
        )
    assert "canary" not in (told or "")


async def test_the_same_id_is_the_same_event_and_another_content_a_fault(engine: Engine) -> None:
    paid = [{"with": {"type": PAID}}]  # not the ends of the executions that emit
    id = await listening(engine, [{"hear": listen({"any": paid, "until": "length == 2"})}])
    same = emit(id="1", data="a")
    row = await engine.run([{"one": same}, {"two": same}, {"three": emit(id="1", data="b")}])
    assert (row["status"], row["error"]["title"], row["error"]["status"]) == (
        "failed",
        "Event id reused",
        409,
    )
    assert row["error"]["instance"] == "/do/2/three"
    steps = await engine.steps(str(row["id"]))
    assert steps[0]["output"] == steps[1]["output"], "the event as it was recorded first"
    await engine.run([{"last": emit(data="c")}])
    assert (await engine.ended(id))["output"] == ["a", "c"]


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"data": '${ "x" * 131000 }'}, 413),
        ({"subject": "${ [1] }"}, 400),
        ({"type": '${ "" }'}, 400),
        ({"type": '${ "x" * 201 }'}, 400),
        ({"id": '${ "x" * 501 }'}, 400),
        ({"roomid": "${ {} }"}, 400),
        # Nobody speaks in the platform's name.
        ({"source": '${ "/perdure/executions" }'}, 400),
    ],
)
async def test_what_is_no_event_is_a_fault_of_the_step(
    engine: Engine, attributes: dict[str, Any], status: int
) -> None:
    row = await engine.run([{"tell": emit(**attributes)}])
    assert (row["status"], row["error"]["status"]) == ("failed", status), dict(row["error"])
    assert await rows(engine, Event.id) == []


async def test_a_step_repeated_after_a_lost_worker_emits_once(engine: Engine) -> None:
    id = await listening(engine, [{"hear": listen({"any": [], "until": "length == 2"})}])
    parts = engine.parts
    services = Services(None, None, None, parts.keys)  # type: ignore[arg-type]
    key, outputs = f"{uuid4()}/do/0/tell#1", []
    for _ in range(2):
        async with parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
            context = ActionContext(
                engine.organization_id, UUID(id), "/x", None, key, datetime.now(UTC), tx, services
            )
            arguments: dict[str, Any] = {"type": PAID, "source": "/s", "data": 1}
            outputs.append(await parts.registry.run("event.emit", "1.0.0", context, arguments))
            with pytest.raises(Fault, match="lower-case"):
                await parts.registry.run("event.emit", "1.0.0", context, {**arguments, "roomId": 1})
    assert outputs[0] == outputs[1]
    await engine.run([{"last": emit(data=2)}])
    assert (await engine.ended(id))["output"] == [1, 2]
