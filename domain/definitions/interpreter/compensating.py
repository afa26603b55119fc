"""Compensation: when an execution does not succeed, the calls kept for that purpose undo what its steps did.

A step says in `metadata.compensate` how it is undone. The arguments are evaluated when it completes and kept; the
calls run one after another, the latest step first. One that fails is told in the step log and does not keep the
others from running; the outcome of the execution stays what it was.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from domain.definitions.commands import CallAction, Completed, Failed, Finish, StepRecord, Withholding
from domain.definitions.expressions import Json
from domain.definitions.faults import Fault
from domain.definitions.program import COMPENSATE, Step
from domain.definitions.state import Compensation, Frame, Todo
from domain.definitions.values import MAX_BYTES, measure
from domain.executions import ExecutionStatus, StepStatus

from . import calls
from .activation import Activation, Commit

#: An execution keeps as many calls for undoing its steps, and so much of their arguments. They travel in its state:
#: one that outgrew what may travel would be given up with nothing undone.
MAXIMUM_KEPT: Final = 1_000
MAXIMUM_KEPT_BYTES: Final = 512 * 1024


def refuse_beyond(activation: Activation, step: Step) -> None:
    """A step that could not be undone does not begin. Those under way beside it will be kept as well."""
    if step.compensation is None:
        return
    state, steps = activation.state, activation.program.steps
    under_way = sum(
        frame.kind == "step" and steps[frame.pointer].compensation is not None
        for frame in state.frames.values()
    )
    size = sum(each.size for each in state.compensations)
    if len(state.compensations) + under_way < MAXIMUM_KEPT and size <= MAXIMUM_KEPT_BYTES:
        return
    raise Fault(
        "runtime",
        413,
        "Too much to undo",
        f"step '{step.name}' was not begun, because an execution keeps at most {MAXIMUM_KEPT} calls with"
        f" {MAXIMUM_KEPT_BYTES // 1024} KB of arguments for undoing its steps; keep less in `metadata.compensate`, undo"
        " several with one call, or run parts of it as workflows of their own",
    )


def kept(activation: Activation, step: Step, frame: Frame, output: Json) -> Compensation | None:
    """How to undo a step that is about to complete; `.` is its output and `$input` its input."""
    if step.compensation is None:
        return None
    place = step.pointer + COMPENSATE
    arguments, withheld = calls.arguments(activation, step.compensation, frame, output, place)
    told = None if withheld is None else withheld.as_json()
    return Compensation(
        step.pointer, frame.visit, arguments, told, size=measure([arguments, told], 2 * MAX_BYTES)
    )


def prepare(activation: Activation) -> Commit:
    """Undo the latest step that is left, or close the execution with its outcome."""
    state = activation.state
    outcome = state.outcome
    assert outcome is not None
    if not state.compensations:
        error = outcome["error"]
        assert error is None or isinstance(error, dict)
        finish = Finish(ExecutionStatus(str(outcome["status"])), error=error)
        return lambda: activation.close(finish)
    begun = replace(state.compensations[-1], position=state.occurrences + 1, started=state.now)
    command = _command(activation, begun)

    def commit() -> None:
        state.compensations[-1] = begun
        state.occurrences += 1
        state.pending[command.occurrence] = 0
        _note(activation, begun, StepStatus.RUNNING, input=command.arguments)
        activation.commands.append(command)

    return commit


def answered(activation: Activation, event: Completed | Failed) -> None:
    """The call has been carried out, or could not be; the next one follows either way."""
    done = activation.state.compensations.pop()
    if isinstance(event, Completed):
        _note(activation, done, StepStatus.COMPLETED, output=event.output)
    else:
        placed: dict[str, Json] = {"instance": done.pointer + COMPENSATE, **event.error}
        _note(activation, done, StepStatus.FAILED, error=placed)
    activation.due(Todo("compensate"))


def _command(activation: Activation, compensation: Compensation) -> CallAction:
    step = activation.program.steps[compensation.pointer]
    assert step.compensation is not None
    pinned, withheld = step.compensation.pinned, compensation.withheld
    return CallAction(
        occurrence=compensation.occurrence,
        name=step.name,
        action=pinned.action,
        version=pinned.version,
        lane=pinned.lane,
        effect=pinned.effect,
        timeout_ms=pinned.timeout // timedelta(milliseconds=1),
        arguments=compensation.arguments,
        withheld=None if withheld is None else Withholding(**withheld),  # type: ignore[arg-type]  # its own JSON
    )


def _note(
    activation: Activation,
    compensation: Compensation,
    status: StepStatus,
    *,
    input: Json = None,
    output: Json = None,
    error: dict[str, Json] | None = None,
) -> None:
    step = activation.program.steps[compensation.pointer]
    assert step.compensation is not None
    activation.journal.tell(
        StepRecord(
            occurrence=compensation.occurrence,
            pointer=compensation.pointer + COMPENSATE,
            name=step.name,
            kind="call",
            action=step.compensation.pinned.action,
            visit=compensation.visit,
            position=compensation.position,
            status=status,
            started=compensation.started,
            completed=None if status is StepStatus.RUNNING else activation.state.now,
            input=input,
            output=output,
            error=error,
        )
    )
