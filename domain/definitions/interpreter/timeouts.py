"""Timeouts: a deadline for a step, for one attempt at a `try`, and for the whole execution."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from domain.definitions.durations import MAXIMUM_WAIT
from domain.definitions.faults import Fault
from domain.definitions.program import Step
from domain.definitions.state import Frame, Todo
from domain.executions import ExecutionStatus

from . import ending, spans, stopping
from .activation import Activation

#: How long an execution lives whose definition does not say it, in milliseconds: a leap year, so that a wait of a
#: year leaves time for what follows it.
DEFAULT_LIFE: Final = MAXIMUM_WAIT // timedelta(milliseconds=1)


def of_step(activation: Activation, step: Step, frame: Frame) -> Frame:
    """The frame of a step that is being entered, with its deadline."""
    if step.timeout is None:
        return frame
    what = f"`timeout` of step '{step.name}'"
    length = spans.milliseconds(activation, step.timeout, what, frame.value, frame)
    return replace(frame, deadline=activation.state.now + length)


def of_workflow(activation: Activation) -> int:
    """When the execution must have ended."""
    span, state = activation.program.timeout, activation.state
    length = DEFAULT_LIFE
    if span is not None:
        length = spans.milliseconds(activation, span, "`timeout` of the workflow", state.input, None)
    return state.now + length


def strike(activation: Activation) -> None:
    """Time has passed: stop what has used up its own, the outermost first."""
    state = activation.state
    if state.deadline is not None and state.deadline <= state.now:
        told = "The workflow did not end within its `timeout`"
        if activation.program.timeout is None:
            told = f"The workflow did not end within {MAXIMUM_WAIT.days} days; say in its `timeout` what it may take"
        fault = _timed_out(told).at("/timeout")
        ending.conclude(activation, ExecutionStatus.TIMED_OUT, fault.as_json())
        return
    late = [
        each for each in state.frames.values() if each.deadline is not None and each.deadline <= state.now
    ]
    for frame in late:
        if frame.id in state.frames:  # and did not go with a step around it
            fault = _fault(activation, frame)
            still = state.frames[frame.id] = replace(frame, deadline=None)
            stopping.stop_below(activation, still, Todo("fault", frame.id, fault.as_json()))


def _fault(activation: Activation, frame: Frame) -> Fault:
    if frame.kind == "step":
        step = activation.step(frame)
        return _timed_out(f"Step '{step.name}' did not end within its `timeout`").at(step.pointer)
    assert frame.parent is not None
    step = activation.step(activation.state.frames[frame.parent])
    message = f"An attempt of step '{step.name}' did not end within `retry.limit.attempt.duration`"
    return _timed_out(message).at(step.pointer)


def _timed_out(detail: str) -> Fault:
    return Fault("timeout", 408, "Timed out", detail)
