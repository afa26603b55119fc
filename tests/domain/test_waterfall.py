"""The waterfall: steps inside each other, one axis of time, shapes that need no colour, loops that stay readable."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from domain.executions import StepStatus
from domain.waterfall import Shape, Step, Waterfall, brief, shape_of, waterfall

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


class Log:
    """Writes lines of a step log one after the other."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(
        self,
        pointer: str,
        began: float = 0,
        ended: float | None = None,
        *,
        kind: str = "call",
        status: str = "",
        action: str | None = None,
    ) -> str:
        visit = sum(each.pointer == pointer for each in self.steps) + 1
        state = StepStatus(status or ("running" if ended is None else "completed"))
        occurrence = f"{pointer}#{visit}"
        name = pointer.rpartition("/")[2]
        position = len(self.steps) + 1
        self.steps.append(
            Step(
                occurrence,
                pointer,
                name,
                kind,
                action,
                visit,
                position,
                1,
                state,
                after(began),
                None if ended is None else after(ended),
            )
        )
        return occurrence

    def falls(
        self, now: float = 0, *, is_over: bool = True, opened: Sequence[str] = (), selected: str | None = None
    ) -> Waterfall:
        return waterfall(
            self.steps, begins=BEGAN, now=after(now), is_over=is_over, opened=opened, selected=selected
        )

    def loop(self, rounds: int, *, failing: int = 0) -> None:
        self.add("/do/0/each", 0, rounds, kind="for")
        for number in range(rounds):
            status = "failed" if number + 1 == failing else ""
            self.add("/do/0/each/do/0/ask", number, number + 0.5, status=status)
            self.add("/do/0/each/do/1/tell", number + 0.5, number + 1)


def outline(falls: Waterfall) -> list[tuple[int, str]]:
    return [
        (row.depth, row.step.name if row.step else f"{row.fold.word} {row.fold.first}-{row.fold.last}")
        for row in falls.rows
        if row.step or row.fold
    ]


def row(falls: Waterfall, name: str) -> tuple[float, float]:
    [bar] = [each.bar for each in falls.rows if each.step and each.step.name == name]
    assert bar is not None
    return bar.x, bar.width


def test_steps_stand_below_the_step_they_were_entered_in() -> None:
    log = Log()
    log.add("/do/0/outer", 0, 9, kind="try")
    log.add("/do/0/outer/try/0/inner", 0, 5, kind="do")
    log.add("/do/0/outer/try/0/inner/do/0/leaf", 1, 2)
    log.add("/do/1/last", 9, 10)
    assert outline(log.falls(10)) == [(0, "outer"), (1, "inner"), (2, "leaf"), (0, "last")]


def test_a_name_with_a_slash_or_a_common_beginning_misleads_nobody() -> None:
    log = Log()
    log.add("/do/0/a", 0, 1)
    log.add("/do/0/ab", 1, 2)
    log.add("/do/1/x~1do~10", 2, 3, kind="do")
    log.add("/do/1/x~1do~10/do/0/in", 2, 3)
    assert [depth for depth, _ in outline(log.falls(3))] == [0, 0, 0, 1]


def test_branches_stay_together_however_their_steps_took_turns() -> None:
    log = Log()
    log.add("/do/0/both", 0, 4, kind="fork")
    log.add("/do/0/both/fork/branches/0/left", 0, 4, kind="do")
    log.add("/do/0/both/fork/branches/1/right", 0, 4, kind="do")
    log.add("/do/0/both/fork/branches/0/left/do/0/one", 0, 2)
    log.add("/do/0/both/fork/branches/1/right/do/0/uno", 0, 3)
    log.add("/do/0/both/fork/branches/0/left/do/1/two", 2, 4)
    falls = log.falls(4)
    assert [name for _, name in outline(falls)] == ["both", "left", "one", "two", "right", "uno"]
    assert [each.is_parallel for each in falls.rows] == [False, True, False, False, True, False]


def test_bars_keep_the_proportions_of_time() -> None:
    log = Log()
    log.add("/do/0/a", 0, 2)
    log.add("/do/1/b", 2, 8)
    log.add("/do/2/c", 8, 10)
    falls = log.falls(10)
    assert [row(falls, name) for name in "abc"] == [(0, 200), (200, 600), (800, 200)]
    assert falls.axis.rate == 0


