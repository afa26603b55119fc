"""The named values an expression can read, built only for the names it does read."""

from collections.abc import Mapping
from datetime import UTC, datetime

from domain.definitions.expressions import Json
from domain.definitions.program import For, Listen, Program, Try
from domain.definitions.state import Frame, State

RUNTIME: Mapping[str, Json] = {"name": "perdure", "version": "0.1.0", "metadata": {}}


def build(program: Program, state: State, frame: Frame | None, names: frozenset[str]) -> dict[str, Json]:
    """`frame` is the step being entered or left; None for the workflow itself."""
    scope: dict[str, Json] = {}
    for name in names:
        match name:
            case "context":
                scope[name] = context(state, frame)
            case "input":
                scope[name] = state.input if frame is None else frame.value
            case "workflow":
                scope[name] = _workflow(program, state)
            case "task" if frame is not None:
                scope[name] = _task(program, state, frame)
            case "runtime":
                scope[name] = dict(RUNTIME)
            case "steps":
                scope[name] = dict(state.steps)
            case _:
                pass
    unresolved = names - scope.keys()
    while frame is not None and unresolved:
        scope.update(_variables(program, frame, unresolved))
        unresolved -= scope.keys()
        frame = None if frame.parent is None else state.frames[frame.parent]
    return scope


def context(state: State, frame: Frame | None) -> Json:
    """Inside a fork each branch has its own, once it has exported something."""
    if state.contexts:
        while frame is not None:
            if frame.id in state.contexts:
                return state.contexts[frame.id]
            frame = None if frame.parent is None else state.frames[frame.parent]
    return state.context


def _task(program: Program, state: State, frame: Frame) -> Json:
    """Inside an extension `$task` is the step around which the extension stands."""
    if program.steps[frame.pointer].extends:
        return extended_task(program, _extended(program, state, frame))
    return task(program, frame)


def _extended(program: Program, state: State, frame: Frame) -> Frame:
    while frame.parent is not None:
        above = state.frames[frame.parent]
        if frame.kind == "block" and program.blocks[frame.pointer].role in ("before", "after"):
            return above
        frame = above
    return frame


def _variables(program: Program, frame: Frame, wanted: frozenset[str]) -> dict[str, Json]:
    """Of a loop its item and index, of a `try` the error while it is handled."""
    variables: dict[str, Json] = {}
    work = program.steps[frame.pointer].work if frame.kind == "step" else None
    if isinstance(work, For) and frame.items is not None:
        variables = {work.each: frame.items[frame.at], work.at: frame.at}
    elif isinstance(work, Listen) and work.foreach is not None and (frame.hearing or {}).get("busy"):
        hearing = frame.hearing or {}
        variables = {work.foreach.item: hearing.get("item"), work.foreach.at: hearing.get("at", 0)}
    elif isinstance(work, Try) and frame.error is not None:
        variables = {work.catch.name: frame.error}
    return {name: value for name, value in variables.items() if name in wanted}


def _workflow(program: Program, state: State) -> Json:
    started = state.execution["started"]
    assert isinstance(started, int)
    return {
        "id": state.execution["id"],
        "trigger": state.execution.get("trigger"),
        "definition": dict(program.document),
        "input": state.input,
        "startedAt": moment(started),
    }


def task(program: Program, frame: Frame) -> dict[str, Json]:
    """The descriptor of a step."""
    step = program.steps[frame.pointer]
    return {
        "name": step.name,
        "reference": step.pointer,
        "definition": dict(step.definition),
        "input": frame.value if step.flow.input_from is None else frame.raw,
        "startedAt": moment(frame.started),
    }


def extended_task(program: Program, frame: Frame) -> dict[str, Json]:
    """The descriptor of a step for its extensions: also what the step says itself, and what came of it."""
    definition = program.steps[frame.pointer].definition
    return {**definition, "output": (frame.around or {}).get("output"), **task(program, frame)}


def moment(milliseconds: int) -> Json:
    """The date-time descriptor of the language."""
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return {
        "iso8601": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "epoch": {"seconds": milliseconds // 1000, "milliseconds": milliseconds},
    }
