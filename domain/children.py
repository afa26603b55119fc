"""What the outcome of an execution means to the step of another one that waited for it."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.commands import Completed, Failed
from domain.definitions.faults import Fault
from domain.executions import ExecutionStatus

#: Of what went wrong in the child, so much is repeated.
_LONGEST: Final = 2000
_ENDS: Final[dict[ExecutionStatus, tuple[str, int, str]]] = {
    ExecutionStatus.CANCELLED: ("runtime", 499, "Cancelled"),
    ExecutionStatus.TERMINATED: ("runtime", 500, "Terminated"),
    ExecutionStatus.TIMED_OUT: ("timeout", 408, "Timed out"),
}


def outcome(answer: Mapping[str, Any], now: int) -> Completed | Failed:
    """`answer` is what `db.answers` tells: occurrence, execution_id, workflow, status, output, error."""
    occurrence: str = answer["occurrence"]
    status = ExecutionStatus(answer["status"])
    if status is ExecutionStatus.COMPLETED:
        return Completed(now, occurrence, answer.get("output"))
    return Failed(now, occurrence, _fault(answer, status).as_json())


def _fault(answer: Mapping[str, Any], status: ExecutionStatus) -> Fault:
    """Of the child's own type, so that the same `catch` fits; it arose at the step that ran the child."""
    error = answer.get("error") or {}
    type, code, title = _ENDS.get(status, ("runtime", 500, "Failed"))
    told = error.get("title", title)
    if error.get("detail"):
        told = f"{told}: {error['detail']}"
    if error.get("instance"):
        told = f"{told} (at {error['instance']})"
    detail = f"workflow '{answer['workflow']}' (execution {answer['execution_id']}) is {status.value}: {told}"
    return Fault(
        error.get("type", type), error.get("status", code), error.get("title", title), detail[:_LONGEST]
    )
