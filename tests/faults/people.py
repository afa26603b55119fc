"""What is done to an execution after its start: decided, cancelled, signalled, paused."""

import asyncio
import random

import httpx2

from tests.faults.client import Caller, parsed
from tests.faults.sent import Sent

SIGNAL = "document.received"


class People:
    """Each act is repeated with its own key until it is answered."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

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

    async def _decide(self, sent: Sent) -> None:
        caller, query = sent.house.caller, f"/v1/tasks?execution_id={sent.ids[0]}"
        for _ in range(240):
            tasks = parsed(await caller.insist("GET", query))["items"]
            if tasks:
                break
            await asyncio.sleep(1)
        else:
            raise AssertionError(f"no task appeared for {sent.ids[0]}")
        await asyncio.sleep(self._chance.uniform(0, 2))
        decision = {"outcome": self._chance.choice(["approved", "rejected"])}
        parsed(await caller.insist("POST", f"/v1/tasks/{tasks[0]['id']}/decision", decision, f"d-{sent.key}"))

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
