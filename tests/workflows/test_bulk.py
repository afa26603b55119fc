"""Many executions cancelled or repeated at once: counted first, carried out by a process, reported one by one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from db.reruns import Reruns
from db.session import Access, Role
from domain import bulk
from tests.workflows.engine import Engine, settings_for
from tests.workflows.mail import Mailbox, mailbox, send
from workers.settings import Settings

ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}


@pytest.fixture
async def mails() -> AsyncIterator[Mailbox]:
    async with mailbox() as box:
        yield box


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, mails: Mailbox) -> Settings:
    return settings_for(
        database_url, temporal_server, smtp_url=f"smtp://127.0.0.1:{mails.port}?starttls=false"
    )


async def count(engine: Engine, action: str, **filters: Any) -> int:
    found = await engine.post("/v1/bulk/count", {"action": action, "filters": filters})
    return int(found["count"])


async def finished(engine: Engine, id: str) -> dict[str, Any]:
    for _ in range(600):
        found = await engine.get(f"/v1/bulk/{id}")
        if found["status"] in ("completed", "failed", "cancelled", "terminated"):
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def items(engine: Engine, id: str, **narrow: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given = {"limit": 2, **narrow, **({"cursor": cursor} if cursor else {})}
        page = (await engine.http.get(f"/v1/bulk/{id}/items", params=given)).json()
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


async def test_all_that_wait_are_cancelled_and_each_has_its_line(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.bulk.PER_PART", 2)
    monkeypatch.setattr("domain.bulk.PER_PART", 2)
    ask = await engine.publish([{"ask": ASK}])
    other = await engine.publish([{"other": ASK}])
    ids = [str((await engine.start(ask))["id"]) for _ in range(5)]
    spared = str((await engine.start(other))["id"])
    for id in [*ids, spared]:
        await engine.waiting(id)
    filters = {"workflow_id": ask, "status": ["waiting"]}
    assert await count(engine, "cancel", **filters) == 5
    assert await count(engine, "rerun", **filters) == 0
    asked = {"filters": filters, "expected": 4, "reason": "rain"}
    refused = await engine.http.post("/v1/bulk/cancel", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "count_differs")
    assert (await engine.get("/v1/bulk"))["items"] == [], "nothing is left of what was refused"
    begun = await engine.post("/v1/bulk/cancel", {**asked, "expected": 5})
    assert (begun["total"], begun["action"]) == (5, "cancel")
    done = await finished(engine, begun["id"])
    assert (done["status"], done["done"], done["refused"], done["progress"]) == ("completed", 5, 0, 100)
    for id in ids:
        assert (await engine.ended(id))["status"] == "cancelled"
    assert (await engine.row(spared))["status"] == "waiting"
    report = await items(engine, begun["id"])
    assert [each["execution_id"] for each in report] == ids, "the oldest first"
    assert {each["detail"] for each in report} == {"It was asked to end."}
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        noted = (
            await tx.execute(text("SELECT count(*) FROM activity_logs WHERE action = 'execution.cancelled'"))
        ).scalar()
    assert noted == 5
    [listed] = (await engine.get("/v1/bulk"))["items"]
    assert listed["id"] == begun["id"]


async def test_failed_ones_are_repeated_and_refusals_are_reported(engine: Engine, mails: Mailbox) -> None:
    do = [
        {"first": send("first")},
        {"look": {"call": "data.template", "with": {"text": "x"}}},
        {"oops": {"raise": {"error": {"type": "https://example.com/no", "status": 500, "title": "No"}}}},
    ]
    plain = await engine.publish(do)
    undoing = await engine.publish(
        [{"room": {**send("room"), "metadata": {"compensate": send("no room")}}}, *do[2:]]
    )
    rows = [await engine.ended(str((await engine.start(plain))["id"])) for _ in range(2)]
    undone = await engine.ended(str((await engine.start(undoing))["id"]))
    assert {row["status"] for row in (*rows, undone)} == {"failed"}
    mails.subjects.clear()
    assert await count(engine, "rerun", status=["failed"]) == 3
    begun = await engine.post("/v1/bulk/rerun", {"filters": {"status": ["failed"]}, "expected": 3})
    done = await finished(engine, begun["id"])
    assert (done["done"], done["refused"]) == (2, 1)
    [refused] = await items(engine, begun["id"], outcome="refused")
    assert refused["execution_id"] == str(undone["id"])
    assert "has been undone since: room" in refused["detail"]
    for item in await items(engine, begun["id"], outcome="done"):
        again = await engine.ended(item["rerun_id"])
        assert str(again["rerun_of_id"]) == item["execution_id"]
        assert again["error"]["instance"] == "/do/2/oops"
    assert mails.subjects == [], "what came before is only answered"
    # The reruns have failed too: another operation is about them as well.
    assert await count(engine, "rerun", status=["failed"]) == 5


async def test_what_a_key_repeats_happens_once_and_a_stopped_one_leaves_the_rest(
    idle_engine: Engine,
) -> None:
    engine = idle_engine
    ask = await engine.publish([{"ask": ASK}])
    for _ in range(3):
        await engine.start(ask)
    asked = {"filters": {"workflow_id": ask}, "expected": 3}
    first = await engine.http.post("/v1/bulk/cancel", json=asked, headers={"Idempotency-Key": "once"})
    second = await engine.http.post("/v1/bulk/cancel", json=asked, headers={"Idempotency-Key": "once"})
    assert first.json() == second.json()
    id = first.json()["id"]
    assert len((await engine.get("/v1/bulk"))["items"]) == 1
    await engine.post(f"/v1/bulk/{id}/stop", None)
    stopped = await engine.get(f"/v1/bulk/{id}")
    assert stopped["done"] == 0
    assert {each["outcome"] for each in await items(engine, id)} == {None}


async def test_a_part_that_is_repeated_goes_on_with_the_rest(idle_engine: Engine) -> None:
    """A worker was lost after its first execution: nothing of it is done twice."""
    engine = idle_engine
    ask = await engine.publish([{"ask": ASK}])
    for _ in range(3):
        await engine.start(ask)
    begun = await engine.post("/v1/bulk/cancel", {"filters": {"workflow_id": ask}, "expected": 3})
    work = engine.parts.activities._services.bulk
    assert work is not None
    arguments = (engine.organization_id, engine.organization_id, UUID(begun["id"]), 0)
    both = await asyncio.gather(work.part(*arguments), work.part(*arguments))
    assert sum(both) >= 3
    assert await work.part(*arguments) == 0
    report = await items(engine, begun["id"])
    assert {each["outcome"] for each in report} == {"done"}


def test_parts() -> None:
    assert [bulk.parts_of(n) for n in (1, bulk.PER_PART, bulk.PER_PART + 1, bulk.MOST)] == [1, 1, 2, 200]


async def test_one_that_goes_wrong_as_nobody_expected_does_not_keep_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await engine.publish([{"note": {"set": {"done": True}}}])
    ids = [str((await engine.start(workflow))["id"]) for _ in range(3)]
    for id in ids:
        await engine.ended(id)
    read = Reruns.read

    async def trips(reruns: Reruns, id: UUID) -> Any:
        if str(id) == ids[0]:
            raise KeyError("nobody expected this")
        return await read(reruns, id)

    monkeypatch.setattr(Reruns, "read", trips)
    begun = await engine.post("/v1/bulk/rerun", {"filters": {"workflow_id": workflow}, "expected": 3})
    done = await finished(engine, begun["id"])
    assert (done["status"], done["done"], done["refused"]) == ("completed", 2, 1)
    [refused] = await items(engine, begun["id"], outcome="refused")
    assert (refused["execution_id"], "logged" in refused["detail"]) == (ids[0], True)
