"""From one seed: phases of load and blows, and after each the question whether everything holds."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from db.session import Database
from tests.factories.invariants import Watch, rows_of
from tests.faults.blows import Blows
from tests.faults.definitions import WEIGHTS
from tests.faults.holding import Holding
from tests.faults.load import LOCAL_KINDS, Load, client, publish, register
from tests.faults.phase import Phase
from tests.faults.rig import APART, TOGETHER, Rig, Topology
from tests.faults.sent import tally
from tests.faults.timeline import Timeline

#: What a whole long form must have hit at least; each is aimed at twice as often or more.
FAILPOINTS = {"before effect": 4, "after effect": 3, "after commit": 8, "amid turn": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what. `seconds` is how long one phase is under fire."""

    seed: int
    blows: Mapping[str, int]
    phases: Sequence[Topology]
    executions: int
    seconds: float
    deadline: float
    quick: bool = False
    #: How often a kill must have fallen exactly there; a campaign that missed has shown less than it claims.
    failpoints: Mapping[str, int] = field(default_factory=dict)


def short(seed: int) -> Plan:
    blows = {
        "worker kill": 4,
        "api kill": 1,
        "relay kill": 4,
        "temporal kill": 2,
        "postgres crash": 2,
        "network": 4,
    }
    return Plan(seed, blows, [APART], executions=36, seconds=16, deadline=60, quick=True)


def shipped(seed: int) -> Plan:
    """One process plays all roles, as `perdure up` runs it, and is killed again and again."""
    only = {"node": TOGETHER["node"]}
    return Plan(
        seed, {"worker kill": 2, "api kill": 1}, [only], executions=20, seconds=8, deadline=60, quick=True
    )


def long(seed: int, phases: int = 4, scale: float = 1.0) -> Plan:
    """Each phase has its share of the blows; `scale` makes all of it smaller for trying out."""
    whole = {
        "worker kill": 55,
        "api kill": 10,
        "relay kill": 15,
        "temporal kill": 20,
        "postgres crash": 20,
        "terminate storm": 5,
        "freeze": 10,
        "network": 45,
    }
    blows = {kind: max(1, round(number * scale / phases)) for kind, number in whole.items()}
    topologies = [TOGETHER if number % 2 else APART for number in range(phases)]
    return Plan(
        seed,
        blows,
        topologies,
        executions=max(20, round(200 * scale)),
        seconds=220 * scale,
        deadline=150,
        failpoints={way: round(number * scale) for way, number in FAILPOINTS.items()},
    )


@dataclass
class Outcome:
    """What a campaign found; `broken` is empty when every invariant held."""

    plan: Plan
    timeline: Timeline
    broken: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    looks: int = 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(blow.kind for blow in self.timeline.blows)

    @property
    def failpoints(self) -> Counter[str]:
        return Counter(blow.failpoint for blow in self.timeline.blows if blow.failpoint is not None)

    @property
    def missing(self) -> list[str]:
        """What the plan demanded and the campaign did not do, in words."""
        wanted = self.plan.failpoints
        return [
            f"kill {way}: {self.failpoints[way]} of at least {number}"
            for way, number in wanted.items()
            if self.failpoints[way] < number
        ]


class Campaign:
    def __init__(self, plan: Plan, folder: Path, *, loud: bool = False) -> None:
        self.plan = plan
        self.timeline = Timeline(loud)
        self.outcome = Outcome(plan, self.timeline)
        self._folder = folder
        self._chance = random.Random(plan.seed)

    async def run(self) -> Outcome:
        """Every phase in turn; stops after the first that leaves something broken."""
        rig = Rig(self._folder, random.Random(self._chance.random()), self.timeline)
        async with rig, client(rig.api) as http:
            await rig.play({"api": "api"})
            load = await self._houses(rig, http)
            database = Database(rig.stack.database_url, pool_size=2)
            try:
                await self._phases(rig, load, database)
            finally:
                await database.close()
        return self.outcome

    async def _houses(self, rig: Rig, http: httpx2.AsyncClient) -> Load:
        first, second = await register(http, "acme"), await register(http, "globex")
        await rig.stack.adopt_demo_organization(first.id)
        await publish(first, [*WEIGHTS, "probe"], rig.partner)
        await publish(second, LOCAL_KINDS, rig.partner)
        return Load([first, second], random.Random(self._chance.random()), self.timeline)

    async def _phases(self, rig: Rig, load: Load, database: Database) -> None:
        watch = Watch(database)
        blows = Blows(rig, quick=self.plan.quick)
        holding = Holding(rig.stack, load, self.timeline, database, watch)
        for number, topology in enumerate(self.plan.phases, start=1):
            await rig.play(topology)
            watching = asyncio.create_task(self._look(watch))
            try:
                phase = Phase(
                    f"p{number}",
                    self.plan.blows,
                    executions=self.plan.executions,
                    seconds=self.plan.seconds,
                    patience=self.plan.deadline,
                    chance=self._chance,
                )
                await phase.run(load, blows)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            self.timeline.say(f"phase {number}: settling")
            self.outcome.broken = await holding.verdict(self.plan.deadline)
            await self._tell(number, load, database)
            if self.outcome.broken:
                return

    async def _look(self, watch: Watch) -> None:
        """Samples of all rows: what ended once stays as it ended."""
        while True:
            with suppress(SQLAlchemyError, OSError, TimeoutError):
                await watch.look()
                self.outcome.looks += 1
            await asyncio.sleep(0.5)

    async def _tell(self, number: int, load: Load, database: Database) -> None:
        outcome = self.outcome
        outcome.sent = tally(load.sent)
        outcome.ends = Counter(str(row["status"]) for row in await rows_of(database))
        outcome.unknown = sum(each.gave_up for each in load.sent)
        outcome.answers = sum((house.caller.answers for house in load.houses), Counter())
        verdict = "all invariants hold" if not outcome.broken else f"{len(outcome.broken)} violations"
        self.timeline.say(f"phase {number}: {dict(outcome.counts)}; {dict(outcome.ends)}; {verdict}")
