"""What begins by itself, and what executions tell each other: by the clock, by an event, by a webhook."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import text

from db.session import Access, Role
from tests.replay.scene import NAP, Kind, Scene, line, listen, sure
from tests.workflows.test_webhooks import provider

T = TypeVar("T")
PAID: dict[str, Any] = {
    "specversion": "1.0",
    "id": "paid-1",
    "source": "https://shop.example",
    "type": "order.paid",
    "data": {"order": 7},
}


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    ends = time.monotonic() + 30
    while (found := await look()) is None:
        assert time.monotonic() < ends, "nothing began"
        await asyncio.sleep(0.05)
    return found


async def by_the_clock(scene: Scene, kind: Kind) -> str:
    """The schedule counts from publication, a little more than a minute ago."""
    await scene.publish(kind.do, **kind.document)

    async def schedule() -> str | None:
        items = (await scene.get("/v1/schedules"))["items"]
        return str(items[0]["id"]) if items and items[0]["next_at"] else None

    id = await eventually(schedule)
    ago = text(
        "UPDATE schedules SET since = since - CAST(:by AS interval), anchor = anchor - CAST(:by AS interval), "
        "due_at = due_at - CAST(:by AS interval), next_at = next_at - CAST(:by AS interval)"
    )
    async with scene.parts.database.transaction(Access(Role.WORKER, scene.organization_id)) as tx:
        await tx.execute(ago, {"by": timedelta(seconds=65)})

    async def started() -> str | None:
        lines = (await scene.get(f"/v1/schedules/{id}/occurrences"))["items"]
        return str(lines[0]["execution_id"]) if lines and lines[0]["execution_id"] else None

    return await eventually(started)


async def by_an_event(scene: Scene, kind: Kind) -> str:
    await scene.publish(kind.do, **kind.document)
    [sent] = (await scene.post("/v1/events", PAID))["items"]

    async def started() -> str | None:
        routings = (await scene.get(f"/v1/events/{sent['event_id']}"))["routings"]
        return str(routings[0]["execution_id"]) if routings and routings[0]["execution_id"] else None

    return await eventually(started)


async def by_a_webhook(scene: Scene, kind: Kind) -> str:
    return str((await (await provider(scene, kind.do)).send("order-1")).json()["execution_id"])


async def heard_by_another(scene: Scene, kind: Kind) -> str:
    """Answers the one that tells; another one listens already."""
    listening = str((await scene.start(await scene.publish([{"hear": listen("told")}])))["id"])
    await scene.waiting(listening)
    id = str((await scene.start(await scene.publish(kind.do)))["id"])
    assert (await scene.ended(listening))["status"] == "completed"
    return id


async def tell_it(scene: Scene, _: str) -> None:
    await scene.waiting(_)
    await scene.start(await scene.publish(TELLING))


async def four_earlier(scene: Scene, id: str) -> None:
    """More than are brought to a step at once, before it listens."""
    for number in range(4):
        await scene.post(f"/v1/executions/{id}/signal", {"type": "other", "id": f"other {number}"})
    for number in range(4):
        await scene.post("/v1/events", {**PAID, "id": f"paid {number}", "data": number})


TELLING: list[dict[str, Any]] = [
    {"tell": {"emit": {"event": {"with": {"type": "told", "data": {"n": 1}}}}}},
    {"sure": sure('.type == "told"')},
]
STARTS: dict[str, Kind] = {
    "by-a-schedule": Kind(
        [
            {"nap": NAP},
            {
                "sure": sure(
                    '$workflow.trigger | .type == "schedule" and .origin == "clock" and .nominal_time != null'
                )
            },
            {"line": line("x")},
        ],
        document={"schedule": {"every": {"minutes": 1}}},
        begin=by_the_clock,
    ),
    "by-an-event": Kind(
        [
            {"sure": sure('.[0].order == 7 and $workflow.trigger.event.type == "order.paid"')},
            {"line": line("x")},
        ],
        document={"schedule": {"on": {"one": {"with": {"type": "order.paid"}}}}},
        begin=by_an_event,
    ),
    "by-a-webhook": Kind(
        [{"sure": sure('.order == 7 and $workflow.trigger.type == "webhook"')}], begin=by_a_webhook
    ),
    "emit-to-another": Kind(TELLING, begin=heard_by_another),
    "listen-to-another": Kind([{"hear": listen("told")}, {"sure": sure(".[0].n == 1")}], tell_it),
    "listen-to-what-came-before": Kind(
        [
            {"nap": {"wait": {"seconds": 2}}},
            {
                "hear": {
                    "listen": {"to": {"any": [{"with": {"type": "order.paid"}}], "until": "${ length >= 4 }"}}
                }
            },
            {"sure": sure(". == [0, 1, 2, 3]")},
        ],
        four_earlier,
    ),
}
