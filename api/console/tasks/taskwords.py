"""What pages say about tasks: their history, and why a decision did not count, in names and local times."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID

from api.console.frame.wording import moment
from domain.errors import DomainError
from domain.executions import TaskOutcome
from domain.tasks import AlreadyDecided, OnOverdue, TaskClaimed, TaskClosed, TaskOverdue
from domain.tasks.history import TaskEventKind
from domain.waterfall import brief

#: A client, or nobody that is known here.
SOMEBODY: Final = "Somebody"
DEED: Final = {
    TaskOutcome.APPROVED: "approved",
    TaskOutcome.REJECTED: "rejected",
    TaskOutcome.SUBMITTED: "filled in",
}
_ENDS: Final = {
    OnOverdue.FAIL: "Then the step fails, unless the workflow provides for it.",
    OnOverdue.REJECT: "Then it counts as rejected.",
    OnOverdue.KEEP: "It stays open after that.",
}
_LINES: Final = {
    TaskEventKind.OPENED: "The task was opened",
    TaskEventKind.CLAIMED: "{who} claimed it",
    TaskEventKind.RELEASED: "{who} released it",
    TaskEventKind.DELEGATED: "{who} delegated it to {to}",
    TaskEventKind.COMMENTED: "{who} commented",
    TaskEventKind.ANNOUNCED: "Candidates were told by mail",
    TaskEventKind.REMINDED: "Candidates were reminded by mail",
    TaskEventKind.ESCALATED: "It escalated to {to}",
    TaskEventKind.OVERDUE: "Its deadline passed",
    TaskEventKind.VOTED: "{who} {deed} it; others still have to",
    TaskEventKind.DECIDED: "{who} {deed} it",
    TaskEventKind.EXPIRED: "Its deadline closed it",
}


class Telling:
    """`people` are names by user id, `called` names of candidates; `me` reads the page at `now`."""

    def __init__(
        self, zone: tzinfo, now: datetime, me: UUID, people: Mapping[UUID, str], called: Mapping[str, str]
    ) -> None:
        self.zone = zone
        self.now = now
        self.me = me
        self.people = people
        self.called = called

    def who(self, row: Mapping[Any, Any], user: str = "user_id", client: str = "client_id") -> str:
        """Whose deed a row tells."""
        if row[user] == self.me:
            return "You"
        if row[user] is not None:
            return self.people.get(row[user], SOMEBODY)
        return self.called.get(f"client:{row[client]}", "A client") if row[client] is not None else SOMEBODY

    def line(self, event: Mapping[Any, Any]) -> str:
        """One line of a task's history."""
        to = event["about"].get("to") or []
        names = [self.called.get(each, each) for each in ([to] if isinstance(to, str) else to)]
        return _LINES[TaskEventKind(event["kind"])].format(
            who=self.who(event), to=", ".join(names) or "others", deed=_deed(event["outcome"])
        )

    def ends(self, task: Mapping[Any, Any]) -> str:
        return _ENDS[OnOverdue(task["on_overdue"])]

    def until(self, at: datetime) -> str:
        """As "in 3 h" or "2 d ago"."""
        away = at - self.now
        if abs(away) < timedelta(minutes=1):
            return "now"
        return f"in {brief(away)}" if away > timedelta(0) else f"{brief(-away)} ago"

    def since(self, at: datetime) -> str:
        """As "3 h ago"."""
        return "just now" if self.now - at < timedelta(minutes=1) else self.until(at)

    def ended(self, task: Mapping[Any, Any]) -> str:
        """What became of a closed task."""
        title = f"“{task['title']}”"
        if task["status"] == "expired":
            return f"Nobody decided {title} in time; its execution went on without a decision."
        if task["outcome"] is None:
            return f"{title} no longer needs a decision: its execution has ended."
        at = moment(task["decided_at"], self.zone)
        if (task["decision"] or {}).get("overdue"):
            return f"Nobody decided {title} in time, so it counts as rejected since {at}."
        who = self.who(task, "decided_by", "decided_by_client")
        return f"{who} {_deed(task['outcome'])} {title} on {at}."

    def refusal(self, refusal: DomainError, task: Mapping[Any, Any]) -> DomainError:
        """The same fact for a person: names instead of ids, local times instead of UTC."""
        if isinstance(refusal, TaskClosed):
            said = self.ended(task)
            return TaskClosed(f"{said} The first decision counts." if task["outcome"] else said)
        if isinstance(refusal, TaskClaimed):
            who = self.people.get(task["claimed_by"], SOMEBODY)
            return TaskClaimed(
                f"{who} has claimed this task; ask them to decide, to delegate or to release it."
            )
        if isinstance(refusal, TaskOverdue) and task["due_at"] is not None:
            due = moment(task["due_at"], self.zone)
            return TaskOverdue(
                f"This task was to be decided until {due}; its execution goes on without a decision."
            )
        if isinstance(refusal, AlreadyDecided):
            return AlreadyDecided("You have said your word about this task; others still have to say theirs.")
        return refusal


def _deed(outcome: str | None) -> str:
    return DEED[TaskOutcome(outcome)] if outcome is not None else "decided"
