"""Branches side by side: their outputs, their contexts, races, and what happens to those that lose."""

from typing import Any

import pytest

from domain.definitions.commands import (
    CallAction,
    Cancelled,
    Completed,
    Failed,
    Finish,
    Resume,
    Stop,
    Stopped,
)
from domain.definitions.faults import Fault
from domain.executions import ExecutionStatus
from tests.factories.driver import NEW_YEAR, Execution, Slow, execute, program

BROKEN = Fault("communication", 503, "Down")


def statuses(run: Execution) -> dict[str, str]:
    return {each.name: each.status for each in run.records.values()}


# All branches


def test_the_outputs_stand_in_the_order_of_declaration_whoever_is_first() -> None:
    run = execute(
        """
- both:
    input: {from: .n}
    fork:
      branches:
        - slow: {call: look}
        - quick: {set: {doubled: "${ . * 2 }"}}
        - middle: {wait: PT2S, output: {as: ". + 1"}}
- after: {set: {all: "${ . }"}}
""",
        {"n": 4},
        {"slow": Slow(9000, "late")},
    )
    assert run.output == {"all": ["late", {"doubled": 8}, 5]}
    assert run.now == NEW_YEAR + 9000
    assert list(run.records) == [
        "/do/0/both#1",
        "/do/0/both/fork/branches/0/slow#1",
        "/do/0/both/fork/branches/1/quick#1",
        "/do/0/both/fork/branches/2/middle#1",
        "/do/1/after#1",
    ]


def test_branches_run_side_by_side() -> None:
    run = Execution(
        program("[{f: {fork: {branches: [{a: {call: look}}, {b: {wait: PT1S}}, {c: {call: look}}]}}}]")
    )
    given = run.take(Resume(NEW_YEAR))
    assert [type(each).__name__ for each in given] == ["CallAction", "Sleep", "CallAction"]
    assert run.state.pending.keys() == {f"/do/0/f/fork/branches/{i}/{name}#1" for i, name in enumerate("abc")}


def test_a_branch_sees_the_context_it_found_and_what_it_exported_itself() -> None:
    run = execute(
        """
- start: {set: {x: 1}, export: {as: "{shared: 0, left: 0, gone: 1}"}}
- both:
    fork:
      branches:
        - one:
            do:
              - first: {set: {n: 1}, export: {as: "$context + {left: 1, shared: 1}"}}
              - pause: {wait: PT2S}
              - look: {set: "$context"}
        - two:
            do:
              - pause: {wait: PT1S}
              - see: {set: "$context", export: {as: "$context + {right: 2, shared: 2} | del(.gone)"}}
              - nested:
                  fork:
                    branches:
                      - inner: {set: "$context", export: {as: "$context + {inner: 3}"}}
              - again: {set: "{see: ., now: $context}"}
    output: {as: "{outputs: ., context: $context}"}
"""
    )
    found = {"shared": 0, "left": 0, "gone": 1}
    second = {"shared": 2, "left": 0, "right": 2}
    assert run.output == {
        "outputs": [
            {**found, "left": 1, "shared": 1},
            {"see": [second], "now": {**second, "inner": 3}},
        ],
        # In the order of declaration: the second branch has the last word about `shared`.
        "context": {"shared": 2, "left": 1, "right": 2, "inner": 3},
    }


def test_a_key_that_a_later_branch_left_alone_keeps_what_an_earlier_one_made_of_it() -> None:
    run = execute(
        """
- f:
    fork:
      branches:
        - a: {set: {x: 1}, export: {as: "{n: true, only: 1}"}}
        - b: {set: {x: 1}, export: {as: "{n: 1, other: 2}"}}
    output: {as: $context}
""",
        variables={"n": {"default": 1}},
    )
    assert run.output == {"n": True, "only": 1, "other": 2}
    assert run.output["n"] is True


