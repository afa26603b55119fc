"""Long loops through the real worker: they end, and their thousandth round costs what their tenth did.

`make test` walks a short form; `python -m tests.workflows.loops` walks 20 000 rounds and prints what a round costs.
"""

import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from db.session import Access, Role
from tests.workflows.engine import Engine, settings_for
from tests.workflows.mail import mailbox, send
from workers.settings import Settings

#: Set by the long form.
ROUNDS = int(os.environ.get("LOOP_ROUNDS", "1600"))
CALLS = int(os.environ.get("LOOP_CALLS", "0"))
#: Rounds that are measured together: as many as a segment writes at once.
WINDOW = 500
FEW = 150
#: Of the thousandth round to the tenth one; the short form leaves room for a machine that has other work.
DEARER = 1.2 if "LOOP_ROUNDS" in os.environ else 1.6

BODIES: dict[str, dict[str, Any]] = {
    "plain": {"set": {"n": "${ $index }"}},
    "built-in": {"call": "data.template", "with": {"text": "{{ n }}", "values": {"n": "${ $index }"}}},
}


@pytest.fixture
async def engine_settings(database_url: str, temporal_server: str) -> AsyncIterator[Settings]:
    async with mailbox() as box:
        url = f"smtp://127.0.0.1:{box.port}?starttls=false"
        yield settings_for(database_url, temporal_server, smtp_url=url, step_budget=100_000)


async def looped(engine: Engine, body: dict[str, Any], rounds: int, seconds: float = 110) -> Sequence[Any]:
    """The log of the rounds."""
    loop = {"many": {"for": {"in": f"[range({rounds})]"}, "do": [{"round": body}]}}
    began = time.monotonic()
    row = await engine.ended((await engine.start(await engine.publish([loop])))["id"], seconds)
    print(f"{rounds} rounds in {time.monotonic() - began:.1f} s")
    assert row["status"] == "completed", dict(row)
    query = text(
        "SELECT visit, started_at FROM execution_steps WHERE execution_id = :id AND name = 'round' ORDER BY visit"
    )
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        steps = (await tx.execute(query, {"id": row["id"]})).all()
    assert [step.visit for step in steps] == list(range(1, rounds + 1))
    return steps


def each(steps: Sequence[Any], first: int, window: int) -> float:
    """Milliseconds per round from the round `first` on."""
    began, ended = steps[first - 1].started_at, steps[first - 1 + window].started_at
    return float((ended - began).total_seconds() * 1000 / window)


async def dearer(engine: Engine, body: dict[str, Any], rounds: int, window: int) -> float:
    """How many times what the tenth round costs the thousandth does; the best of three, noise only adds."""
    costs = []
    for _ in range(3):
        steps = await looped(engine, body, rounds)
        costs.append((each(steps, 10, window), each(steps, 1000, window)))
    tenth, thousandth = (min(found) for found in zip(*costs, strict=True))
    print(f"step 10: {tenth:.3f} ms, step 1000: {thousandth:.3f} ms, ratio {thousandth / tenth:.2f}")
    return thousandth / tenth


async def test_the_thousandth_round_costs_what_the_tenth_does(engine: Engine) -> None:
    """Steps that only compute share one moment, so it is built-ins that are timed."""
    assert await dearer(engine, BODIES["built-in"], 1600, WINDOW) <= DEARER


@pytest.mark.parametrize("body", BODIES)
async def test_a_long_loop_ends(engine: Engine, body: str) -> None:
    await looped(engine, BODIES[body], ROUNDS, 600)


@pytest.mark.skipif(not CALLS, reason="minutes long; python -m tests.workflows.loops")
async def test_the_thousandth_call_costs_what_the_tenth_does(engine: Engine) -> None:
    """Over some thirty runs: the tests' server suggests a new one at 40 events, production's at 4 096."""
    steps = await looped(engine, send("n"), CALLS, 600)
    tenth, thousandth = each(steps, 10, FEW), each(steps, 1000, FEW)
    print(f"call 10: {tenth:.2f} ms, call 1000: {thousandth:.2f} ms, ratio {thousandth / tenth:.2f}")
    assert thousandth <= tenth * DEARER
