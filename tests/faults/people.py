"""What is done to an execution after its start: decided, cancelled, signalled, paused."""

import asyncio
import random
from typing import Any

import httpx2

from tests.faults.client import Caller, parsed
from tests.faults.sent import Sent

SIGNAL = "document.received"
#: How often somebody looks, about once a second.
SECONDS = 240


class People:
    """Each act is repeated with its own key until it is answered."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        #: By house, executions that wait to be cancelled together.
        self._herds: dict[str, list[Sent]] = {}

    async def act(self, sent: Sent) -> None:
        """What this kind of execution needs or suffers from outside."""
        match sent.kind:
            case "approval":
                await self._decide(sent)
            case "cancelled":
                await asyncio.sleep(self._chance.uniform(0, 3))
                await self._cancel(sent)
            case "signalled":
                await self._signal(sent)
            case "paused":
                await self._pause(sent)
            case "asked":
                await self._fill_in(sent)
            case "overdue":
                await self._race(sent)
            case "escalated":
                await self._when_escalated(sent)
            case "bulked":
                await self._with_others(sent)

    async def _decide(self, sent: Sent) -> None:
        task = await self._task(sent)
        await asyncio.sleep(self._chance.uniform(0, 2))
        parsed(await self._answer(sent, task, {"outcome": self._chance.choice(["approved", "rejected"])}))

    async def _fill_in(self, sent: Sent) -> None:
        task = await self._task(sent)
        await asyncio.sleep(self._chance.uniform(0, 1))
        sent.said = f"word-{self._chance.randrange(10**6)}"
        filled = {"outcome": "submitted", "data": {"word": sent.said}}
        parsed(await self._answer(sent, task, {**filled, "arguments_digest": task["arguments_digest"]}))

    async def _race(self, sent: Sent) -> None:
        """At about the moment at which the task is due: in time or not, what is answered then stands."""
        task = await self._task(sent, "Race of")
        await asyncio.sleep(self._chance.uniform(0, 3))
        answer = await self._answer(sent, task, {"outcome": "approved"})
        if answer.status_code == httpx2.codes.CONFLICT:
            sent.said = "late"
            return
        parsed(answer)
        sent.said = "approved"

    async def _when_escalated(self, sent: Sent) -> None:
        task = await self._task(sent)
        for _ in range(SECONDS):
            lines = parsed(await sent.house.caller.insist("GET", f"/v1/tasks/{task['id']}/events"))["items"]
            if "escalated" in {line["kind"] for line in lines}:
                parsed(await self._answer(sent, task, {"outcome": "approved"}))
                return
            await asyncio.sleep(1)
        raise AssertionError(f"the task of {sent.ids[0]} was never escalated")

    async def _task(self, sent: Sent, title: str = "") -> dict[str, Any]:
        """The latest task, once there is one of this title."""
        query = f"/v1/tasks?execution_id={sent.ids[0]}"
        for _ in range(SECONDS):
            tasks: list[dict[str, Any]] = parsed(await sent.house.caller.insist("GET", query))["items"]
            if tasks and tasks[0]["title"].startswith(title):
                return tasks[0]
            await asyncio.sleep(0.5)
        raise AssertionError(f"no task appeared for {sent.ids[0]}")

    async def _answer(self, sent: Sent, task: dict[str, Any], decision: dict[str, Any]) -> httpx2.Response:
        path = f"/v1/tasks/{task['id']}/decision"
        return await sent.house.caller.insist("POST", path, decision, f"d-{sent.key}")

    async def _with_others(self, sent: Sent) -> None:
        """Whoever waits longest cancels all who have come meanwhile."""
        waiting = self._herds.setdefault(sent.house.name, [])
        waiting.append(sent)
        if len(waiting) > 1:
            return
        await asyncio.sleep(self._chance.uniform(1, 4))
        together = self._herds.pop(sent.house.name)
        ids = [each.ids[0] for each in together]
        asked = {"filters": {"ids": ids}, "expected": len(ids), "reason": "fault test"}
        caller = sent.house.caller
        begun = parsed(await caller.insist("POST", "/v1/bulk/cancel", asked, f"b-{sent.key}"))
        for _ in range(SECONDS):
            found = parsed(await caller.insist("GET", f"/v1/bulk/{begun['id']}"))
            if found["completed_at"] is not None:
                assert (found["done"], found["refused"]) == (len(ids), 0), found
                return
            await asyncio.sleep(0.5)
        raise AssertionError(f"many were never cancelled: {found}")

    async def _cancel(self, sent: Sent) -> None:
        parsed(await self._post(sent, "cancel", {"reason": "fault test"}, "c"))

    async def _signal(self, sent: Sent) -> None:
        """Two events, the first of them sent twice under different keys: each is heard once."""
        for serial, word in (("one", "a"), ("one", "b"), ("two", "c")):
            await asyncio.sleep(self._chance.uniform(0, 1))
            event = {"type": SIGNAL, "id": serial, "data": {"serial": serial}}
            parsed(await self._post(sent, "signal", event, f"s{word}"))

    async def _pause(self, sent: Sent) -> None:
        await asyncio.sleep(self._chance.uniform(0, 2))
        for word in ("pause", "resume"):
            answer = await self._post(sent, word, None, word)
            if answer.status_code == httpx2.codes.CONFLICT:  # it was quicker
                return
            parsed(answer)
            await asyncio.sleep(self._chance.uniform(0, 2))

    async def _post(self, sent: Sent, word: str, body: object, key: str) -> httpx2.Response:
        caller: Caller = sent.house.caller
        path = f"/v1/executions/{sent.ids[0]}/{word}"
        return await caller.insist("POST", path, body, f"{key}-{sent.key}")