def test_a_context_that_is_no_object_replaces() -> None:
    run = execute(
        """
- f:
    fork:
      branches:
        - a: {set: {x: 1}, export: {as: "{a: 1}"}}
        - b: {set: {x: 1}, export: {as: "[2]"}}
    output: {as: $context}
"""
    )
    assert run.output == [2]


def test_all_outputs_together_may_be_too_large() -> None:
    half = "x" * 70_000
    run = execute("[{f: {fork: {branches: [{a: {set: .}}, {b: {set: .}}]}}}]", half)
    assert (run.error["title"], run.error["instance"]) == ("Value too large", "/do/0/f")


def test_a_branch_that_exits_has_ended_and_a_fork_in_a_loop_begins_anew() -> None:
    run = execute(
        """
- l:
    for: {in: "[1, 2]"}
    do:
      - f: {fork: {branches: [{a: {set: {n: "${ $item }"}, then: exit}}, {b: {do: [{c: {set: {n: 0}, then: exit}}]}}]}}
"""
    )
    assert run.output == [{"n": 2}, {"n": 0}]
    assert [each for each in run.records if "/b" in each and each.endswith("c#2")]


# Failing


def test_a_branch_that_fails_stops_the_others_and_the_fault_waits_until_they_have_ended() -> None:
    run = Execution(
        program(
            """
- t:
    try:
      - f:
          fork:
            branches:
              - a: {call: look}
              - b: {do: [{inner: {call: look}}]}
              - c: {set: {x: 1}}
    catch: {do: [{h: {set: {e: "${ $error }"}}}]}
"""
        )
    )
    run.take(Resume(NEW_YEAR))
    a, b = list(run.state.pending)
    assert run.take(Failed(NEW_YEAR + 1, a, BROKEN.as_json())) == [Stop(b)]
    assert run.state.pending == {}
    assert statuses(run) == {
        "t": "running",
        "f": "running",
        "a": "failed",
        "b": "cancelled",
        "inner": "cancelled",
        "c": "completed",
    }
    [finish] = run.take(Stopped(NEW_YEAR + 2, b))
    assert isinstance(finish, Finish)
    assert run.output == {"e": {**BROKEN.as_json(), "instance": "/do/0/t/try/0/f/fork/branches/0/a"}}
    assert statuses(run)["f"] == "failed"


@pytest.mark.parametrize("late", [Completed, Failed])
def test_what_came_of_a_stopped_command_after_all_counts_as_its_end(late: Any) -> None:
    run = Execution(program("[{f: {fork: {branches: [{a: {call: look}}, {b: {call: look}}]}}}]"))
    run.take(Resume(NEW_YEAR))
    a, b = list(run.state.pending)
    assert run.take(Failed(NEW_YEAR, a, BROKEN.as_json())) == [Stop(b)]
    run.take(late(NEW_YEAR, b, {"type": "x:y", "status": 1, "title": "other"}))
    assert run.error["status"] == 503
    assert [each.status for each in run.told if each.name == "b"] == ["running", "cancelled"]


def test_two_branches_failing_at_once_fail_the_fork_once() -> None:
    run = execute(
        "[{f: {fork: {branches: [{a: {set: '${ error(\"a\") }'}}, {b: {set: '${ error(\"b\") }'}}]}}}]"
    )
    assert run.error["instance"] == "/do/0/f/fork/branches/0/a"


# Competing


def test_the_first_branch_that_completes_gives_the_output_and_the_others_are_stopped_and_awaited() -> None:
    run = Execution(
        program(
            """
- race:
    fork:
      compete: true
      branches:
        - a: {call: look, export: {as: "{a: 1}"}}
        - b: {do: [{first: {set: {n: 0}, export: {as: "{b: 0}"}}}, {inner: {call: look}}]}
        - c: {wait: PT1H}
- after: {set: "{data: ., context: $context}"}
"""
        )
    )
    run.take(Resume(NEW_YEAR))
    a, c, b = list(run.state.pending)
    assert [a[-3:], c[-3:], b[-7:]] == ["a#1", "c#1", "inner#1"]
    assert run.take(Completed(NEW_YEAR, a, {"won": True})) == [Stop(c), Stop(b)]
    assert run.take(Stopped(NEW_YEAR, b)) == []
    assert run.take(Stopped(NEW_YEAR, b)) == [], "each ends once"
    run.take(Stopped(NEW_YEAR, c))
    assert run.output == {"data": {"won": True}, "context": {"a": 1}}
    assert statuses(run) == {
        "race": "completed",
        "a": "completed",
        "b": "cancelled",
        "first": "completed",
        "inner": "cancelled",
        "c": "cancelled",
        "after": "completed",
    }


