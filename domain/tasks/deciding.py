"""Deciding a task: who may, with what, and what the waiting execution is told."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.definitions.faults import Fault
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.values import Json, canonical
from domain.errors import Conflict, Forbidden, Invalid, Problem
from domain.executions import TaskOutcome, TaskStatus
from domain.payloads import misfits
from domain.tasks.moments import OnOverdue

#: The kind of a task that only asks for a form to be filled in; any other is approved or rejected.
FORM: Final = "form"
APPROVAL: Final = "approval"


class TaskClosed(Conflict):
    """This task is closed; nothing more can be decided."""

    code = "task_closed"


class TaskOverdue(Conflict):
    """The deadline of this task has passed; nothing can be decided any more."""

    code = "task_overdue"


class TaskClaimed(Conflict):
    """Somebody else has claimed this task; ask them to release it."""

    code = "task_claimed"


class AlreadyDecided(Conflict):
    """You have decided this task already; everybody's word counts once."""

    code = "already_decided"


class ArgumentsChanged(Conflict):
    """What you decided about is not what this task is about; read it again."""

    code = "arguments_changed"


class FourEyes(Forbidden):
    """Somebody else has to decide this: four eyes see more than two."""

    code = "four_eyes"


@dataclass(frozen=True, slots=True)
class Decider:
    """Whoever decides, as tasks know them: a person by id, e-mail address and role; a client by its id alone."""

    user_id: UUID | None
    email: str = ""
    role: str = ""
    client_id: UUID | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """How a list of candidates may mention this decider."""
        if self.client_id is not None:
            return (f"client:{self.client_id}",)
        return f"user:{self.email.lower()}", f"role:{self.role.lower()}"


