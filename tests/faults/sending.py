"""A trigger on its way: a start over the API, a signed webhook, an event, a nominal time of a schedule."""

import asyncio
import time
from typing import Any

import httpx2

from domain.webhooks.schemes import standard
from tests.faults.client import parsed
from tests.faults.definitions import TOLD
from tests.faults.sent import Sent

#: The router and the firing loop may have to come back first.
SECONDS = 240


async def once(sent: Sent, *, wait: int | None = None) -> httpx2.Response:
    """Raises Unanswered."""
    return await sent.house.caller.once("POST", wait=wait, **_request(sent))


async def insist(sent: Sent) -> httpx2.Response:
    return await sent.house.caller.insist("POST", **_request(sent))


async def accepted(sent: Sent, answer: httpx2.Response) -> str:
    """The id of the execution that a 2xx answer names, or that comes of what it accepted."""
    body: dict[str, Any] = parsed(answer)
    match sent.kind:
        case "evented":
            [item] = body["items"]
            assert item["verdict"] in ("accepted", "duplicate"), item
            return await _comes(sent, f"/v1/events/{item['event_id']}", "routings")
        case "scheduled":
            span = f"from={_nominal(sent)}Z"
            return await _comes(
                sent, f"/v1/schedules/{sent.house.schedule}/occurrences?{span}&limit=200", "items"
            )
        case "hooked":
            return str(body["execution_id"])
    return str(body["id"])


async def _comes(sent: Sent, path: str, name: str) -> str:
    """Once there is a line about it that names an execution; a schedule's ledger has lines about others too."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        lines = parsed(await sent.house.caller.insist("GET", path))[name]
        if sent.kind == "scheduled":
            lines = [line for line in lines if line["nominal_at"].startswith(_nominal(sent))]
        assert len(lines) <= 1, lines
        if lines and lines[0]["execution_id"] is not None:
            return str(lines[0]["execution_id"])
        await asyncio.sleep(0.5)
    raise AssertionError(f"{sent.n}: nothing began, {path} says {lines}")


def _request(sent: Sent) -> dict[str, Any]:
    """Path, body, and what makes it safe to repeat."""
    house, input = sent.house, sent.body["input"]
    match sent.kind:
        case "hooked":
            # Signed anew for every attempt, as providers do; the event stays the same.
            return {
                "path": house.hook[0],
                "body": input,
                "sign": lambda body: standard.sign(body, house.hook[1], sent.key, int(time.time())),
            }
        case "evented":
            event = {"specversion": "1.0", "id": sent.key, "source": "https://faults.example", "type": TOLD}
            return {"path": "/v1/events", "body": {**event, "data": input}}
        case "scheduled":
            moment = f"{_nominal(sent)}Z"
            asked = {"from": moment, "to": moment, "expected": 1, "side_by_side": True}
            return {"path": f"/v1/schedules/{house.schedule}/backfill", "body": asked, "key": sent.key}
    return {"path": house.path(sent.kind), "body": sent.body, "key": sent.key}


def _nominal(sent: Sent) -> str:
    """As its `n` says, without the offset."""
    return sent.n.removeprefix("at-").removesuffix("+00:00")
