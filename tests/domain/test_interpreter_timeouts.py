"""Deadlines of steps, of attempts and of the whole execution; what is late is stopped, then it fails."""

from typing import Any

import pytest

from domain.definitions.commands import (
    Completed,
    Finish,
    Resume,
    Stop,
    Stopped,
    Tick,
)
from domain.executions import ExecutionStatus
from tests.factories.driver import NEW_YEAR, Execution, Slow, execute, program

TIMEOUT = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout"
YEAR = 366 * 24 * 3600 * 1000


def begun(steps: Any, data: Any = None, **parts: Any) -> Execution:
    run = Execution(program(steps, **parts), data)
    run.take(Resume(NEW_YEAR))
    return run


# Steps


@pytest.mark.parametrize(
    ("after", "seconds"), [("PT30S", 30), ({"minutes": 1}, 60), ('${ "PT\\(.n)S" }', 7), ("2 hours", 7200)]
)
def test_a_step_has_a_deadline_from_the_moment_it_is_entered(after: Any, seconds: int) -> None:
    run = begun([{"a": {"call": "look", "timeout": {"after": after}}}], {"n": 7})
    assert run.state.next_deadline == NEW_YEAR + 1000 * seconds


def test_a_deadline_can_be_shared_by_its_name() -> None:
    run = begun([{"a": {"call": "look", "timeout": "soon"}}], use={"timeouts": {"soon": {"after": "PT3S"}}})
    assert run.state.next_deadline == NEW_YEAR + 3000


@pytest.mark.parametrize("early", [0, 999])
def test_a_tick_before_the_deadline_changes_nothing(early: int) -> None:
    run = begun([{"a": {"call": "look", "timeout": {"after": "PT1S"}}}])
    before = {**run.state.as_json(), "now": 0}
    assert run.take(Tick(NEW_YEAR + early)) == []
    assert {**run.state.as_json(), "now": 0} == before


def test_what_is_late_is_stopped_and_fails_when_it_has_ended() -> None:
    run = begun([{"a": {"call": "look", "timeout": {"after": "PT1S"}}}])
    assert run.take(Tick(NEW_YEAR + 1000)) == [Stop("/do/0/a#1")]
    assert run.finish is None
    assert run.take(Tick(NEW_YEAR + 1500)) == [], "it was told once"
    assert run.state.next_deadline == NEW_YEAR + YEAR, "and is owed no further tick"
    run.take(Stopped(NEW_YEAR + 2000, "/do/0/a#1"))
    assert run.error == {
        "type": TIMEOUT,
        "status": 408,
        "title": "Timed out",
        "detail": "Step 'a' did not end within its `timeout`",
        "instance": "/do/0/a",
    }
    [record] = run.records.values()
    assert (record.status, record.completed) == ("failed", NEW_YEAR + 2000)


def test_an_answer_in_time_and_an_ended_step_have_no_deadline() -> None:
    run = begun([{"a": {"call": "look", "timeout": {"after": "PT1S"}}}, {"b": {"call": "look"}}])
    run.take(Completed(NEW_YEAR + 1000, "/do/0/a#1", 1))
    assert run.state.next_deadline == NEW_YEAR + YEAR
    assert run.take(Tick(NEW_YEAR + 1000)) == []


def test_a_timeout_can_be_caught() -> None:
    run = execute(
        """
- t:
    try:
      - ask: {call: approve, with: {title: sure}, timeout: {after: P3D}}
    catch:
      errors: {with: {type: https://open-workflow-specification.org/spec/1.0.0/errors/timeout, status: 408}}
      do: [{escalate: {set: {escalated: "${ $error.instance }"}}}]
""",
        None,
        {"ask": Slow(10**9)},
    )
    assert run.output == {"escalated": "/do/0/t/try/0/ask"}
    assert run.now == NEW_YEAR + 3 * 24 * 3600 * 1000


def test_a_timeout_covers_all_that_happens_inside_a_step() -> None:
    run = execute(
        """
- t:
    try:
      - block:
          timeout: {after: PT4S}
          do:
            - loop:
                for: {in: "[1, 2, 3, 4, 5, 6]"}
                do: [{f: {fork: {branches: [{a: {call: look}}, {b: {wait: PT0.5S}}]}}}]
    catch: {do: [{h: {set: "${ $error.instance }"}}]}
""",
        None,
        {"a": [1, 2, 3, Slow(5000)]},
    )
    assert run.output == "/do/0/t/try/0/block"
    assert run.now == NEW_YEAR + 4000
    assert {each.name: each.status for each in run.records.values()} == {
        "t": "completed",
        "block": "failed",
        "loop": "cancelled",
        "f": "cancelled",
        "a": "cancelled",
        "b": "completed",
        "h": "completed",
    }


