"""The walk: take what the world answered, then prepare and commit what is due until nothing is."""

from dataclasses import dataclass

from domain.definitions.checks import charge
from domain.definitions.commands import (
    Aborted,
    Cancelled,
    Command,
    Completed,
    Event,
    Failed,
    Resume,
    StepRecord,
    Yield,
)
from domain.definitions.expressions import ExpressionError, FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.program import Listen, Program, Wait, Work
from domain.definitions.shaping import expression_failed
from domain.definitions.state import Frame, State, Todo

from . import entering, execution, failing, leaving, loops
from .activation import Activation, Commit

#: What walking one step costs besides its expressions, in fuel: a long loop of plain steps must end as well.
WALKING_FUEL = 50


@dataclass(frozen=True, slots=True)
class Advance:
    state: State
    commands: list[Command]
    records: list[StepRecord]
    #: False when the fuel did not even suffice for the first transition.
    progressed: bool


def advance(program: Program, state: State, event: Event, meter: Meter, *, patient: bool = False) -> Advance:
    """Carry the execution as far as it goes without the world; `state` itself is not changed.

    With `patient` a single transition that exceeds the whole of `meter` fails its step instead of yielding.
    """
    activation = Activation(program, state.copy(), meter)
    activation.state.now = event.now
    _take(activation, event)
    progressed = False
    while activation.state.todo:
        todo = activation.state.todo[0]
        try:
            commit = _prepare_or_fail(activation, todo)
        except FuelExhausted:
            if progressed or not patient:
                activation.commands.append(Yield())
                break
            commit = failing.prepare(activation, todo, failing.step_too_costly())
        del activation.state.todo[0]
        commit()
        progressed = True
    return Advance(activation.state, activation.commands, activation.journal.records, progressed)


def _take(activation: Activation, event: Event) -> None:
    """Turn the world's answer into a transition that is due. Answers nobody waits for are ignored."""
    state = activation.state
    match event:
        case Resume():
            pass
        case Completed(occurrence=occurrence) if occurrence in state.pending:
            frame = state.frames[state.pending.pop(occurrence)]
            output = _output(activation.step(frame).work, frame, event)
            activation.due(Todo("leave", frame.id, output, event.shaped))
        case Failed(occurrence=occurrence) if occurrence in state.pending:
            activation.due(Todo("fault", state.pending.pop(occurrence), event.error))
        case Cancelled() if not state.is_over:
            execution.cancel(activation)
        case Aborted() if not state.is_over:
            execution.abort(activation, event.error)
        case _:
            pass


def _output(work: Work, frame: Frame, event: Completed) -> Json:
    match work:
        case Wait():
            return frame.value
        case Listen():
            # Always a list, as the specification has it: other ways of listening consume several events.
            assert isinstance(event.output, dict)
            return [event.output.get("data") if work.read == "data" else event.output]
    return event.output


def _prepare_or_fail(activation: Activation, todo: Todo) -> Commit:
    try:
        return _prepare(activation, todo)
    except Fault as fault:
        return failing.prepare(activation, todo, fault)
    except ExpressionError as error:
        return failing.prepare(activation, todo, expression_failed(error))


def _prepare(activation: Activation, todo: Todo) -> Commit:
    charge(activation.meter, WALKING_FUEL)
    frames = activation.state.frames
    match todo.do:
        case "begin":
            return execution.prepare_begin(activation)
        case "enter":
            return entering.prepare(activation, frames[todo.frame])
        case "iterate":
            return loops.prepare_next(activation, frames[todo.frame], todo.value)
        case "leave":
            return leaving.prepare(activation, frames[todo.frame], todo)
        case "fault":
            assert isinstance(todo.value, dict)
            raise Fault.from_json(todo.value)
        case "finish":
            return execution.prepare_finish(activation, todo.value)
