"""Deciding a task: who may, with what, and what the waiting execution is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.errors import Conflict, Forbidden
from domain.executions import TaskOutcome


class TaskClosed(Conflict):
    """This task is closed; nothing more can be decided."""

    code = "task_closed"


@dataclass(frozen=True, slots=True)
class Decider:
    """A person as tasks know them: by id, by e-mail address, by role in the organization."""

    user_id: UUID
    email: str
    role: str

    @property
    def names(self) -> tuple[str, str]:
        """How an assignee list may mention this person."""
        return f"user:{self.email.lower()}", f"role:{self.role.lower()}"


@dataclass(frozen=True, slots=True)
class Decision:
    outcome: TaskOutcome
    comment: str | None = None
    data: Any = None

    def as_json(self, decider: Decider, at: datetime) -> dict[str, Any]:
        """The output of the `approve` step, and what `tasks.decision` keeps."""
        return {
            "outcome": self.outcome.value,
            "approved": self.outcome is TaskOutcome.APPROVED,
            "comment": self.comment,
            "data": self.data,
            "decided_by": str(decider.user_id),
            "decided_at": at.isoformat(),
        }

    def repeats(self, recorded: dict[str, Any]) -> bool:
        """Whether this is the recorded decision over again, as a client that lost the answer sends it."""
        return (self.outcome.value, self.comment, self.data) == (
            recorded["outcome"],
            recorded["comment"],
            recorded["data"],
        )


def is_assigned(assignees: Sequence[str], decider: Decider) -> bool:
    """A task that names nobody is for everybody who may decide tasks."""
    return not assignees or not {name.lower() for name in assignees}.isdisjoint(
        decider.names
    )


def require_assigned(assignees: Sequence[str], decider: Decider) -> None:
    if not is_assigned(assignees, decider):
        raise Forbidden(
            f"This task is assigned to {', '.join(assignees)}; ask one of them to decide, "
            "or an administrator to give you that role."
        )
