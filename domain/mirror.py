"""What a workflow tells its mirror, and how two tellings are ordered."""

from dataclasses import dataclass
from typing import Any

from domain.executions import ExecutionStatus

#: (start of the run in epoch ms, history length, counter). A reset or continued execution is a new run and
#: wins by its later start; within a run the counter decides where the history did not grow.
Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an execution at one moment. It travels in plaintext headers: nothing of the tenant in it."""

    version: Version
    status: ExecutionStatus
    progress: int
    current_step: int

    def as_json(self) -> dict[str, Any]:
        return {
            "version": list(self.version),
            "status": self.status.value,
            "progress": self.progress,
            "current_step": self.current_step,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Snapshot":
        start, length, counter = data["version"]
        return cls(
            (start, length, counter), ExecutionStatus(data["status"]), data["progress"], data["current_step"]
        )
