"""Scenarios through the real API, worker and relay."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from domain.executions import ExecutionStatus
from tests.conformance.scenario import Outcome, Scenario
from tests.workflows.engine import Engine

#: Longer than any scenario takes on a loaded machine, shorter than the waits nobody waits for (20 minutes).
PATIENCE = 90


class Serving:
    """Publishes scenarios, starts them all at once and tells what became of them."""

    def __init__(self, engine: Engine, patience: float = PATIENCE) -> None:
        self._engine = engine
        self._patience = patience
        self._published: set[str] = set()

    async def start(self, scenarios: Iterable[Scenario]) -> dict[str, Scenario]:
        """The scenarios by the ids of their executions."""
        started = {}
        for scenario in scenarios:
            for name, value in scenario.secrets.items():
                await self._engine.http.put(f"/v1/secrets/{name}", json={"value": value})
            for name, child in scenario.children().items():
                if name not in self._published:
                    self._published.add(name)
                    await self._publish(name, child)
            workflow = await self._publish(str(scenario)[:100], scenario.definition(), scenario.actions)
            # What a plan will allow its organization one day.
            self._engine.parts.dispatcher._step_budget = scenario.budget or 10_000
            begun = await self._engine.start(workflow, scenario.input)
            started[str(begun["id"])] = scenario
        return started

    async def outcomes(self, started: dict[str, Scenario]) -> dict[str, Outcome]:
        """Let events arrive and people decide, and wait for every end."""
        helping = [asyncio.create_task(self._help(id, scenario)) for id, scenario in started.items()]
        try:
            ends = await asyncio.gather(*(self._outcome(id) for id in started))
        finally:
            for task in helping:
                task.cancel()
        for failed in await asyncio.gather(*helping, return_exceptions=True):
            if isinstance(failed, Exception):
                raise failed
        return dict(zip(started, ends, strict=True))

    async def _publish(self, name: str, definition: Any, actions: Any = None) -> str:
        body = {"name": name, "definition": definition, **({} if actions is None else {"actions": actions})}
        created = await self._engine.post("/v1/workflows", body)
        await self._engine.post(f"/v1/workflows/{created['id']}/publish", {})
        return str(created["id"])

    async def _help(self, id: str, scenario: Scenario) -> None:
        for event in scenario.events:
            await self._engine.post(f"/v1/executions/{id}/signal", event)
        undecided = dict(scenario.decisions)
        while undecided:
            for task in (await self._engine.get(f"/v1/tasks?execution_id={id}"))["items"]:
                decision = undecided.pop(_step(task["occurrence"]), None)
                if decision is not None:
                    await self._engine.post(f"/v1/tasks/{task['id']}/decision", decision)
            await asyncio.sleep(0.1)

    async def _outcome(self, id: str) -> Outcome:
        """How the row stands when it is closed, or when our patience ends: then its status tells that it hangs."""
        with contextlib.suppress(AssertionError):
            await self._engine.ended(id, self._patience)
        row = await self._engine.row(id)
        steps = sorted(await self._engine.steps(id), key=lambda step: step["position"])
        log = [(step["name"], step["status"]) for step in steps]
        return Outcome(ExecutionStatus(row["status"]).value, row["output"], row["error"], log)


def _step(occurrence: str) -> str:
    """The name of the step, which ends the pointer of its occurrence."""
    return occurrence.partition("#")[0].rpartition("/")[2]
