"""Events start workflows: each one once, whoever sends it, however many routers look and whichever of them dies."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.session import Access, Role
from tests.workflows.engine import Engine, checked

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
    page = await engine.get(f"/v1/executions?workflow_id={workflow_id}&limit=100")
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


async def until(happened: Callable[[], Any], seconds: float = 20) -> Any:
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
