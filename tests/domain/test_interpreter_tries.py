"""Errors that are raised, caught, tried again and handled."""

from itertools import pairwise
from typing import Any

import pytest

from domain.definitions.commands import Cancelled, Completed, Finish, Resume, Sleep, Stop, Stopped
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault, same_type
from domain.definitions.interpreter import advance
from domain.errors import Invalid
from domain.executions import ExecutionStatus
from tests.factories.driver import NEW_YEAR, Execution, Slow, execute, program

STANDARD = "https://serverlessworkflow.io/spec/1.0.0/errors/"
DOWN = Fault("communication", 503, "Down")


def caught(catch: Any, error: Fault = DOWN, **more: Any) -> Execution:
    step = {"t": {"try": [{"a": {"call": "look"}}], "catch": catch}}
    return execute([step, {"z": {"set": {"went": "on", "data": "${ . }"}}}], {"in": 1}, {"a": error}, **more)


def pauses(run: Execution) -> list[int]:
    """How long the execution paused before each further attempt, in seconds; calls that fail take one."""
    return [each.until for each in run.commands if isinstance(each, Sleep)]


# Which errors are caught


@pytest.mark.parametrize(
    "filter",
    [
        {},
        {"type": STANDARD + "communication"},
        {"type": "https://open-workflow-specification.org/spec/1.0.0/errors/communication"},
        {"type": "https://open-workflow-specification.org/dsl/errors/types/communication"},
        {"type": "https://serverlessworkflow.io/dsl/errors/types/communication", "status": 503},
        {"instance": "/do/0/t/try/0/a", "title": "Down"},
    ],
)
def test_an_error_that_fits_every_field_is_caught(filter: Any) -> None:
    run = caught({"errors": {"with": filter}} if filter else {})
    assert run.output == {"went": "on", "data": {"in": 1}}
    assert [each.status for each in run.records.values()] == ["completed", "failed", "completed"]


@pytest.mark.parametrize(
    "filter",
    [
        {"type": STANDARD + "timeout"},
        {"type": STANDARD + "communication", "status": 504},
        {"type": "https://example.org/spec/1.0.0/errors/communication"},
        {"instance": "/do/0/t"},
        {"detail": "Down"},
    ],
)
def test_an_error_that_does_not_fit_fails_the_steps_around_it(filter: Any) -> None:
    run = caught({"errors": {"with": filter}, "do": [{"h": {"set": {"x": 1}}}]})
    assert run.error == {**DOWN.as_json(), "instance": "/do/0/t/try/0/a"}
    assert [each.status for each in run.records.values()] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("conditions", "is_caught"),
    [
        ({"when": "$error.status == 503"}, True),
        ({"when": "$error.status == 404"}, False),
        ({"when": "$err.status == 503 and .in == 1", "as": "err"}, True),
        ({"exceptWhen": "$error.status >= 500"}, False),
        ({"when": "true", "exceptWhen": "$error.status < 500"}, True),
    ],
)
def test_conditions_read_the_error(conditions: Any, is_caught: bool) -> None:
    run = caught(conditions)
    assert run.finish is not None
    assert (run.finish.status is ExecutionStatus.COMPLETED) == is_caught


def test_a_condition_that_fails_is_the_fault_of_the_try_and_an_outer_one_may_catch_it() -> None:
    run = execute(
        """
- outer:
    try:
      - inner: {try: [{a: {call: look}}], catch: {when: "$error.title + 1"}}
    catch: {do: [{h: {set: "${ $error }"}}]}
""",
        None,
        {"a": DOWN},
    )
    assert run.output["instance"] == "/do/0/outer/try/0/inner"
    assert run.output["type"] == STANDARD + "expression"
    assert {each.name: (each.error or {}).get("status") for each in run.records.values()} == {
        "outer": None,
        "inner": 400,
        "a": 503,
        "h": None,
    }


