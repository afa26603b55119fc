"""Every scenario, ours and the kit's, through the real API, relay and worker; also without a cache, also killed."""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import kit
from tests.conformance.killable import around_activities
from tests.conformance.kit import ours
from tests.conformance.scenario import SCENARIOS, Outcome, Scenario, hold
from tests.conformance.serving import Serving
from tests.workflows.engine import Engine, working

#: The kit's as well, held against the kit's own sentences.
KIT = {str(ours(scenario)): scenario for scenario in kit.SCENARIOS}
RUN = [scenario for scenario in SCENARIOS if scenario.enters and scenario.refused is None] + [
    ours(each) for each in kit.SCENARIOS
]
SEED = 20261122


@contextlib.asynccontextmanager
async def relaying(engine: Engine) -> AsyncIterator[None]:
    running = asyncio.create_task(engine.parts.relay.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def judge(scenarios: dict[str, Scenario], outcomes: dict[str, Outcome]) -> None:
    """Hold all against what they expect, and tell every one that differs."""
    wrong = []
    for id, scenario in scenarios.items():
        try:
            if str(scenario) in KIT:
                kit.hold(KIT[str(scenario)], outcomes[id])
            else:
                hold(scenario, outcomes[id])
        except (AssertionError, LookupError, TypeError) as error:
            wrong.append(
                f"{scenario}: {outcomes[id].status} {outcomes[id].output} {outcomes[id].error}\n{error}"
            )
    assert not wrong, f"{len(wrong)} of {len(scenarios)} differ:\n\n" + "\n\n".join(wrong)


async def test_through_the_worker(idle_engine: Engine) -> None:
    serving = Serving(idle_engine)
    async with relaying(idle_engine), working(idle_engine.parts, idle_engine.client):
        started = await serving.start(RUN)
        judge(started, await serving.outcomes(started))


@pytest.mark.timeout(240)
async def test_without_a_cache(idle_engine: Engine) -> None:
    """Every workflow task replays from the beginning. One by one: without its cache the SDK gives up a workflow whose
    local activity is under way as soon as another one has a task, and Temporal repeats that task after 10 s."""
    serving = Serving(idle_engine)
    async with relaying(idle_engine), working(idle_engine.parts, idle_engine.client, cached_workflows=0):
        for scenario in RUN:
            started = await serving.start([scenario])
            judge(started, await serving.outcomes(started))


@pytest.mark.timeout(400)
async def test_with_the_worker_killed_at_a_step(idle_engine: Engine, tmp_path: Path) -> None:
    """At one activity of each execution, chosen by the seed, its worker is killed: before the work, or after it.

    A killed worker takes others along; every execution meets a blow of its own besides those.
    """
    serving = Serving(idle_engine)
    async with relaying(idle_engine):
        asked = await count_activities(idle_engine, serving)
        chosen = random.Random(SEED)
        started = await serving.start(RUN)
        plan = {
            id: (chosen.randint(1, steady(scenario, asked)), chosen.choice(["before", "after"]))
            for id, scenario in started.items()
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        ending = asyncio.create_task(serving.outcomes(started))
        await kill_until(ending, idle_engine, tmp_path)
        judge(started, await ending)
    missed = [str(started[id]) for id in plan if not (tmp_path / "held" / id).exists()]
    assert not missed, f"never killed at their step: {missed}"


def steady(scenario: Scenario, asked: Counter[str]) -> int:
    """How many activities it takes at least: what arrives early is not waited for."""
    return 1 if scenario.events or scenario.decisions else asked[str(scenario)]


async def count_activities(engine: Engine, serving: Serving) -> Counter[str]:
    """How many activities each scenario takes when nothing happens to it."""
    begun: Counter[str] = Counter()

    async def around(execution: str, work: Callable[[], Awaitable[Any]]) -> Any:
        begun[execution] += 1
        return await work()

    undo = around_activities(around)
    try:
        async with working(engine.parts, engine.client):
            started = await serving.start(RUN)
            await serving.outcomes(started)
    finally:
        undo()
    return Counter({str(scenario): begun[id] for id, scenario in started.items()})


async def kill_until(ending: asyncio.Future[Any], engine: Engine, folder: Path) -> None:
    """Kill the worker whenever no further execution comes to its place for a second, and begin another."""
    settings = engine.parts.settings
    command = [str(folder), settings.database_url, settings.temporal_address]
    held = folder / "held"
    held.mkdir()
    while not ending.done():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.conformance.killable", *command
        )
        before = count = len(list(held.iterdir()))
        quiet = time.monotonic()
        while not ending.done() and (count == before or time.monotonic() - quiet < 1):
            await asyncio.sleep(0.05)
            if (now := len(list(held.iterdir()))) != count:
                count, quiet = now, time.monotonic()
        process.kill()
        await process.wait()
