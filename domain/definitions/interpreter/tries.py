"""Trying: an error that `catch` admits is answered by another attempt, by the handler, or by going on.

Retry first; when no attempt is left the handler runs, then `catch.then` says where to go; a catch that says neither
lets the error go on. Each attempt walks the whole list again from the input of the step. A cancellation is no error,
so nothing here ever sees one.
"""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Final

from domain.definitions.commands import Sleep
from domain.definitions.durations import MAXIMUM_WAIT
from domain.definitions.expressions import Expression, Json
from domain.definitions.faults import Fault, same_type
from domain.definitions.program import Retry, Step, Try
from domain.definitions.state import Frame
from domain.executions import StepStatus

from . import leaving, spans
from .activation import Activation, Commit

_LONGEST: Final = MAXIMUM_WAIT // timedelta(milliseconds=1)


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
    return _holds(activation, catch.when, catch.except_when, replace(frame, error=error))


def prepare_caught(activation: Activation, frame: Frame, error: dict[str, Json]) -> Commit:
    """Nothing of the failed attempt is left: try again, handle the error, or go on."""
    step, work = _try(activation, frame)
    failed = replace(frame, error=error)
    delay = _delay(activation, step, work.catch.retry, failed)
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


def _delay(activation: Activation, step: Step, retry: Retry | None, frame: Frame) -> int | None:
    """How long to pause before the next attempt, in milliseconds; None when there is none."""
    if retry is None or (retry.count is not None and frame.at >= retry.count):
        return None
    if not _holds(activation, retry.when, retry.except_when, frame):
        return None

    def length(span: object, part: str) -> int:
        assert isinstance(span, timedelta | Expression)
        return spans.milliseconds(
            activation, span, f"`retry.{part}` of step '{step.name}'", frame.value, frame
        )

    delay = 0 if retry.delay is None else length(retry.delay, "delay")
    match retry.backoff:
        case "linear":
            delay *= frame.at + 1
        case "exponential":
            delay <<= min(frame.at, 64)
    if retry.jitter is not None:
        low, high = (length(each, "jitter") for each in retry.jitter)
        delay += low + _chance(activation, frame) % (max(high - low, 0) + 1)
    delay = min(delay, _LONGEST)
    if retry.total is not None:
        ends = frame.started + length(retry.total, "limit.duration")
        if activation.state.now + delay >= ends:
            return None
    return delay


def _chance(activation: Activation, frame: Frame) -> int:
    """A number that looks random and is the same whenever this attempt is walked again."""
    seed = f"{activation.state.execution['id']}{frame.occurrence}!{frame.at}"
    return int.from_bytes(sha256(seed.encode()).digest()[:8])


def _holds(
    activation: Activation, when: Expression | None, except_when: Expression | None, frame: Frame
) -> bool:
    """`.` is the input of the step; the error is a variable."""
    if when is not None and not activation.holds(when, frame.value, frame):
        return False
    return except_when is None or not activation.holds(except_when, frame.value, frame)


def _try(activation: Activation, frame: Frame) -> tuple[Step, Try]:
    step = activation.step(frame)
    assert isinstance(step.work, Try)
    return step, step.work
