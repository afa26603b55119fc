"""The attempts at a step that the engine tried more than once, or is about to: the first of them and the latest.

A step that succeeds at once has no such list. Attempts are those of one run: whoever takes the step anew, after a
reset, begins a list of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from domain.executions import StepStatus

#: The first attempt and the latest ones; those between are told by their missing numbers.
MOST: Final = 20
#: More of an error's own words is cut off: the error the step ends with is kept whole.
_LONGEST_DETAIL: Final = 2_000
_OPEN: Final = frozenset({StepStatus.RUNNING, StepStatus.WAITING})


class AttemptStatus(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    #: No worker told how it ended: the one that made it was stopped or lost meanwhile.
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt as it is kept. `retry` is when the next one was to begin; no `ended`: nobody has told its end."""

    number: int
    began: datetime | None
    ended: datetime | None = None
    retry: datetime | None = None
    error: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        moments = {"began": self.began, "ended": self.ended, "retry": self.retry}
        told = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
        return {"number": self.number, **told, **({} if self.error is None else {"error": dict(self.error)})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        began, ended, retry = (
            None if data.get(name) is None else datetime.fromisoformat(data[name])
            for name in ("began", "ended", "retry")
        )
        return cls(data["number"], began, ended, retry, data.get("error"))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it is shown. `retry_at` is set while the next one is to come."""

    number: int
    status: AttemptStatus
    started_at: datetime | None
    completed_at: datetime | None = None
    retry_at: datetime | None = None
    error: Any = None


def begun(kept: Any, run: str, number: int, *, now: datetime, first: datetime | None) -> dict[str, Any]:
    """What to keep as attempt `number` (from 2) begins; the step began at `first`."""
    made = _made(kept, run)
    before = number - 1
    if all(each.number != before for each in made):
        made = [*made, Tried(before, first if before == 1 else None)]
    return _kept(run, made, Tried(number, now))


def failed(kept: Any, run: str, tried: Tried) -> dict[str, Any]:
    """What to keep as an attempt has ended that is not the last one; who was taken for lost may tell it late."""
    return _kept(run, _made(kept, run), tried)


def excerpt(error: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an error."""
    kept = {
        name: error[name] for name in ("type", "title", "status", "detail") if error.get(name) is not None
    }
    detail = kept.get("detail")
    if isinstance(detail, str) and len(detail) > _LONGEST_DETAIL:
        kept["detail"] = detail[:_LONGEST_DETAIL] + "…"
    return kept


def attempts_of(step: Mapping[str, Any]) -> list[Attempt]:
    """Those of a row of the step log, the earliest first: none where the first attempt is the only one so far.

    How the latest one ended, the step itself says.
    """
    kept = step["attempts"]
    if kept is None:
        return []
    made = [Tried.from_json(each) for each in kept["made"]]
    *earlier, latest = made
    status = StepStatus(step["status"])
    shown = [_ended(each) for each in earlier]
    if latest.ended is not None:
        return [*shown, replace(_ended(latest), retry_at=latest.retry if status in _OPEN else None)]
    last = Attempt(
        latest.number, AttemptStatus(status), latest.began, step["completed_at"], error=step["error"]
    )
    return [*shown, last]


def retry_at(step: Mapping[str, Any]) -> datetime | None:
    """When the step is to be tried again; None while an attempt is under way, and once it has ended."""
    attempts = attempts_of(step)
    return attempts[-1].retry_at if attempts else None


def _ended(tried: Tried) -> Attempt:
    status = AttemptStatus.LOST if tried.ended is None else AttemptStatus.FAILED
    return Attempt(tried.number, status, tried.began, tried.ended, error=tried.error)


def _made(kept: Any, run: str) -> list[Tried]:
    if kept is None or kept["run"] != run:
        return []
    return [Tried.from_json(each) for each in kept["made"]]


def _kept(run: str, made: Sequence[Tried], tried: Tried) -> dict[str, Any]:
    """An attempt in the place of what was known of it, in a list that stays short."""
    among = sorted(
        [*(each for each in made if each.number != tried.number), tried], key=lambda each: each.number
    )
    short = among if len(among) <= MOST else [among[0], *among[-(MOST - 1) :]]
    return {"run": run, "made": [each.as_json() for each in short]}