def test_the_innermost_try_that_admits_an_error_catches_it() -> None:
    run = execute(
        """
- one:
    try:
      - two:
          try:
            - three: {try: [{a: {call: look}}], catch: {errors: {with: {status: 404}}}}
          catch: {errors: {with: {status: 503}}, as: two, do: [{h: {set: {at: two, error: "${ $two.status }"}}}]}
      - after: {set: ". + {after: true}"}
    catch: {}
""",
        None,
        {"a": DOWN},
    )
    assert run.output == {"at": "two", "error": 503, "after": True}


def test_what_fails_in_a_handler_is_not_caught_by_its_own_try() -> None:
    run = caught({"do": [{"h": {"raise": {"error": {"type": "x:second", "status": 500}}}}]})
    assert (run.error["type"], run.error["instance"]) == ("x:second", "/do/0/t/catch/do/0/h")


def test_what_fails_when_a_try_is_left_is_not_caught_by_it() -> None:
    run = execute('[{t: {try: [{a: {set: {x: 1}}}], catch: {}, output: {as: ".x.y"}}}]')
    assert run.error["instance"] == "/do/0/t"


@pytest.mark.parametrize("part", ["input", "expression", "raise", "loop"])
def test_every_fault_of_a_step_can_be_caught(part: str) -> None:
    step: Any = {
        "input": {"input": {"schema": {"document": False}}, "set": {"x": 1}},
        "expression": {"set": "${ error }"},
        "raise": {"raise": {"error": {"type": "x:y", "status": 1}}},
        "loop": {"for": {"in": "3"}, "do": [{"s": {"set": {"x": 1}}}]},
    }[part]
    handler = [{"h": {"set": {"at": "${ $error.instance }"}}}]
    run = execute([{"t": {"try": [{"s": step}], "catch": {"do": handler}}}])
    assert run.output == {"at": "/do/0/t/try/0/s"}


def test_the_budget_of_steps_cannot_be_caught() -> None:
    forever = {"try": [{"s": {"raise": {"error": {"type": "x:y", "status": 1}}}}], "catch": {"retry": {}}}
    run = execute([{"t": forever}], budget=20)
    assert run.error["title"] == "Step budget exceeded"
    assert len(run.records) == 21


def test_what_is_too_costly_is_not_computed_again() -> None:
    step = {"try": [{"s": {"set": "${ [range(2000)] | length }"}}], "catch": {"retry": {}}}
    run = Execution(program([{"t": step}]))
    given = advance(run.program, run.state, Resume(NEW_YEAR), Meter(1000)).state
    [finish] = advance(run.program, given, Resume(NEW_YEAR), Meter(1000), patient=True).commands
    assert isinstance(finish, Finish)
    assert (finish.error or {})["title"] == "Step too costly"


def test_a_cancellation_is_not_caught() -> None:
    run = Execution(program("[{t: {try: [{a: {call: look}}], catch: {do: [{h: {set: {x: 1}}}]}}}]"))
    run.take(Resume(NEW_YEAR))
    assert run.take(Cancelled(NEW_YEAR)) == [Stop("/do/0/t/try/0/a#1")]
    assert run.take(Stopped(NEW_YEAR, "/do/0/t/try/0/a#1")) == [Finish(ExecutionStatus.CANCELLED)]


# Handlers


def test_the_handler_begins_with_the_input_of_the_try_and_its_output_is_the_one_of_the_try() -> None:
    run = execute(
        """
- t:
    input: {from: .d}
    try: [{s: {set: {lost: 1}}}, {a: {call: look}}]
    catch: {as: problem, do: [{h: {set: {given: "${ . }", status: "${ $problem.status }"}}}]}
    output: {as: "{t: .}"}
    export: {as: .}
- z: {set: "[., $context]"}
""",
        {"d": 7},
        {"a": DOWN},
    )
    output = {"t": {"given": 7, "status": 503}}
    assert run.output == [output, output]


def test_a_handled_error_is_forgotten_when_its_try_is_left() -> None:
    run = execute(
        """
- outer:
    try: [{a: {call: look}}]
    catch:
      do:
        - inner:
            try: [{b: {raise: {error: {type: "x:y", status: 1}}}}]
            catch: {do: [{h: {set: {handled: "${ $error.status }"}}}]}
            output: {as: ". + {left: $error.status}"}
""",
        None,
        {"a": DOWN},
    )
    assert run.output == {"handled": 1, "left": 503}


