"""The load: two organizations trigger, decide and cancel, and write down what they were told."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx2

from tests.faults.client import PATIENCE, Caller, Unanswered, parsed
from tests.faults.definitions import WEIGHTS, definition
from tests.faults.timeline import Blow, Timeline

SCOPES = [
    *("workflows:read", "workflows:write", "workflows:publish"),
    *("executions:read", "executions:start", "executions:cancel"),
    *("tasks:read", "tasks:decide", "clients:read", "clients:write"),
]
#: Calls to the partner go to loopback, which only the demo organization may do.
LOCAL_KINDS = ("segment", "failing", "cancelled")
PROBE_SECONDS = 0.5


@dataclass
class House:
    """One organization, its key and its published workflows; `canary` is in everything it sends."""

    name: str
    id: UUID
    caller: Caller
    canary: str
    workflows: dict[str, str] = field(default_factory=dict)

    def path(self, kind: str) -> str:
        return f"/v1/workflows/{self.workflows[kind]}/executions"


@dataclass
class Sent:
    """One trigger, all answers to it and what was done to its execution later."""

    n: str
    kind: str
    house: House
    key: str
    ids: list[str] = field(default_factory=list)
    gave_up: bool = False


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
    return House(
        name, UUID(registered["organization"]["id"]), caller, f"canary-{name}-{secrets.token_hex(8)}"
    )


async def publish(house: House, kinds: Sequence[str], partner: str) -> None:
    """Create and publish one workflow of each kind."""
    for kind in kinds:
        body = {"name": kind, "definition": definition(kind, partner)}
        created = parsed(await house.caller.once("POST", "/v1/workflows", body))
        parsed(await house.caller.once("POST", f"/v1/workflows/{created['id']}/publish", {}))
        house.workflows[kind] = created["id"]


class Load:
    """`houses`: the first may call the partner, the others may not."""

    def __init__(self, houses: Sequence[House], chance: random.Random, timeline: Timeline) -> None:
        self.houses = houses
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        #: What has not come to an end yet, for saying so.
        self.under_way: set[str] = set()
        self._chance = chance
        self._timeline = timeline

    async def phase(self, name: str, number: int, seconds: float) -> None:
        """Send `number` triggers within about so many seconds and see each through."""
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
        body = {"input": {"n": sent.n, "canary": house.canary}}
        try:
            answer = await house.caller.once("POST", house.path("probe"), body, sent.key, wait=5)
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
        local = self._chance.random() < 0.25
        house = self.houses[-1] if local else self.houses[0]
        kinds = [kind for kind in house.workflows if kind in WEIGHTS]
        kind = self._chance.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
        sent = self._remember(n, kind, house)
        await self._trigger(sent)
        if not sent.ids:
            return
        if kind == "approval":
            await self._decide(sent)
        elif kind == "cancelled":
            await asyncio.sleep(self._chance.uniform(0, 3))
            await self._cancel(sent)

    async def _trigger(self, sent: Sent) -> None:
        """Sometimes twice at once, sometimes again after the answer, sometimes never again after silence."""
        body = {"input": {"n": sent.n, "canary": sent.house.canary}}
        path, caller, luck = sent.house.path(sent.kind), sent.house.caller, self._chance.random()
        if luck < 0.1:
            try:
                answer = await caller.once("POST", path, body, sent.key)
            except Unanswered:
                sent.gave_up = True  # whatever became of it: nothing, or one execution
                return
            if answer.status_code >= 500:
                sent.gave_up = True
                return
            answers = [answer]
        else:
            times = 2 if luck < 0.2 else 1
            again = (caller.insist("POST", path, body, sent.key) for _ in range(times))
            answers = await asyncio.gather(*again)
            if luck > 0.9:
                answers.append(await caller.insist("POST", path, body, sent.key))
        sent.ids += [parsed(answer)["id"] for answer in answers]

    async def _decide(self, sent: Sent) -> None:
        caller, query = sent.house.caller, f"/v1/tasks?execution_id={sent.ids[0]}"
        for _ in range(240):
            tasks = parsed(await caller.insist("GET", query))["items"]
            if tasks:
                break
            await asyncio.sleep(1)
        else:
            raise AssertionError(f"{sent.n}: no task appeared for {sent.ids[0]}")
        await asyncio.sleep(self._chance.uniform(0, 2))
        decision = {"outcome": self._chance.choice(["approved", "rejected"])}
        parsed(await caller.insist("POST", f"/v1/tasks/{tasks[0]['id']}/decision", decision, f"d-{sent.key}"))

    async def _cancel(self, sent: Sent) -> None:
        path = f"/v1/executions/{sent.ids[0]}/cancel"
        parsed(await sent.house.caller.insist("POST", path, {"reason": "fault test"}, f"c-{sent.key}"))


def client(base_url: str) -> httpx2.AsyncClient:
    """Connections are not limited: a stalled one must not hold up the others."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
    return httpx2.AsyncClient(base_url=base_url, timeout=PATIENCE, limits=limits, trust_env=False)


def tally(sent: Sequence[Sent]) -> Counter[str]:
    return Counter(each.kind for each in sent)