def test_a_branch_that_fails_only_loses_the_race() -> None:
    run = execute(
        """
- race:
    fork:
      compete: true
      branches: [{a: {call: look}}, {b: {wait: PT3S, output: {as: '"b"'}}}, {c: {set: "${ error }"}}]
""",
        None,
        {"a": BROKEN},
    )
    assert run.output == "b"
    assert statuses(run) == {"race": "completed", "a": "failed", "b": "completed", "c": "failed"}


def test_when_all_fail_the_first_error_is_the_one_of_the_fork() -> None:
    run = execute(
        """
- race: {fork: {compete: true, branches: [{a: {call: look}}, {b: {call: look}}, {c: {call: look}}]}}
""",
        None,
        {"a": Slow(3000, BROKEN), "b": Slow(1000, Fault("runtime", 500, "First")), "c": Slow(2000, BROKEN)},
    )
    assert (run.error["title"], run.error["instance"]) == ("First", "/do/0/race/fork/branches/1/b")
    assert run.now == NEW_YEAR + 3000


# Ending and cancelling from inside


def test_end_in_a_branch_ends_the_workflow_once_the_others_have_ended() -> None:
    run = Execution(
        program(
            """
- f: {fork: {branches: [{a: {if: . == null, call: look, then: end}}, {b: {call: look}}]}}
- never: {set: {x: 1}}
"""
        )
    )
    run.take(Resume(NEW_YEAR))
    a, b = list(run.state.pending)
    assert run.take(Completed(NEW_YEAR, a, "end")) == [Stop(b)]
    assert not run.state.is_over
    assert run.state.next_deadline is None, "what has ended by itself is not late"
    assert run.take(Cancelled(NEW_YEAR)) == [], "nor can it be cancelled"
    assert run.take(Stopped(NEW_YEAR, b)) == [Finish(ExecutionStatus.COMPLETED, "end")]
    assert statuses(run) == {"f": "completed", "a": "completed", "b": "cancelled"}


def test_a_cancellation_stops_every_branch_and_waits_also_for_those_that_were_stopped_before() -> None:
    run = Execution(
        program(
            """
- f:
    fork:
      branches:
        - race: {fork: {compete: true, branches: [{a: {call: look}}, {b: {call: look}}]}}
        - c: {call: look}
"""
        )
    )
    run.take(Resume(NEW_YEAR))
    c, a, b = list(run.state.pending)
    assert run.take(Completed(NEW_YEAR, a, 1)) == [Stop(b)]
    assert run.take(Cancelled(NEW_YEAR)) == [Stop(c)], "b was told already"
    assert run.take(Stopped(NEW_YEAR, c)) == []
    assert run.take(Stopped(NEW_YEAR, b)) == [Finish(ExecutionStatus.CANCELLED)]
    assert statuses(run)["race"] == "cancelled"


def test_a_step_in_many_branches_at_once_has_a_key_for_each() -> None:
    definition = """
- f:
    fork:
      branches:
        - one: {for: {in: "[1, 2]"}, do: [{c: {call: look, with: {x: "${ $item }"}}}]}
        - two: {for: {in: "[3, 4]"}, do: [{c: {call: look, with: {x: "${ $item }"}}}]}
"""
    run = execute(definition, None, {"c": [1, 2, 3, 4]})
    keys = [each.occurrence for each in run.commands if isinstance(each, CallAction)]
    assert len(set(keys)) == len(keys) == 4
