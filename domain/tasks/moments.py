"""When something is due about a task: its announcement, reminders, escalation and deadline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class OnOverdue(StrEnum):
    """What becomes of a task that nobody decided in time."""

    #: The step fails with error 408, which `try` may catch.
    FAIL = "fail"
    REJECT = "reject"
    #: It stays open, and is shown as overdue.
    KEEP = "keep"


class Due(StrEnum):
    """What is to be done about an open task, in the order in which it is done."""

    ANNOUNCE = "announce"
    REMIND = "remind"
    ESCALATE = "escalate"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Moments:
    """What is still to come. `escalate_at` and `due_at` are None once they have been seen to."""

    announce_at: datetime | None = None
    remind_at: tuple[datetime, ...] = ()
    escalate_at: datetime | None = None
    due_at: datetime | None = None

    @property
    def next(self) -> datetime | None:
        coming = (self.announce_at, *self.remind_at, self.escalate_at, self.due_at)
        return min((each for each in coming if each is not None), default=None)

    def due(self, now: datetime) -> list[Due]:
        """Of several reminders that were missed, one is sent; none once the task closes or others are asked."""
        found = [Due.ANNOUNCE] if _is_due(self.announce_at, now) else []
        ends = _is_due(self.due_at, now)
        if any(each <= now for each in self.remind_at) and not ends and Due.ANNOUNCE not in found:
            found.append(Due.REMIND)
        if _is_due(self.escalate_at, now):
            found.append(Due.ESCALATE)
        return [*found, Due.OVERDUE] if ends else found

    def after(self, now: datetime) -> "Moments":
        """What is left once everything due at `now` has been done."""
        return replace(
            self,
            announce_at=None if _is_due(self.announce_at, now) else self.announce_at,
            remind_at=tuple(each for each in self.remind_at if each > now),
            escalate_at=None if _is_due(self.escalate_at, now) else self.escalate_at,
            due_at=None if _is_due(self.due_at, now) else self.due_at,
        )


def planned(
    now: datetime,
    *,
    due: timedelta | None,
    reminders: Sequence[timedelta] = (),
    escalates: bool = False,
    escalate_after: timedelta | None = None,
    announces: bool = False,
) -> Moments:
    """The moments of a task that opens now. A reminder longer than the time there is has no moment."""
    due_at = None if due is None else now + due
    escalate_at = None
    if escalates:
        escalate_at = due_at if escalate_after is None else now + escalate_after
    remind_at = () if due_at is None else (due_at - each for each in reminders)
    return Moments(
        announce_at=now if announces else None,
        remind_at=tuple(sorted({each for each in remind_at if each > now})),
        escalate_at=escalate_at,
        due_at=due_at,
    )


def _is_due(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now
