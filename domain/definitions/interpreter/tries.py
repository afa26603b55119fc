"""Trying: an error that `catch` admits is answered by another attempt, by the handler, or by going on.

Retry first; when no attempt is left the handler runs, then `catch.then` says where to go; a catch that says neither
lets the error go on. Each attempt walks the whole list again from the input of the step. A cancellation is no error,
so nothing here ever sees one.
"""

from dataclasses import replace

from domain.definitions.commands import Sleep
from domain.definitions.expressions import Json
from domain.definitions.faults import Fault, same_type
from domain.definitions.program import Step, Try
from domain.definitions.state import Frame
from domain.executions import StepStatus

from . import leaving, retries, spans
from .activation import Activation, Commit


def prepare(activation: Activation, step: Step, work: Try, frame: Frame) -> Commit:
    begin = _prepare_attempt(activation, step, work, frame)

    def commit() -> None:
        activation.stay(frame, StepStatus.RUNNING)
        begin()

    return commit


def prepare_retry(activation: Activation, frame: Frame) -> Commit:
    """The pause before another attempt is over."""
    step, work = _try(activation, frame)
    frame = replace(frame, error=None)
    begin = _prepare_attempt(activation, step, work, frame)

    def commit() -> None:
        activation.state.frames[frame.id] = frame
        activation.journal.note(frame, StepStatus.RUNNING)
        begin()

    return commit


def admits(activation: Activation, frame: Frame, error: dict[str, Json]) -> bool:
    """Whether the step catches this error. Every field of the filter must be equal."""
    _, work = _try(activation, frame)
    catch = work.catch
    for field, wanted in catch.filter.items():
        given = error.get(field)
        equal = same_type(given, wanted) if field == "type" else given == wanted
        if not equal:
            return False
    return retries.holds(activation, catch.when, catch.except_when, replace(frame, error=error))


def prepare_caught(activation: Activation, frame: Frame, error: dict[str, Json]) -> Commit:
    """Nothing of the failed attempt is left: try again, handle the error, or go on."""
    step, work = _try(activation, frame)
    failed = replace(frame, error=error)
    delay = retries.delay(activation, step, work.catch.retry, failed)
    if delay is not None:
        return _prepare_again(activation, step, work, failed, delay)
    if work.catch.only_retries:
        raise Fault.from_json(error)

    def commit() -> None:
        if work.catch.block is not None:
            activation.state.frames[frame.id] = failed
            activation.open_block(failed, work.catch.block, frame.value)
        else:
            leaving.settle(activation, frame, step, frame.value, work.catch.then)

    return commit


def _prepare_again(activation: Activation, step: Step, work: Try, failed: Frame, delay: int) -> Commit:
    state, again = activation.state, replace(failed, at=failed.at + 1)
    if delay == 0:
        fresh = replace(again, error=None)
        begin = _prepare_attempt(activation, step, work, fresh)

        def commit() -> None:
            state.frames[fresh.id] = fresh
            begin()

        return commit

    def pause() -> None:
        occurrence = f"{again.occurrence}!retry{again.at}"
        state.frames[again.id] = again
        state.pending[occurrence] = again.id
        activation.journal.note(again, StepStatus.WAITING)
        activation.commands.append(Sleep(occurrence, step.name, state.now + delay))

    return pause


def _prepare_attempt(activation: Activation, step: Step, work: Try, frame: Frame) -> Commit:
    retry, state = work.catch.retry, activation.state
    limit: int | None = None
    if retry is not None and retry.attempt is not None:
        what = f"`retry.limit.attempt.duration` of step '{step.name}'"
        limit = state.now + spans.milliseconds(activation, retry.attempt, what, frame.value, frame)

    def commit() -> None:
        block = activation.open_block(frame, work.block, frame.value)
        if limit is not None:
            state.frames[block.id] = replace(block, deadline=limit)

    return commit


def _try(activation: Activation, frame: Frame) -> tuple[Step, Try]:
    step = activation.step(frame)
    assert isinstance(step.work, Try)
    return step, step.work
