"""The named values an expression can read, built only for the names it does read."""

from collections.abc import Mapping
from datetime import UTC, datetime

from domain.definitions.expressions import Json
from domain.definitions.program import For, Program
from domain.definitions.state import Frame, State

RUNTIME: Mapping[str, Json] = {"name": "perdure", "version": "0.1.0", "metadata": {}}


def build(program: Program, state: State, frame: Frame | None, names: frozenset[str]) -> dict[str, Json]:
    """`frame` is the step being entered or left; None for the workflow itself."""
    scope: dict[str, Json] = {}
    for name in names:
        match name:
            case "context":
                scope[name] = state.context
            case "input":
                scope[name] = state.input if frame is None else frame.value
            case "workflow":
                scope[name] = _workflow(program, state)
            case "task" if frame is not None:
                scope[name] = _task(program, frame)
            case "runtime":
                scope[name] = dict(RUNTIME)
            case "steps":
                scope[name] = dict(state.steps)
            case _:
                pass
    unresolved = names - scope.keys()
    while frame is not None and unresolved:
        scope.update(_loop_variables(program, frame, unresolved))
        unresolved -= scope.keys()
        frame = None if frame.parent is None else state.frames[frame.parent]
    return scope


def _loop_variables(program: Program, frame: Frame, wanted: frozenset[str]) -> dict[str, Json]:
    if frame.items is None:
        return {}
    loop = program.steps[frame.pointer].work
    assert isinstance(loop, For)
    variables: dict[str, Json] = {loop.each: frame.items[frame.at], loop.at: frame.at}
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


def _task(program: Program, frame: Frame) -> Json:
    step = program.steps[frame.pointer]
    return {
        "name": step.name,
        "reference": step.pointer,
        "definition": dict(step.definition),
        "input": frame.value if step.flow.input_from is None else frame.raw,
        "startedAt": moment(frame.started),
    }


def moment(milliseconds: int) -> Json:
    """The date-time descriptor of the language."""
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return {
        "iso8601": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "epoch": {"seconds": milliseconds // 1000, "milliseconds": milliseconds},
    }