def test_the_outermost_of_several_late_steps_fails() -> None:
    run = begun(
        """
- outer:
    timeout: {after: PT2S}
    do:
      - inner: {try: [{a: {call: look, timeout: {after: PT2S}}}], catch: {}}
"""
    )
    assert run.take(Tick(NEW_YEAR + 2000)) == [Stop("/do/0/outer/do/0/inner/try/0/a#1")]
    run.take(Stopped(NEW_YEAR + 2000, "/do/0/outer/do/0/inner/try/0/a#1"))
    assert run.error["instance"] == "/do/0/outer"


def test_branches_are_late_each_for_itself() -> None:
    run = execute(
        """
- f:
    fork:
      branches:
        - a: {try: [{x: {wait: PT9S, timeout: {after: PT1S}}}], catch: {do: [{h: {set: '"a"'}}]}}
        - b: {try: [{x: {wait: PT9S, timeout: {after: PT1S}}}], catch: {do: [{h: {set: '"b"'}}]}}
        - c: {wait: PT2S, timeout: {after: PT3S}, output: {as: '"c"'}}
"""
    )
    assert run.output == ["a", "b", "c"]


def test_a_pause_between_attempts_counts_for_the_timeout_of_the_try() -> None:
    run = execute(
        """
- t:
    timeout: {after: PT5S}
    try: [{a: {raise: {error: {type: "x:y", status: 500}}}}]
    catch: {retry: {delay: PT2S}}
"""
    )
    assert (run.error["status"], run.error["instance"]) == (408, "/do/0/t")
    assert run.now == NEW_YEAR + 5000
    assert run.commands[-2] == Stop("/do/0/t#1!retry3")


def test_a_stop_that_a_late_step_waited_for_is_waited_for_still() -> None:
    run = begun(
        """
- f:
    timeout: {after: PT1S}
    fork: {compete: true, branches: [{a: {call: look}}, {b: {call: look}}]}
"""
    )
    a, b = list(run.state.pending)
    assert run.take(Completed(NEW_YEAR, a, 1)) == [Stop(b)]
    assert run.take(Tick(NEW_YEAR + 1000)) == []
    assert run.finish is None
    run.take(Stopped(NEW_YEAR + 1001, b))
    assert run.error["instance"] == "/do/0/f"


@pytest.mark.parametrize("value", [5, None, "soon", "-PT1S"])
def test_a_timeout_that_is_no_duration_is_a_fault(value: Any) -> None:
    run = execute([{"a": {"call": "look", "timeout": {"after": "${ .d }"}}}], {"d": value})
    assert (run.error["title"], run.error["instance"]) == ("Not a duration", "/do/0/a")
    assert "`timeout` of step 'a'" in run.error["detail"]


# The workflow


def test_an_execution_lives_a_year_unless_its_definition_says_otherwise() -> None:
    assert begun("[{a: {call: look}}]").state.next_deadline == NEW_YEAR + YEAR
    run = begun("[{a: {call: look}}]", {"n": 5}, timeout={"after": '${ "PT\\(.n)M" }'})
    assert run.state.next_deadline == NEW_YEAR + 300_000
    run = begun("[{a: {call: look}}]", timeout="t", use={"timeouts": {"t": {"after": "P1D"}}})
    assert run.state.next_deadline == NEW_YEAR + 24 * 3600 * 1000


def test_who_lives_too_long_without_a_timeout_is_told_the_limit() -> None:
    finish = execute("[{a: {wait: P200D}}, {b: {wait: P200D}}]").finish
    assert finish is not None
    assert finish.status is ExecutionStatus.TIMED_OUT
    assert "366 days" in (finish.error or {})["detail"]


def test_an_execution_that_is_late_has_timed_out_and_no_try_catches_it() -> None:
    run = begun(
        "[{t: {try: [{a: {call: look}}], catch: {do: [{h: {set: {x: 1}}}]}}}]", timeout={"after": "PT2S"}
    )
    assert run.take(Tick(NEW_YEAR + 2000)) == [Stop("/do/0/t/try/0/a#1")]
    assert run.state.next_deadline is None
    [finish] = run.take(Stopped(NEW_YEAR + 2500, "/do/0/t/try/0/a#1"))
    assert isinstance(finish, Finish)
    assert finish.status is ExecutionStatus.TIMED_OUT
    assert (finish.error or {})["type"] == TIMEOUT
    assert (finish.error or {})["instance"] == "/timeout"
    assert {each.status for each in run.records.values()} == {"cancelled"}
    assert run.state.is_over


def test_an_execution_that_ended_is_late_no_more() -> None:
    run = execute("[{a: {wait: PT1S}}]", timeout={"after": "PT2S"})
    assert run.state.next_deadline is None
    assert run.take(Tick(NEW_YEAR + 9000)) == []
