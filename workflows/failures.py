"""What the error of an activity means for an execution."""

import asyncio
from typing import TypeAlias

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import CallAction, Failed
    from domain.definitions.faults import Fault

from workflows.contracts import executions as contract
from workflows.lineage import now

#: A normal activity's error wraps what it raised; a local activity's does not.
ActivityFailure: TypeAlias = ActivityError | ApplicationError


def says_cancelled(error: ActivityFailure) -> bool:
    return isinstance(_cause(error), CancelledError)


def says_closed(error: ActivityFailure) -> bool:
    """The execution's row is closed already, and Temporal was asked to cancel the execution."""
    cause = _cause(error)
    return isinstance(cause, ApplicationError) and cause.type == contract.EXECUTION_CLOSED


def fault_of(error: ActivityFailure) -> Fault:
    """The fault an action raised, or what Temporal says about an activity that never answered."""
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.details and isinstance(cause.details[0], dict):
        return Fault.from_json(cause.details[0])
    return Fault("timeout", 408, "Action did not answer", str(cause or error))


def failed(command: CallAction, error: ActivityFailure) -> Failed:
    """What the interpreter is told of a failed activity; being cancelled or closed is no failure of the step."""
    if says_cancelled(error):
        raise asyncio.CancelledError from error
    if says_closed(error):
        raise error
    return Failed(now(), command.occurrence, fault_of(error).as_json())


def _cause(error: ActivityFailure) -> BaseException | None:
    return error.cause if isinstance(error, ActivityError) else error
