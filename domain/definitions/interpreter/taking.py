"""What the world answers becomes a transition that is due; nothing is evaluated here, so nothing can fail."""

from domain.definitions.commands import (
    Aborted,
    Arrived,
    Cancelled,
    Completed,
    Event,
    Failed,
    Resume,
    Stopped,
    Tick,
)
from domain.definitions.expressions import Json
from domain.definitions.program import Call, Try, Wait, Work
from domain.definitions.state import Frame, Todo

from . import compensating, execution, listening, stopping, timeouts
from .activation import Activation


def take(activation: Activation, event: Event) -> None:
    """Turn the world's answer into a transition that is due. Answers nobody waits for are ignored."""
    state = activation.state
    match event:
        case Resume():
            pass
        case Completed(occurrence=occurrence) if occurrence in state.pending:
            _completed(activation, event)
        case Failed(occurrence=occurrence) if occurrence in state.pending:
            if owner := state.pending.pop(occurrence):
                activation.due(Todo("fault", owner, event.error))
            else:
                compensating.answered(activation, event)
        case Completed() | Failed() | Stopped():
            stopping.answered(activation, event.occurrence)
        case Tick():
            timeouts.strike(activation)
        case Arrived(event=arrived) if not state.is_over:
            listening.arrive(activation, arrived)
        case Cancelled() if not state.is_over:
            execution.cancel(activation)
        case Aborted() if not state.is_over:
            execution.abort(activation, event.error)
        case _:
            pass


def _completed(activation: Activation, event: Completed) -> None:
    owner = activation.state.pending.pop(event.occurrence)
    if not owner:
        compensating.answered(activation, event)
        return
    frame = activation.state.frames[owner]
    work = activation.step(frame).work
    if isinstance(work, Try):
        activation.due(Todo("retry", owner))
    else:
        activation.due(Todo("leave", owner, _output(work, frame, event), event.shaped))


def _output(work: Work, frame: Frame, event: Completed) -> Json:
    match work:
        case Wait() | Call(keeps_input=True):
            return frame.value
    return event.output