def test_a_bar_is_never_too_small_to_see_nor_outside() -> None:
    log = Log()
    log.add("/do/0/long", 0, 1000)
    log.add("/do/1/short", 1000, 1000)
    x, width = row(log.falls(1000), "short")
    assert width >= 4
    assert x + width <= 1000


def test_what_runs_reaches_to_now_and_has_room_to_grow() -> None:
    log = Log()
    log.add("/do/0/a", 0)
    falls = log.falls(100, is_over=False)
    [only] = falls.rows
    assert only.bar is not None
    assert only.bar.is_open
    assert only.length is None
    assert 800 < only.bar.width < 950
    # After ten seconds more it has grown by what the axis says, and stands where a new drawing would put it.
    assert falls.axis.at(after(110)) == pytest.approx(only.bar.width + 10 * falls.axis.rate, abs=0.1)


def test_days_of_waiting_leave_room_for_seconds_of_work() -> None:
    log = Log()
    log.add("/do/0/a", 0, 3)
    log.add("/do/1/sleep", 3, 300_003, kind="wait")
    log.add("/do/2/b", 300_003, 300_006)
    falls = log.falls(300_006)
    assert row(falls, "a")[1] == row(falls, "b")[1] == pytest.approx(250, abs=1)
    [gap] = falls.axis.gaps
    assert gap.length == timedelta(seconds=300_000)
    assert (gap.x, gap.width) == (pytest.approx(250, abs=1), pytest.approx(500, abs=1))


def test_short_pauses_and_pure_waiting_keep_one_scale() -> None:
    log = Log()
    for number in range(50):
        log.add("/do/0/poll", number * 10, number * 10 + 0.1)
        log.add("/do/1/pause", number * 10 + 0.1, number * 10 + 10, kind="wait")
    assert log.falls(500).axis.gaps == ()
    quick = Log()
    quick.add("/do/0/a", 0, 0.004)
    quick.add("/do/1/sleep", 0.004, 0.5, kind="wait")
    quick.add("/do/2/b", 0.5, 0.504)
    axis = quick.falls(0.504).axis
    assert axis.gaps == ()
    assert len(axis.ticks) > 2
    only = Log()
    only.add("/do/0/sleep", 0, kind="wait", status="waiting")
    assert only.falls(3600, is_over=False).axis.gaps == ()


def test_a_wait_that_goes_on_ends_at_the_axis_and_does_not_creep() -> None:
    log = Log()
    log.add("/do/0/a", 0, 3)
    log.add("/do/1/ask", 3, action="approve:1.0.0", status="waiting")
    falls = log.falls(90_000, is_over=False)
    x, width = row(falls, "ask")
    assert x + width == pytest.approx(1000)
    assert falls.axis.rate == 0


@pytest.mark.parametrize(
    ("kind", "action", "status", "shape"),
    [
        ("call", "http.request:1.0.0", "completed", Shape.WORK),
        ("call", "approve:1.0.0", "waiting", Shape.PERSON),
        ("call", "ask:1.0.0", "completed", Shape.PERSON),
        ("wait", None, "waiting", Shape.WAIT),
        ("listen", None, "completed", Shape.WAIT),
        ("run", None, "waiting", Shape.CHILD),
        ("for", None, "running", Shape.GROUP),
        ("set", None, "completed", Shape.MOMENT),
        ("wait", None, "skipped", Shape.NONE),
    ],
)
def test_waiting_and_asking_have_other_shapes_than_work(
    kind: str, action: str | None, status: str, shape: Shape
) -> None:
    log = Log()
    log.add("/do/0/x", 0, 1, kind=kind, action=action, status=status)
    assert shape_of(log.steps[0]) is shape


def test_a_long_loop_is_folded_between_its_ends() -> None:
    log = Log()
    log.loop(500)
    log.add("/do/1/after", 500, 501)
    falls = log.falls(501)
    assert [name for _, name in outline(falls)] == [
        "each",
        *["ask", "tell"] * 2,
        *[f"round {first}-{min(first + 99, 498)}" for first in range(3, 499, 100)],
        *["ask", "tell"] * 2,
        "after",
    ]
    folds = [each for each in falls.rows if each.fold]
    assert folds[0].fold is not None
    assert (folds[0].fold.steps, folds[0].fold.statuses[StepStatus.COMPLETED]) == (200, 200)
    assert folds[0].bar is not None
    assert folds[0].bar.width == pytest.approx(200, abs=3)
    assert falls.steps == 1002
    assert [each.note for each in falls.rows[1:4]] == ["round 1", "", "round 2"]