@dataclass(frozen=True, slots=True)
class Decision:
    """`arguments_digest` names what was decided about: the digest that the task showed."""

    outcome: TaskOutcome
    comment: str | None = None
    data: Any = None
    arguments_digest: str | None = None

    def as_json(
        self, decider: Decider, at: datetime, *, before: Sequence[Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        """The output of the step, and what `tasks.decision` keeps.

        `before` are the words of those who approved earlier, where several have to.
        """
        words: dict[str, Any] = {
            "outcome": self.outcome.value,
            **(
                {}
                if self.outcome is TaskOutcome.SUBMITTED
                else {"approved": self.outcome is TaskOutcome.APPROVED}
            ),
            "comment": self.comment,
            "data": self.data,
            "decided_by": None if decider.user_id is None else str(decider.user_id),
            "decided_at": at.isoformat(),
        }
        if decider.client_id is not None:
            words["decided_by_client"] = str(decider.client_id)
        return words if before is None else {**words, "decisions": [*before, dict(words)]}


def digest_of(arguments: Json) -> str:
    """SHA-256 (hex) of the canonical form: compact UTF-8 JSON with sorted keys."""
    return hashlib.sha256(canonical(arguments)).hexdigest()


def is_assigned(assignees: Sequence[str], decider: Decider) -> bool:
    """A task that names nobody is for every member who may decide tasks, and for no client."""
    if not assignees:
        return decider.client_id is None
    return not {name.lower() for name in assignees}.isdisjoint(decider.names)


def require_assigned(assignees: Sequence[str], decider: Decider) -> None:
    if not is_assigned(assignees, decider):
        raise Forbidden(
            f"This task is assigned to {', '.join(assignees)}; ask one of them to decide, "
            "or an administrator to give you that role."
        )


def require_in_time(task: Mapping[Any, Any], at: datetime) -> None:
    """A deadline that ends the task ends it to the second, whenever that is written down."""
    due = task["due_at"]
    if due is not None and due <= at and task["on_overdue"] != OnOverdue.KEEP:
        raise TaskOverdue(
            f"This task was to be decided until {due.isoformat()}; nothing can be decided any more, and its "
            "execution goes on without a decision."
        )


def require_unclaimed(task: Mapping[Any, Any], decider: Decider) -> None:
    claimed = task["claimed_by"]
    if claimed is not None and claimed != decider.user_id:
        raise TaskClaimed(
            f"User {claimed} has claimed this task; ask them to decide, to delegate or to release it."
        )


def is_theirs(line: Mapping[Any, Any], decider: Decider) -> bool:
    """Whether a line that names a person by `user_id` or a client by `client_id` names this decider."""
    if decider.user_id is not None:
        return bool(line["user_id"] == decider.user_id)
    return decider.client_id is not None and bool(line["client_id"] == decider.client_id)


def require_other_eyes(barred: Sequence[Mapping[Any, Any]], decider: Decider) -> None:
    """`barred` are whom four eyes keep away: ids, and the step they decided (None: they started the execution)."""
    for each in barred:
        if is_theirs(each, decider):
            why = "started this execution" if each["step"] is None else f"decided “{each['step']}”"
            raise FourEyes(f"Whoever {why} may not decide this task too: four eyes. Somebody else has to.")


def require_arguments(task: Mapping[Any, Any], decision: Decision) -> None:
    """A decision is about exactly what its sender saw. Raises Invalid, ArgumentsChanged."""
    wanted, seen = task["arguments_digest"], decision.arguments_digest
    if wanted is not None and seen is None:
        message = "This task has arguments; the decision has to name the digest of those that were seen."
        mend = "Send arguments_digest as the task shows it."
        raise Invalid(problems=[Problem("#/arguments_digest", message, mend, "missing")])
    if wanted != seen:
        raise ArgumentsChanged(
            "What you decided about is not what this task is about"
            + ("." if wanted is None else f" (its arguments have the digest {wanted}).")
            + " Read the task again, then decide."
        )


def require_outcome(task: Mapping[Any, Any], decision: Decision) -> None:
    is_form = task["kind"] == FORM
    if is_form is not (decision.outcome is TaskOutcome.SUBMITTED):
        allowed = ("submitted",) if is_form else ("approved", "rejected")
        message = f"This task can be {' or '.join(allowed)}, not {decision.outcome.value}."
        raise Invalid(problems=[Problem("#/outcome", message, f"Send {' or '.join(allowed)}.")])


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
    decision: Decision,
    decider: Decider,
    status: str,
    recorded: Mapping[str, Any] | None,
    own: Mapping[Any, Any] | None = None,
) -> None:
    """Accept a closed task only for one's own word over again, as who lost the answer sends it.

    `own` is what this decider said before (outcome, comment, data), if the history knows.
    """
    if status == TaskStatus.EXPIRED:
        raise TaskOverdue("Nobody decided this task in time; its execution went on without a decision.")
    if status == TaskStatus.CANCELLED or recorded is None:
        raise TaskClosed("This task was cancelled because its execution ended; nothing is left to decide.")
    said = own
    if said is None and recorded["decided_by"] == str(decider.user_id):
        said = recorded
    if said is None or not is_same_word(decision, said):
        who = f"user {recorded['decided_by']}"
        if recorded.get("overdue"):
            who = "its deadline, which nobody met"
        elif recorded["decided_by"] is None:
            who = f"client {recorded.get('decided_by_client')}"
        raise TaskClosed(
            f"This task was already {recorded['outcome']} at {recorded['decided_at']}"
            f" by {who}; the first decision counts."
        )


def is_same_word(decision: Decision, said: Mapping[Any, Any]) -> bool:
    return [decision.outcome, decision.comment, decision.data] == [
        said[part] for part in ("outcome", "comment", "data")
    ]


def overdue(task: Mapping[Any, Any], at: datetime) -> dict[str, Any]:
    """What the execution is told of a task whose deadline ended it: a fault, or a rejection by nobody."""
    if task["on_overdue"] == OnOverdue.REJECT:
        return {
            **Decision(TaskOutcome.REJECTED).as_json(Decider(None), at),
            "overdue": True,
        }
    detail = f"“{task['title']}” was to be decided until {task['due_at'].isoformat()}, and nobody did"
    return {"fault": Fault("timeout", 408, "Task overdue", detail).as_json(), "expired_at": at.isoformat()}
