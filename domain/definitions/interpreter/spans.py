"""Lengths of time in a definition, in milliseconds."""

from datetime import timedelta

from domain.definitions.durations import InvalidDuration, parse
from domain.definitions.expressions import Json
from domain.definitions.faults import Fault
from domain.definitions.program import Span
from domain.definitions.state import Frame

from .activation import Activation

_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(activation: Activation, span: Span, what: str, data: Json, frame: Frame | None) -> int:
    """`what` names the place in a fault, such as "`wait` of step 'pause'"."""
    if isinstance(span, timedelta):
        return span // _MILLISECOND
    try:
        return parse(activation.evaluate(span, data, frame)) // _MILLISECOND
    except InvalidDuration as error:
        raise Fault("expression", 400, "Not a duration", f"{what}: {error}") from error
