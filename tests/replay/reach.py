"""What recorded histories have met: of what executions can run into, as the code names it, nothing may be missing."""

import base64
import importlib
import json
import pkgutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from temporalio import workflow

import domain.processes
import workflows.walk
from domain.actions import Lane
from domain.definitions.commands import Command, Event
from domain.definitions.interpreter import advance
from domain.definitions.program import Program
from domain.definitions.program.parts import Role, Work
from domain.executions import TaskOutcome, TriggerType
from domain.processes import Process
from domain.segments import WAITS
from workflows.contracts import executions as contract
from workflows.executions import ExecutionWorkflow
from workflows.flights import Flights

Met = defaultdict[str, set[str]]


def possible() -> dict[str, set[str]]:
    """By kind, the names of all there is."""
    signals = workflow._Definition.must_from_class(ExecutionWorkflow).signals
    return {
        "work of a step": {each.__name__ for each in get_args(Work)},
        "list of steps": set(get_args(Role)),
        "event": {each.__name__ for each in get_args(Event)},
        "command": {each.__name__ for each in get_args(Command)},
        "wait": set(WAITS),
        "lane": {each.value for each in Lane},
        "signal": {name for name in signals if name is not None},
        "local activity": {
            name for name, each in vars(contract).items() if hasattr(each, "__temporal_activity_definition")
        },
        "trigger": {each.value for each in TriggerType},
        "outcome of a task": {*(each.value for each in TaskOutcome), "fault", "overdue", "decisions"},
        "process": {each.name for each in _processes()},
    }


def _processes() -> Iterator[Process]:
    for found in pkgutil.iter_modules(domain.processes.__path__, f"{domain.processes.__name__}."):
        module: ModuleType = importlib.import_module(found.name)
        yield from (each for each in vars(module).values() if isinstance(each, Process))


def read_of(path: Path, met: Met) -> None:
    """What stands in the history itself."""
    for event in json.loads(path.read_text())["history"]["events"]:
        match event["eventType"]:
            case "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED":
                [start] = _payloads(event["workflowExecutionStartedEventAttributes"]["input"])
                met["trigger"].add(start["trigger"]["type"])
                document = start["pinned"]["compiled"]["document"]["document"]
                if document["namespace"] == domain.processes.NAMESPACE:
                    met["process"].add(document["name"])
            case "EVENT_TYPE_MARKER_RECORDED":
                [about] = _payloads(event["markerRecordedEventAttributes"]["details"]["data"])
                met["local activity"].add(about["activity_type"])
            case "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED":
                signal = event["workflowExecutionSignaledEventAttributes"]
                met["signal"].add(signal["signalName"])
                if signal["signalName"] == contract.DECIDE:
                    [said] = _payloads(signal["input"])
                    decision = said["decision"]
                    met["outcome of a task"] |= {decision.get("outcome", "fault"), *decision}


def _payloads(held: dict[str, Any]) -> list[Any]:
    return [json.loads(base64.b64decode(each["data"])) for each in held["payloads"]]


def listen(monkeypatch: pytest.MonkeyPatch) -> Met:
    """What workflow code meets from now on, in replays too."""
    met: Met = defaultdict(set)

    def walked(program: Program, state: Any, event: Any, meter: Any) -> Any:
        met["event"].add(type(event).__name__)
        met["work of a step"] |= {type(step.work).__name__ for step in program.steps.values()}
        met["list of steps"] |= {block.role for block in program.blocks.values()}
        step = advance(program, state, event, meter)
        met["command"] |= {type(command).__name__ for command in step.commands}
        met["lane"] |= {command.lane.value for command in step.commands if hasattr(command, "lane")}
        return step

    launch = Flights.launch

    def launched(self: Flights, name: str, work: Any, *, wait: Any = None, lands_by: Any = None) -> None:
        if wait is not None:
            met["wait"].add(wait.kind)
        launch(self, name, work, wait=wait, lands_by=lands_by)

    monkeypatch.setattr(workflows.walk, "advance", walked)
    monkeypatch.setattr(Flights, "launch", launched)
    return met
