"""The load: two organizations trigger, decide and cancel, and write down what they were told."""

import asyncio
import random
import secrets
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import httpx2

from tests.faults.client import PATIENCE, Caller, Unanswered, parsed
from tests.faults.definitions import LONG_AGO, WEIGHTS, definition, triggers
from tests.faults.people import People
from tests.faults.sending import accepted, insist, once
from tests.faults.sent import House, Sent
from tests.faults.timeline import Blow, Timeline

SCOPES = [
    *("workflows:read", "workflows:write", "workflows:publish"),
    *("executions:read", "executions:start", "executions:cancel", "executions:control"),
    *("tasks:read", "tasks:decide", "clients:read", "clients:write"),
    *("triggers:read", "triggers:write", "secrets:read", "secrets:write", "events:read", "events:write"),
]
#: Calls to the partner go to loopback, which only the demo organization may do.
LOCAL_KINDS = ("segment", "failing", "cancelled", "signalled", "overdue", "bulked")
PROBE_SECONDS = 0.5


async def register(http: httpx2.AsyncClient, name: str) -> House:
    """Make an organization with an API key of its own."""
    caller = Caller(http)
    account = {
        "email": f"{name}@example.com",
        "password": "tidal ferns at dusk",
        "name": name,
        "organization_name": name,
    }
    registered = parsed(await caller.once("POST", "/v1/auth/register", account))
    caller.bearer = registered["access_token"]
    made = parsed(await caller.once("POST", "/v1/me/api-keys", {"name": "load", "scopes": SCOPES}))
    caller.bearer = made["key"]
    canary, secret = (f"{word}-{name}-{secrets.token_hex(8)}" for word in ("canary", "secret"))
    parsed(await caller.once("PUT", "/v1/secrets/partner", {"value": secret}))
    return House(name, UUID(registered["organization"]["id"]), caller, canary, secret)


async def publish(house: House, kinds: Sequence[str], partner: str) -> None:
    """Create and publish one workflow of each kind."""
    for kind in kinds:
        body: dict[str, Any] = {"name": kind, "definition": definition(kind, partner)}
        if kind in ("hooked", "evented", "scheduled"):
            body["triggers"] = triggers(kind, house.canary)
        created = parsed(await house.caller.once("POST", "/v1/workflows", body))
        parsed(await house.caller.once("POST", f"/v1/workflows/{created['id']}/publish", {}))
        house.workflows[kind] = created["id"]
        if kind == "hooked":
            await _connect(house)
        if kind == "scheduled":
            house.schedule = (await _trigger_of(house, kind))["id"]


async def _trigger_of(house: House, kind: str) -> dict[str, Any]:
    path = f"/v1/workflows/{house.workflows[kind]}/triggers"
    trigger: dict[str, Any] = parsed(await house.caller.once("GET", path))["items"][0]
    return trigger


async def _connect(house: House) -> None:
    """Learn the address of the webhook and its signing secret, as somebody who sets it up at a provider."""
    trigger = await _trigger_of(house, "hooked")
    rotated = parsed(await house.caller.once("POST", f"/v1/triggers/{trigger['id']}/rotate-secret", {}))
    house.hook = (f"/v1/hooks/{trigger['url'].rpartition('/')[2]}", rotated["secret"])


class Load:
    """`houses`: the first may call the partner, the others may not."""

    def __init__(self, houses: Sequence[House], chance: random.Random, timeline: Timeline) -> None:
        self.houses = houses
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        #: What has not come to an end yet, for saying so.
        self.under_way: set[str] = set()
        self.people = People(chance)
        self._chance = chance
        self._timeline = timeline
        #: No time is started twice; the schedule's own are over.
        self._minutes = count(1)
        #: Kinds that this phase has not sent yet: each comes at least once, if there are enough.
        self._owed: list[str] = []

    async def phase(self, name: str, number: int, seconds: float) -> None:
        """Send `number` triggers within about so many seconds and see each through."""
        self._owed = self._chance.sample(list(WEIGHTS), len(WEIGHTS))
        async with asyncio.TaskGroup() as group:
            for index in range(number):
                group.create_task(self._guarded(f"{name}-{index}"))
                await asyncio.sleep(self._chance.uniform(0, 2 * seconds / number))

    async def probe(self, ended: asyncio.Event) -> None:
        """Ask for fresh executions while a blow is felt; one that completes says which blows are over."""
        async with asyncio.TaskGroup() as group:
            while not ended.is_set() or self.felt:
                if self.felt:
                    group.create_task(self._probe())
                await asyncio.sleep(PROBE_SECONDS)

    @property
    def felt(self) -> list[Blow]:
        """Blows after which nothing fresh has completed yet."""
        return [blow for blow in self._timeline.blows if blow.served is None]

    async def _probe(self) -> None:
        """One trigger, never repeated here: whatever became of it is asked in the end."""
        house, began = self.houses[0], self._timeline.now()
        sent = self._remember(f"probe-{len(self.sent)}", "probe", house)
        try:
            answer = await once(sent, wait=5)
        except Unanswered:
            sent.gave_up = True
            return
        if not answer.is_success:
            sent.gave_up = True
            return
        sent.ids.append(answer.json()["id"])
        if answer.status_code == httpx2.codes.OK and answer.json()["status"] == "completed":
            for blow in self.felt:
                if blow.cleared is not None and blow.cleared <= began:
                    blow.served = self._timeline.now()

    def _remember(self, n: str, kind: str, house: House) -> Sent:
        sent = Sent(n, kind, house, f"k-{n}-{secrets.token_hex(6)}")
        self.sent.append(sent)
        return sent

    async def _guarded(self, n: str) -> None:
        self.under_way.add(n)
        try:
            await self._one(n)
        except (AssertionError, Unanswered) as problem:
            self.problems.append(f"{n}: {problem}")
        self.under_way.discard(n)

    async def _one(self, n: str) -> None:
        local = not self._owed and self._chance.random() < 0.25
        house = self.houses[-1] if local else self.houses[0]
        kinds = [kind for kind in house.workflows if kind in WEIGHTS]
        by_chance = self._chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        kind = self._owed.pop() if self._owed else by_chance
        if kind == "scheduled":
            n = f"at-{(LONG_AGO - timedelta(minutes=next(self._minutes))).isoformat()}"
        sent = self._remember(n, kind, house)
        await self._trigger(sent)
        if sent.ids:
            await self.people.act(sent)

    async def _trigger(self, sent: Sent) -> None:
        """Sometimes twice at once, sometimes again after the answer, sometimes never again after silence."""
        luck = self._chance.random()
        if luck < 0.1:
            try:
                answer = await once(sent)
            except Unanswered:
                sent.gave_up = True  # whatever became of it: nothing, or one execution
                return
            if answer.status_code >= 500:
                sent.gave_up = True
                return
            answers = [answer]
        else:
            times = self._chance.choice([2, 3]) if luck < 0.25 else 1
            answers = await asyncio.gather(*(insist(sent) for _ in range(times)))
            if luck > 0.9:
                answers.append(await insist(sent))
        sent.ids += await asyncio.gather(*(accepted(sent, answer) for answer in answers))


def client(base_url: str) -> httpx2.AsyncClient:
    """Connections are not limited: a stalled one must not hold up the others."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx2.AsyncClient(base_url=base_url, timeout=PATIENCE, limits=limits, trust_env=False)
