"""The walk: take in what the world answered, then prepare and commit what is due until nothing is."""

from dataclasses import dataclass

from domain.definitions.checks import charge
from domain.definitions.commands import Command, Event, StepRecord, Yield
from domain.definitions.expressions import ExpressionError, FuelExhausted, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.program import Program
from domain.definitions.shaping import expression_failed
from domain.definitions.state import State, Todo

from . import (
    compensating,
    entering,
    execution,
    extending,
    failing,
    forks,
    leaving,
    listening,
    loops,
    taking,
    tries,
)
from .activation import Activation, Commit
from .journal import Watch

#: What walking one step costs besides its expressions, in fuel: a long loop of plain steps must end as well.
WALKING_FUEL = 50
#: An error always has a way out, however little fuel is left; it follows a transition that was paid for.
_UNCHARGED = frozenset({"fault", "compensate"})


@dataclass(frozen=True, slots=True)
class Advance:
    state: State
    commands: list[Command]
    records: list[StepRecord]
    #: False when the fuel did not even suffice for the first transition.
    progressed: bool


def advance(
    program: Program,
    state: State,
    event: Event,
    meter: Meter,
    *,
    patient: bool = False,
    watch: Watch | None = None,
) -> Advance:
    """Carry the execution as far as it goes without the world; `state` itself is not changed.

    With `patient` a single transition that exceeds the whole of `meter` fails its step instead of yielding.
    """
    activation = Activation(program, state.copy(), meter, watch)
    activation.state.now = event.now
    taking.take(activation, event)
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


def _prepare_or_fail(activation: Activation, todo: Todo) -> Commit:
    try:
        return _prepare(activation, todo)
    except Fault as fault:
        return failing.prepare(activation, todo, fault)
    except ExpressionError as error:
        return failing.prepare(activation, todo, expression_failed(error))


def _prepare(activation: Activation, todo: Todo) -> Commit:
    if todo.do not in _UNCHARGED:
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
        case "work":
            return extending.prepare_work(activation, frames[todo.frame])
        case "before":
            return lambda: extending.before_ended(activation, frames[todo.frame], todo)
        case "after":
            return lambda: leaving.after_ended(activation, frames[todo.frame])
        case "branch":
            return forks.prepare_branch(activation, frames[todo.frame], todo.value)
        case "lost":
            return lambda: forks.lose(activation, frames[todo.frame], _error(todo))
        case "join":
            return forks.prepare_join(activation, frames[todo.frame])
        case "fault":
            return failing.prepare_fault(activation, todo)
        case "caught":
            return tries.prepare_caught(activation, frames[todo.frame], _error(todo))
        case "retry":
            return tries.prepare_retry(activation, frames[todo.frame])
        case "compensate":
            return compensating.prepare(activation)
        case "hear":
            return listening.prepare_hear(activation, todo)
        case "recall":
            return listening.prepare_recall(activation, todo)
        case "turn":
            return listening.prepare_turn(activation, todo)
        case "heard":
            return listening.prepare_heard(activation, todo)
        case "until":
            return listening.prepare_until(activation, todo)
        case "finish":
            return execution.prepare_finish(activation, todo.value)


def _error(todo: Todo) -> dict[str, Json]:
    assert isinstance(todo.value, dict)
    return todo.value
