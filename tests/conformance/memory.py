"""Executions in memory: the interpreter, the real actions, and a clock that jumps to whatever happens next."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any, cast
from uuid import UUID

from activities.actions.context import ActionContext, Mailer, Services
from activities.actions.registry import built_in
from activities.faults import as_fault
from activities.gateways.http_client import GuardedHttpClient
from domain.actions import Lane
from domain.addresses import AddressPolicy
from domain.definitions.commands import (
    Arrived,
    AwaitEvents,
    CallAction,
    Command,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    Sleep,
    StepRecord,
    Stop,
    Stopped,
    Tick,
    Yield,
    keep,
)
from domain.definitions.expressions import ExpressionError, Meter
from domain.definitions.interpreter import advance, begin
from domain.definitions.program import Program, load_program
from domain.definitions.publishing import publish
from domain.definitions.shaping import expression_failed, shape
from domain.definitions.state import State
from domain.definitions.withheld import completed, reading_call
from domain.errors import Invalid
from tests.conformance.scenario import Outcome, Scenario
from tests.conformance.world import World

#: 2026-01-01T00:00:00Z
NEW_YEAR = 1_767_225_600_000
#: What carrying out a call takes, in ms.
CALL = 20
_NOBODY = UUID(int=0)
ACTIONS = built_in()


def decided(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The output of `approve`, as far as scenarios look at it."""
    return {"comment": None, **decision, "approved": decision["outcome"] == "approved"}


def compiled(scenario: Scenario, definition: Mapping[str, Any]) -> Program:
    """Published with the real actions and loaded from real JSON. Raises Invalid."""
    try:
        published = publish(
            definition,
            name="scenario",
            namespace="tests",
            actions=scenario.actions,
            catalogue=ACTIONS.specs(),
        )
    except Invalid as refusal:
        for problem in refusal.problems:
            refusal.add_note(f"{problem.pointer}: {problem.message}")
        raise
    return load_program(json.loads(json.dumps(published.compiled)))


@dataclass
class Memory:
    """One execution; `fuel` is what each activation may compute, None for no bound."""

    scenario: Scenario
    program: Program
    input: Any
    fuel: int | None = None
    now: int = NEW_YEAR
    records: dict[str, StepRecord] = field(default_factory=dict)
    agenda: list[tuple[int, int, Event]] = field(default_factory=list)
    number: int = 0

    @classmethod
    def of(cls, scenario: Scenario, **given: Any) -> "Memory":
        return cls(scenario, compiled(scenario, scenario.definition()), scenario.input or {}, **given)

    def run(self) -> Outcome:
        self.state = begin(
            self.program,
            input=self.input,
            execution={"id": "e-1", "trigger": {"type": "manual", "name": "api"}},
            now=self.now,
            budget=self.scenario.budget or 10_000,
        )
        self._at(0, Resume(self.now))
        for event in self.scenario.events:
            self._at(1, Arrived(0, {"specversion": "1.0", "source": "/tests", **event}))
        while (finish := self._happen(self._next())) is None:
            pass
        log = sorted(self.records.values(), key=lambda each: each.position)
        return Outcome(
            finish.status.value, finish.output, finish.error, [(each.name, each.status.value) for each in log]
        )

    def _next(self) -> Event:
        deadline = self.state.next_deadline
        assert self.agenda or deadline is not None, "the execution waits for something that never comes"
        if deadline is not None and (not self.agenda or deadline <= self.agenda[0][0]):
            self.now = max(self.now, deadline)
            return Tick(self.now)
        self.now, _, event = heappop(self.agenda)
        return replace(event, now=self.now)

    def _happen(self, event: Event) -> Finish | None:
        fuel = self.fuel
        while True:
            step = advance(self.program, self.state, event, Meter(fuel))
            self.state = State.from_json(json.loads(json.dumps(step.state.as_json())))
            keep(self.records, step.records)
            for command in step.commands:
                if isinstance(command, Finish):
                    return command
                self._carry_out(command)
            if not (step.commands and isinstance(step.commands[-1], Yield)):
                return None
            assert fuel is not None
            fuel = self.fuel if step.progressed else 2 * fuel
            event = Resume(self.now)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Sleep(occurrence=occurrence, until=until):
                self._at(until - self.now, Completed(0, occurrence, None))
            case Stop(occurrence=occurrence):
                self.agenda = sorted(
                    entry for entry in self.agenda if getattr(entry[2], "occurrence", None) != occurrence
                )
                self._at(1, Stopped(0, occurrence))
            case CallAction(lane=Lane.TASK):
                decision = self.scenario.decisions.get(command.name)
                if decision is not None:
                    self._at(CALL, Completed(0, command.occurrence, decided(decision)))
            case CallAction(lane=Lane.EXECUTION):
                self._at(CALL, self._child(command))
            case CallAction():
                took, event = self._call(command)
                self._at(CALL + took, event)
            case AwaitEvents() | Yield():
                pass

    def _at(self, after: int, event: Event) -> None:
        self.number += 1
        heappush(self.agenda, (self.now + after, self.number, event))

    def _child(self, command: CallAction) -> Event:
        arguments = cast(dict[str, Any], command.arguments)
        definition = self.scenario.children()[arguments["name"]]
        child = Memory(
            self.scenario, compiled(self.scenario, definition), arguments.get("input"), now=self.now
        )
        outcome = child.run()
        if outcome.error is not None:
            error = {name: value for name, value in outcome.error.items() if name != "instance"}
            return Failed(0, command.occurrence, error)
        return Completed(0, command.occurrence, outcome.output)

    def _call(self, command: CallAction) -> tuple[int, Event]:
        """What the real action answers, and how long it slept, in ms."""
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        try:
            output = asyncio.run(self._act(command, World(sleep)))
            event: Event = self._shaped(command, output)
        except Exception as error:  # noqa: BLE001  as in the activity: every error becomes a fault of the step
            fault = (
                expression_failed(error)
                if isinstance(error, ExpressionError)
                else as_fault(error, command.action)
            )
            event = Failed(0, command.occurrence, fault.as_json())
        return int(1000 * sum(slept)), event

    async def _act(self, command: CallAction, world: World) -> Any:
        match command.action:  # these need a database; what they answer does not depend on it
            case "event.emit":
                given = cast(dict[str, Any], command.arguments)
                return {
                    "specversion": "1.0",
                    "id": command.occurrence,
                    "time": "2026-01-01T00:00:00Z",
                    **given,
                }
            case "workflow.start":
                return {"id": command.occurrence, "status": "queued"}
        call = reading_call(self.program, command)
        arguments = command.arguments
        if call is not None:
            arguments = completed(call, command, self.scenario.secrets, Meter())
        services = Services(
            http=cast(GuardedHttpClient, world),
            mail=cast(Mailer, None),
            http_policy=lambda organization: AddressPolicy(),
        )
        context = ActionContext(
            organization_id=_NOBODY,
            execution_id=_NOBODY,
            occurrence=command.occurrence,
            started_by=None,
            effect_key=f"e-1:{command.occurrence}",
            now=datetime.fromtimestamp(self.now / 1000, UTC),
            connection=None,
            services=services,
        )
        return await ACTIONS.run(command.action, command.version, context, arguments)

    def _shaped(self, command: CallAction, output: Any) -> Event:
        if command.shaping is None:
            return Completed(0, command.occurrence, output)
        step = self.program.steps[command.shaping.step]
        shaped = shape(step, output, command.shaping.scope, Meter()).as_json()
        return Completed(0, command.occurrence, None, shaped)
