"""Of the attempts at a step that is tried again, the first and the latest are kept; how each ended is told once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.attempts import MOST, Attempt, AttemptStatus, Tried, attempts_of, begun, excerpt, failed, retry_at

BEGAN = datetime(2026, 11, 23, 9, tzinfo=UTC)
AWAY = {"type": "communication", "title": "Connection failed", "status": 502}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def row(kept: Any, status: str = "running", **given: Any) -> dict[str, Any]:
    return {"attempts": kept, "status": status, "completed_at": None, "error": None, **given}


def broken(number: int, kept: Any = None, run: str = "r", **given: Any) -> dict[str, Any]:
    """What is kept after this attempt, one second long, has failed."""
    began = at(10 * number)
    ended = began + timedelta(seconds=1)
    values = {"retry": ended + timedelta(seconds=1), "error": AWAY, **given}
    return failed(kept, run, Tried(number, began, ended, **values))


def again(number: int, kept: Any = None, run: str = "r") -> dict[str, Any]:
    return begun(kept, run, number, now=at(10 * number), first=BEGAN)


def test_a_step_that_is_tried_once_has_no_list() -> None:
    assert attempts_of(row(None, "failed", completed_at=at(1), error=AWAY)) == []
    assert retry_at(row(None)) is None


def test_each_attempt_tells_when_it_began_and_how_it_ended() -> None:
    first = broken(1)
    assert attempts_of(row(first)) == [
        Attempt(1, AttemptStatus.FAILED, at(10), at(11), at(12), AWAY),
    ]
    assert retry_at(row(first)) == at(12)
    second = again(2, first)
    assert [(each.status, each.retry_at) for each in attempts_of(row(second))] == [
        ("failed", None),
        ("running", None),
    ]
    ended = attempts_of(row(second, "completed", completed_at=at(25)))
    assert ended[1] == Attempt(2, AttemptStatus.COMPLETED, at(20), at(25))
    wrong = attempts_of(row(second, "failed", completed_at=at(25), error={"title": "Outcome unknown"}))
    assert (wrong[1].status, wrong[1].error) == ("failed", {"title": "Outcome unknown"})


def test_an_attempt_whose_end_nobody_told_is_lost() -> None:
    [lost, running] = attempts_of(row(again(2)))
    assert lost == Attempt(1, AttemptStatus.LOST, BEGAN)
    assert running.status == "running"
    [_, lost, running] = attempts_of(row(again(3, again(2, broken(1)))))
    assert (lost.number, lost.status, lost.started_at, lost.completed_at) == (2, "lost", at(20), None)
    [unseen, seen] = attempts_of(row(again(7)))
    assert (unseen.number, unseen.status, unseen.started_at, seen.number) == (6, "lost", None, 7)


def test_whoever_was_taken_for_lost_may_tell_it_late() -> None:
    kept = broken(1, again(2))
    [late, running] = attempts_of(row(kept))
    assert (late.status, late.error, late.retry_at, running.status) == ("failed", AWAY, None, "running")
    assert retry_at(row(kept)) is None


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_nothing_is_tried_again_once_the_step_has_ended(status: str) -> None:
    [attempt] = attempts_of(row(broken(1), status, completed_at=at(11.5)))
    assert (attempt.status, attempt.completed_at, attempt.retry_at) == ("failed", at(11), None)


def test_the_first_and_the_latest_are_kept() -> None:
    kept = None
    for number in range(1, 101):
        kept = broken(number, kept if number == 1 else again(number, kept))
    shown = [each.number for each in attempts_of(row(kept))]
    assert shown == [1, *range(100 - MOST + 2, 101)]
    assert len(shown) == MOST == 20


def test_another_run_begins_a_list_of_its_own() -> None:
    kept = again(3, broken(2, again(2, broken(1))))
    assert [each.number for each in attempts_of(row(broken(1, kept, run="another")))] == [1]


def test_of_an_error_a_bounded_part_is_kept() -> None:
    told = excerpt({**AWAY, "detail": "x" * 5_000, "instance": "/do/0", "more": [1]})
    assert told == {**AWAY, "detail": "x" * 2_000 + "…"}
    assert excerpt({"type": "t", "status": 400}) == {"type": "t", "status": 400}
