"""Retry policies: whether an error is worth another attempt, and how long to pause before it."""

from datetime import timedelta
from hashlib import sha256
from typing import Final

from domain.definitions.durations import MAXIMUM_WAIT
from domain.definitions.expressions import Expression
from domain.definitions.program import Retry, Span, Step
from domain.definitions.state import Frame

from . import spans
from .activation import Activation

_LONGEST: Final = MAXIMUM_WAIT // timedelta(milliseconds=1)


def delay(activation: Activation, step: Step, retry: Retry | None, frame: Frame) -> int | None:
    """How long to pause before the next attempt, in milliseconds; None when there is none."""
    if retry is None or (retry.count is not None and frame.at >= retry.count):
        return None
    if not holds(activation, retry.when, retry.except_when, frame):
        return None

    def length(span: Span, part: str) -> int:
        return spans.milliseconds(
            activation, span, f"`retry.{part}` of step '{step.name}'", frame.value, frame
        )

    pause = 0 if retry.delay is None else length(retry.delay, "delay")
    match retry.backoff:
        case "linear":
            pause *= frame.at + 1
        case "exponential":
            pause <<= min(frame.at, 64)
    if retry.jitter is not None:
        low, high = (length(each, "jitter") for each in retry.jitter)
        pause += low + _chance(activation, frame) % (max(high - low, 0) + 1)
    pause = min(pause, _LONGEST)
    if retry.total is not None:
        ends = frame.started + length(retry.total, "limit.duration")
        if activation.state.now + pause >= ends:
            return None
    return pause


def _chance(activation: Activation, frame: Frame) -> int:
    """A number that looks random and is the same whenever this attempt is walked again."""
    seed = f"{activation.state.execution['id']}{frame.occurrence}!{frame.at}"
    return int.from_bytes(sha256(seed.encode()).digest()[:8])


def holds(
    activation: Activation, when: Expression | None, except_when: Expression | None, frame: Frame
) -> bool:
    """`.` is the input of the step; the error is a variable."""
    if when is not None and not activation.holds(when, frame.value, frame):
        return False
    return except_when is None or not activation.holds(except_when, frame.value, frame)