def test_a_fold_is_opened_by_its_key_and_no_other() -> None:
    log = Log()
    log.loop(500)
    [_, second, *_] = [each.fold for each in log.falls(500).rows if each.fold]
    falls = log.falls(500, opened=[second.key, "7.3", "nonsense"])
    assert len(falls.rows) == 1 + 2 * (4 + 100) + 4
    words = [each.note for each in falls.rows if each.note]
    assert "round 103" in words
    assert "round 3" not in words


@pytest.mark.parametrize("at", [3, 250, 498])
def test_what_failed_what_runs_and_what_was_chosen_is_never_folded(at: int) -> None:
    failed = Log()
    failed.loop(500, failing=at)
    assert f"round {at}" in [each.note for each in failed.falls(500).rows]
    chosen = Log()
    chosen.loop(500)
    shown = chosen.falls(500, selected=f"/do/0/each/do/1/tell#{at}")
    assert f"/do/0/each/do/1/tell#{at}" in [each.key for each in shown.rows]


def test_of_many_failures_the_latest_are_shown() -> None:
    log = Log()
    log.add("/do/0/each", 0, 300, kind="for")
    for number in range(300):
        log.add("/do/0/each/do/0/ask", number, number + 1, status="failed")
    falls = log.falls(300)
    assert len(falls.rows) < 30
    assert "round 291" in [each.note for each in falls.rows]


def test_attempts_and_jumps_back_are_passes_too() -> None:
    log = Log()
    log.add("/do/0/careful", 0, 3, kind="try")
    for number in range(3):
        log.add("/do/0/careful/try/0/call", number, number + 1, status="failed")
    log.add("/do/1/check", 3, 4)
    log.add("/do/2/again", 4, 5, kind="switch")
    log.add("/do/1/check", 5, 6)
    notes = [(each.step.name, each.note) for each in log.falls(6).rows if each.step]
    assert notes == [
        ("careful", "pass 1"),
        ("call", "attempt 1"),
        ("call", "attempt 2"),
        ("call", "attempt 3"),
        ("check", ""),
        ("again", ""),
        ("check", "pass 2"),
    ]


def test_compensations_stand_at_the_end_and_extensions_inside() -> None:
    log = Log()
    log.add("/do/0/charge", 0, 4)
    log.add("/use/extensions/0/log/before/0/note", 0, 1)
    log.add("/do/1/ship", 4, 5, status="failed")
    log.add("/do/0/charge/metadata/compensate", 5, 6)
    falls = log.falls(6)
    assert outline(falls) == [(0, "charge"), (1, "note"), (0, "ship"), (0, "compensate")]
    assert [each.step.undoes for each in falls.rows if each.step] == [False, False, False, True]


def test_what_a_rerun_took_over_has_no_bar_and_does_not_stretch_the_axis() -> None:
    log = Log()
    log.add("/do/0/before", -90_000, -89_000, status="failed")
    log.steps[0] = replace(log.steps[0], is_taken_over=True)
    log.add("/do/1/again", 0, 2)
    falls = log.falls(2)
    assert [each.bar is None for each in falls.rows] == [True, False]
    assert row(falls, "again") == (0, 1000)
    assert falls.rows[0].length == timedelta(seconds=1000)


def test_an_execution_without_steps_has_an_axis() -> None:
    falls = Log().falls(0, is_over=False)
    assert falls.rows == ()
    assert falls.axis.ticks[0].x == 0


def test_ten_thousand_steps_are_laid_out_at_once() -> None:
    log = Log()
    steps = [
        Step(
            f"/do/0/each/do/{each % 2}/s#{each // 2 + 1}",
            f"/do/0/each/do/{each % 2}/s",
            "s",
            "call",
            None,
            each // 2 + 1,
            each + 2,
            1,
            StepStatus.COMPLETED,
            after(each),
            after(each + 1),
        )
        for each in range(10_000)
    ]
    log.add("/do/0/each", 0, 10_000, kind="for")
    log.steps += steps
    began = perf_counter()
    falls = log.falls(10_000)
    assert perf_counter() - began < 2
    assert len(falls.rows) < 80


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (3.44, "3.4 s"),
        (5, "5 s"),
        (59.96, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3720, "1 h 2 min"),
        (273_600, "3 d 4 h"),
        (-1, "0 ms"),
    ],
)
def test_lengths_are_told_briefly(seconds: float, told: str) -> None:
    assert brief(timedelta(seconds=seconds)) == told
