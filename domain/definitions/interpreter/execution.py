"""The execution as a whole: how it begins, finishes and is cancelled."""

from collections.abc import Mapping

from domain.definitions.checks import checked, refuse_problems
from domain.definitions.commands import Finish
from domain.definitions.expressions import Json
from domain.definitions.program import ENGINE, ROOT, Program
from domain.definitions.state import State, Todo
from domain.executions import ExecutionStatus, StepStatus

from . import ending, timeouts
from .activation import Activation, Commit


def begin(
    program: Program, *, input: Json, execution: Mapping[str, Json], now: int, budget: int = 10_000
) -> State:
    """The state of a new execution; the first `advance` with `Resume` starts it.

    `execution` becomes `$workflow` beside the definition: `id` and `trigger`. `now` is epoch milliseconds,
    `budget` how many steps may be entered at most.
    """
    return State(
        engine=ENGINE,
        execution={**execution, "started": now},
        context=dict(program.variables),
        input=input,
        todo=[Todo("begin")],
        budget=budget,
        now=now,
    )


def prepare_begin(activation: Activation) -> Commit:
    flow, state, meter = activation.program.flow, activation.state, activation.meter
    value = state.input
    refuse_problems(flow.input_schema, value, "The input of the workflow", meter)
    if flow.input_from is not None:
        value = activation.evaluate(flow.input_from, value, None)
    checked(value, "The input of the workflow", meter)

    deadline = timeouts.of_workflow(activation)

    def commit() -> None:
        state.deadline = deadline
        if flow.input_from is not None and "input" in flow.leaving_names:
            state.transformed = value
        root = state.open_block(None, ROOT, value)
        activation.due(Todo("enter", root.id))

    return commit


def prepare_finish(activation: Activation, raw: Json) -> Commit:
    flow, state, meter = activation.program.flow, activation.state, activation.meter
    output = raw
    if flow.output_as is not None:
        scope = {**activation.scope(None, flow.output_as.names), "output": raw}
        if flow.input_from is not None:
            scope["input"] = state.transformed
        output = flow.output_as.evaluate(raw, scope, meter)
    refuse_problems(flow.output_schema, output, "The output of the workflow", meter)
    checked(output, "The output of the workflow", meter)

    def commit() -> None:
        state.progress = 100
        activation.close(Finish(ExecutionStatus.COMPLETED, output=output))

    return commit


def cancel(activation: Activation) -> None:
    """Cancelling asks nothing and cannot fail, so it needs no preparing. What ends already ends as it was to."""
    state = activation.state
    if state.outcome is None and not any(each.then.do == "finish" for each in state.stopping):
        ending.conclude(activation, ExecutionStatus.CANCELLED)


def abort(activation: Activation, error: Mapping[str, Json]) -> None:
    """Every open step fails; the error arose at the innermost of them, unless it says where.

    Nothing is stopped and nothing undone: whoever aborts an execution has seen to what was under way.
    """
    open_steps = [frame for frame in activation.state.frames.values() if frame.kind == "step"]
    placed = {"instance": open_steps[-1].pointer, **error} if open_steps else dict(error)
    for frame in open_steps:
        activation.journal.note(frame, StepStatus.FAILED, error=placed)
    activation.close(Finish(ExecutionStatus.FAILED, error=placed))
