"""What a workflow tells its mirror, how two tellings are ordered, and what may be wrong between the two."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.executions import ExecutionStatus

#: (start of the run in epoch ms, history length, counter). A reset or continued execution is a new run and
#: wins by its later start; within a run the counter decides where the history did not grow.
Version = tuple[int, int, int]


class Mismatch(StrEnum):
    """What supervision finds between a row and Temporal."""

    #: Closed in Temporal by somebody else than its own last step.
    ENDED = "ended"
    #: Its history is gone.
    DELETED = "deleted"
    #: Reset in Temporal: another run goes on from an earlier point.
    RESET = "reset"
    #: Its workflow tasks fail again and again.
    STALLED = "stalled"
    #: It had committed its outcome when somebody ended it otherwise in Temporal; the row stands.
    CONTRADICTED = "contradicted"


def same_end(row: ExecutionStatus, temporal: ExecutionStatus) -> bool:
    """Whether a closed row tells the same end as Temporal, where what timed out by itself can only close as failed."""
    return row is temporal or (row, temporal) == (ExecutionStatus.TIMED_OUT, ExecutionStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an execution at one moment. It travels in plaintext headers: nothing of the tenant in it."""

    version: Version
    status: ExecutionStatus
    progress: int
    current_step: int
    #: When it was so, in epoch ms (0: not told).
    at: int = 0
    #: How many steps had been entered.
    occurrences: int = 0
    #: The run by which somebody reset this execution; None for one that takes its first course.
    reset_run_id: str | None = None
    #: What completed steps did is being undone, before the execution ends.
    compensating: bool = False

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "version": list(self.version),
            "status": self.status.value,
            "progress": self.progress,
            "current_step": self.current_step,
            "at": self.at,
            "occurrences": self.occurrences,
        }
        if self.reset_run_id is not None:
            told["reset_run_id"] = self.reset_run_id
        if self.compensating:
            told["compensating"] = True
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Snapshot":
        start, length, counter = data["version"]
        return cls(
            (start, length, counter),
            ExecutionStatus(data["status"]),
            data["progress"],
            data["current_step"],
            data.get("at", 0),
            data.get("occurrences", 0),
            data.get("reset_run_id"),
            data.get("compensating", False),
        )


@dataclass(frozen=True, slots=True)
class Course:
    """Where an execution stands, as it answers when asked: what its mirror needs to follow a reset run.

    `open` are the occurrences under way, `waits` those of them that wait, with the end of a timer in epoch ms.
    """

    run_id: str
    snapshot: dict[str, Any]
    open: list[str]
    waits: dict[str, int | None]