def test_the_error_is_seen_in_the_handler_alone() -> None:
    step = {
        "try": [{"a": {"set": "${ $error }"}}],
        "catch": {"do": [{"h": {"set": {"x": 1}}}]},
    }
    with pytest.raises(Invalid):
        program([{"t": step}])


@pytest.mark.parametrize("do", [[], [{"h": {"set": {"handled": 1}}}]])
def test_catch_then_says_where_to_go_after_an_error_alone(do: Any) -> None:
    definition = [
        {
            "t": {
                "try": [{"a": {"call": "look"}}],
                "catch": {"then": "repair", **({"do": do} if do else {})},
                "then": "fine",
            }
        },
        {"repair": {"set": {"repaired": True}, "then": "end"}},
        {"fine": {"set": {"fine": True}}},
    ]
    assert execute(definition, None, {"a": DOWN}).output == {"repaired": True}
    assert execute(definition, None, {"a": 1}).output == {"fine": True}


# Trying again


def retried(retry: Any, answers: Any, **more: Any) -> Execution:
    step = {"t": {"try": [{"a": {"call": "look", "with": {"x": "${ . }"}}}], "catch": {"retry": retry}}}
    return execute([step], 5, {"a": answers}, **more)


def test_each_attempt_walks_the_whole_list_from_its_input() -> None:
    run = execute(
        """
- t:
    try:
      - s: {set: "${ . + 1 }"}
      - a: {call: look, with: {x: "${ . }"}}
    catch: {retry: {limit: {attempt: {count: 3}}}}
""",
        1,
        {"a": [DOWN, DOWN, "done"]},
    )
    assert run.output == "done"
    assert run.path == ["t", "s", "a", "s", "a", "s", "a"]
    assert [each.input for each in run.records.values() if each.name == "a"] == [{"x": 2}] * 3
    assert run.records["/do/0/t/try/1/a#3"].status == "completed"


def test_the_count_is_of_retries_and_then_the_handler_runs() -> None:
    run = execute(
        """
- t:
    try: [{a: {call: look}}]
    catch:
      retry: {delay: PT10S, limit: {attempt: {count: 2}}}
      do: [{h: {set: {gave: up}}}]
""",
        None,
        {"a": [DOWN, DOWN, DOWN]},
    )
    assert run.path == ["t", "a", "a", "a", "h"]
    assert pauses(run) == [NEW_YEAR + 11_000, NEW_YEAR + 22_000]
    assert [each.status for each in run.told if each.name == "t"] == [
        "running",
        "waiting",
        "running",
        "waiting",
        "running",
        "completed",
    ]


