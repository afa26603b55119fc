"""Deciding a task: who may, with what, and what the waiting execution is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.errors import Conflict, Forbidden, Invalid
from domain.executions import TaskOutcome, TaskStatus
from domain.payloads import misfits


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


def is_assigned(assignees: Sequence[str], decider: Decider) -> bool:
    """A task that names nobody is for everybody who may decide tasks."""
    return not assignees or not {name.lower() for name in assignees}.isdisjoint(decider.names)


def require_assigned(assignees: Sequence[str], decider: Decider) -> None:
    if not is_assigned(assignees, decider):
        raise Forbidden(
            f"This task is assigned to {', '.join(assignees)}; ask one of them to decide, "
            "or an administrator to give you that role."
        )


def require_form(form: Mapping[str, Any] | None, decision: Decision) -> None:
    """A rejection may leave the form empty; what is filled in has to fit in any case."""
    if form is None or (decision.outcome is TaskOutcome.REJECTED and decision.data is None):
        return
    try:
        schema = compile_schema(dict(form))
    except SchemaRefused as refusal:
        raise Conflict(
            f"The form of this task cannot be used ({refusal}), so it can only be rejected without data; "
            "then mend the definition."
        ) from None
    problems = misfits(schema, decision.data if decision.data is not None else {}, "data")
    if problems:
        raise Invalid(
            "What was filled in does not fit the form of this task.",
            problems=problems,
        )


def require_repeat(
    decision: Decision, decider: Decider, status: str, recorded: Mapping[str, Any] | None
) -> None:
    """Accept a closed task only for the recorded decision over again, as who lost the answer sends it."""
    if status == TaskStatus.CANCELLED or recorded is None:
        raise TaskClosed("This task was cancelled because its execution ended; nothing is left to decide.")
    sent = [decision.outcome, decision.comment, decision.data, str(decider.user_id)]
    if sent != [recorded[part] for part in ("outcome", "comment", "data", "decided_by")]:
        raise TaskClosed(
            f"This task was already {recorded['outcome']} at {recorded['decided_at']}"
            f" by user {recorded['decided_by']}; the first decision counts."
        )