@pytest.mark.parametrize(
    ("backoff", "seconds"),
    [
        (None, [3, 3, 3, 3]),
        ({"constant": {}}, [3, 3, 3, 3]),
        ({"linear": {}}, [3, 6, 9, 12]),
        ({"exponential": {}}, [3, 6, 12, 24]),
    ],
)
def test_the_pauses_grow_as_the_backoff_says(backoff: Any, seconds: list[int]) -> None:
    policy = {"delay": {"seconds": 3}, "limit": {"attempt": {"count": 4}}}
    run = retried({**policy, "backoff": backoff} if backoff else policy, [DOWN] * 4 + [1])
    ends = [NEW_YEAR, *pauses(run)]
    assert [(after - before) // 1000 - 1 for before, after in pairwise(ends)] == seconds


def test_a_pause_is_never_longer_than_an_execution_may_be() -> None:
    policy = {"delay": "P300D", "backoff": {"exponential": {}}, "limit": {"attempt": {"count": 70}}}
    step = {"t": {"try": [{"a": {"call": "look"}}], "catch": {"retry": policy}}}
    run = Execution(program([step]), None, {"a": DOWN})
    due = run.take(Resume(NEW_YEAR))
    for _ in range(141):
        if isinstance(due[0], Sleep):
            assert due[0].until - run.now <= 366 * 24 * 3600 * 1000
        due = run.take(run.answer(due[0]))
    [last] = due
    assert isinstance(last, Finish)
    assert last.status is ExecutionStatus.FAILED


def test_jitter_is_within_its_range_and_the_same_whenever_it_is_walked() -> None:
    policy = {
        "delay": "PT10S",
        "jitter": {"from": {"seconds": 1}, "to": {"seconds": 5}},
        "limit": {"attempt": {"count": 8}},
    }
    runs = [retried(policy, [DOWN] * 8 + [1]) for _ in range(2)]
    ends = [NEW_YEAR, *pauses(runs[0])]
    lengths = [after - before - 1000 for before, after in pairwise(ends)]
    assert all(11_000 <= length <= 15_000 for length in lengths)
    assert len(set(lengths)) > 4
    assert pauses(runs[0]) == pauses(runs[1])


@pytest.mark.parametrize(
    ("conditions", "attempts"),
    [
        ({"when": "$error.status == 503"}, 2),
        ({"when": "$error.status == 504"}, 1),
        ({"exceptWhen": "$error.status == 503"}, 1),
    ],
)
def test_a_policy_says_itself_which_errors_are_worth_another_attempt(conditions: Any, attempts: int) -> None:
    run = retried({**conditions, "limit": {"attempt": {"count": 1}}}, [DOWN, 1])
    assert len([each for each in run.records.values() if each.name == "a"]) == attempts


def test_no_attempt_begins_after_the_limit_of_all() -> None:
    run = retried({"delay": "PT4S", "limit": {"duration": "PT12S"}}, [DOWN] * 9)
    # Attempts end after 1, 6 and 11 seconds; the next one would begin after 15.
    assert [each.name for each in run.records.values()] == ["t", "a", "a", "a"]


def test_retries_that_were_all_a_catch_said_do_not_swallow_the_error() -> None:
    run = retried({"limit": {"attempt": {"count": 1}}}, [DOWN, DOWN])
    assert run.error == {**DOWN.as_json(), "instance": "/do/0/t/try/0/a"}
    assert run.records["/do/0/t#1"].status == "failed"


def test_an_attempt_that_takes_too_long_is_stopped_and_counts_as_failed() -> None:
    run = execute(
        """
- t:
    try: [{a: {call: look}}]
    catch: {retry: {limit: {attempt: {count: 1, duration: PT2S}}}, do: [{h: {set: "${ $error }"}}]}
""",
        None,
        {"a": [Slow(9000), Slow(8000)]},
    )
    assert (run.output["type"], run.output["status"]) == (STANDARD + "timeout", 408)
    assert run.output["instance"] == "/do/0/t"
    assert run.now == NEW_YEAR + 4000
    assert [each for each in run.commands if isinstance(each, Stop)] == [
        Stop("/do/0/t/try/0/a#1"),
        Stop("/do/0/t/try/0/a#2"),
    ]


@pytest.mark.parametrize("delay", ["PT0S", "PT1S"])
def test_an_attempt_does_not_see_the_error_of_the_one_before(delay: str) -> None:
    """Inside a handler the body of another `try` reads the error that is being handled there."""
    run = execute(
        [
            {
                "outer": {
                    "try": [{"a": {"call": "look"}}],
                    "catch": {
                        "do": [
                            {
                                "inner": {
                                    "try": [{"b": {"call": "quick", "with": {"seen": "${ $error.status }"}}}],
                                    "catch": {"retry": {"delay": delay, "limit": {"attempt": {"count": 1}}}},
                                }
                            }
                        ]
                    },
                }
            }
        ],
        None,
        {"a": DOWN, "b": [Fault("runtime", 500, "Other"), 1]},
    )
    assert [each.input for each in run.records.values() if each.name == "b"] == [{"seen": 503}] * 2


def test_a_policy_can_be_shared_by_its_name_and_computed() -> None:
    step = {"t": {"try": [{"a": {"call": "look"}}], "catch": {"retry": "often"}}}
    policy = {"delay": '${ "PT\\(.n)S" }', "limit": {"attempt": {"count": 1}}}
    run = execute([step], {"n": 6}, {"a": [DOWN, 1]}, use={"retries": {"often": policy}})
    assert pauses(run) == [NEW_YEAR + 7000]


def test_a_pause_that_is_no_duration_is_a_fault_of_the_try() -> None:
    step = {"t": {"try": [{"a": {"call": "look"}}], "catch": {"retry": {"delay": "${ .n }"}}}}
    run = execute([step], {"n": 6}, {"a": DOWN})
    assert (run.error["title"], run.error["instance"]) == ("Not a duration", "/do/0/t")


def test_a_cancellation_during_the_pause_ends_it() -> None:
    step = {"t": {"try": [{"a": {"call": "look"}}], "catch": {"retry": {"delay": "PT1H"}}}}
    run = Execution(program([step]), None, {"a": DOWN})
    [call] = run.take(Resume(NEW_YEAR))
    [sleep] = run.take(run.answer(call))
    assert isinstance(sleep, Sleep)
    assert sleep.occurrence == "/do/0/t#1!retry1"
    assert run.take(Cancelled(run.now)) == [Stop(sleep.occurrence)]
    run.take(Completed(run.now, sleep.occurrence, None))
    assert run.finish == Finish(ExecutionStatus.CANCELLED)


def test_an_attempt_leaves_nothing_of_a_fork_behind() -> None:
    run = execute(
        """
- t:
    try: [{f: {fork: {branches: [{a: {call: look}}, {b: {call: look}}]}}}]
    catch: {retry: {limit: {attempt: {count: 1}}}}
""",
        None,
        {"a": [DOWN, 1], "b": [Slow(5000), 2]},
    )
    assert run.output == [1, 2]
    assert {each.occurrence: each.status for each in run.records.values() if each.name in "ab"} == {
        "/do/0/t/try/0/f/fork/branches/0/a#1": "failed",
        "/do/0/t/try/0/f/fork/branches/1/b#1": "cancelled",
        "/do/0/t/try/0/f/fork/branches/0/a#2": "completed",
        "/do/0/t/try/0/f/fork/branches/1/b#2": "completed",
    }


# Raising


def test_a_raised_error_is_the_one_that_was_written_and_names_its_step() -> None:
    error = {"type": "https://example.org/errors/full", "status": 409, "title": "Full", "detail": "${ .why }"}
    run = execute([{"r": {"raise": {"error": error}}}], {"why": "No place left"})
    assert run.error == {**error, "detail": "No place left", "instance": "/do/0/r"}
    assert run.records["/do/0/r#1"].status == "failed"


def test_an_error_can_be_shared_by_its_name() -> None:
    full = {"type": "https://example.org/errors/full", "status": 409, "title": '${ "Full: \\(.n)" }'}
    run = execute([{"r": {"raise": {"error": "full"}}}], {"n": 3}, use={"errors": {"full": full}})
    assert (run.error["title"], run.error["instance"]) == ("Full: 3", "/do/0/r")


def test_an_error_can_be_raised_again_with_its_origin() -> None:
    error = {field: f"${{ $error.{field} }}" for field in ("type", "title", "instance")}
    run = caught({"do": [{"again": {"raise": {"error": {**error, "status": 500}}}}]})
    assert (run.error["title"], run.error["status"]) == ("Down", 500)
    assert run.error["instance"] == "/do/0/t/try/0/a"


@pytest.mark.parametrize("type", ["${ .none }", "${ 1 }"])
def test_what_is_no_error_cannot_be_raised(type: str) -> None:
    run = execute([{"r": {"raise": {"error": {"type": type, "status": 400}}}}], {})
    assert (run.error["title"], run.error["instance"]) == ("Not an error", "/do/0/r")


def test_types_mean_the_same_under_all_names_they_were_published_with() -> None:
    assert same_type(STANDARD + "timeout", "https://open-workflow-specification.org/dsl/errors/types/timeout")
    assert not same_type(STANDARD + "timeout", STANDARD + "runtime")
    assert not same_type(STANDARD + "timeout", "https://example.org/timeout")
    assert same_type("x:y", "x:y")
