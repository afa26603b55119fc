"""When an execution does not succeed, what its steps did is undone, the latest first."""

from typing import Any

import pytest

from domain.definitions.commands import (
    Aborted,
    CallAction,
    Cancelled,
    Finish,
    Resume,
    Stop,
    Stopped,
    Tick,
)
from domain.definitions.faults import Fault
from domain.definitions.withheld import reading_call
from domain.executions import ExecutionStatus
from tests.factories.driver import NEW_YEAR, Execution, execute, program

DOWN = Fault("communication", 503, "Down")


def undone(run: Execution) -> list[CallAction]:
    return [
        each
        for each in run.commands
        if isinstance(each, CallAction) and each.occurrence.endswith("!compensate")
    ]


BOOKING = """
- hotel:
    input: {from: .hotel}
    call: look
    output: {as: "{id}"}
    metadata: {compensate: {call: quick, with: {cancel: "${ .id }", name: "for ${ $input }", by: "${ $context.who }"}}}
- flights:
    for: {in: $workflow.input.legs}
    do:
      - book:
          call: look
          with: {leg: "${ $item }"}
          metadata: {compensate: {call: look, with: {cancel: "${ $item }"}}}
- pay: {call: look}
"""
DATA = {"hotel": "Ritz", "legs": ["out", "back"]}
WHO = {"who": {"default": "Ada"}}
ANSWERS = {
    "hotel": {"id": 7, "more": 1},
    "book": [1, 2],
    "pay": DOWN,
    "hotel!compensate": None,
    "book!compensate": [None, None],
}


def test_on_a_fault_the_kept_calls_run_in_reverse_with_the_arguments_of_their_moment() -> None:
    run = execute(BOOKING, DATA, ANSWERS, variables=WHO)
    assert run.error == {**DOWN.as_json(), "instance": "/do/2/pay"}
    assert [(each.occurrence, each.name, each.action, each.arguments) for each in undone(run)] == [
        ("/do/1/flights/do/0/book#2!compensate", "book", "look", {"cancel": "back"}),
        ("/do/1/flights/do/0/book#1!compensate", "book", "look", {"cancel": "out"}),
        ("/do/0/hotel#1!compensate", "hotel", "quick", {"cancel": 7, "name": "for Ritz", "by": "Ada"}),
    ]


def test_one_runs_after_the_other_and_each_is_told_as_a_step() -> None:
    run = Execution(program(BOOKING, variables=WHO), DATA, ANSWERS)
    run.begin()
    while not run.state.compensating:
        run.step()
    assert len(run.state.pending) == 1
    assert run.finish is None
    while run.finish is None:
        run.step()
        assert len(run.state.pending) <= 1
    told = [each for each in run.records.values() if each.occurrence.endswith("!compensate")]
    assert [(each.pointer, each.kind, each.action, each.status, each.input) for each in told] == [
        ("/do/1/flights/do/0/book/metadata/compensate", "call", "look", "completed", {"cancel": "back"}),
        ("/do/1/flights/do/0/book/metadata/compensate", "call", "look", "completed", {"cancel": "out"}),
        (
            "/do/0/hotel/metadata/compensate",
            "call",
            "quick",
            "completed",
            {"cancel": 7, "name": "for Ritz", "by": "Ada"},
        ),
    ]
    positions = [each.position for each in run.records.values()]
    assert len(set(positions)) == len(positions)
    assert not run.state.compensating


def test_one_that_fails_is_told_and_the_others_follow() -> None:
    run = execute(
        BOOKING,
        DATA,
        {**ANSWERS, "book!compensate": [Fault("runtime", 500, "Too late"), None]},
        variables=WHO,
    )
    told = {each.occurrence: each for each in run.records.values() if "!" in each.occurrence}
    assert [each.status for each in told.values()] == ["failed", "completed", "completed"]
    failed = told["/do/1/flights/do/0/book#2!compensate"]
    assert (failed.error or {})["title"] == "Too late"
    assert (failed.error or {})["instance"] == failed.pointer
    assert run.error["title"] == "Down"


def test_a_success_undoes_nothing() -> None:
    run = execute(BOOKING, DATA, {**ANSWERS, "pay": "paid"}, variables=WHO)
    assert run.output == "paid"
    assert undone(run) == []


def test_an_error_that_is_caught_undoes_nothing() -> None:
    step = {"call": "look", "metadata": {"compensate": {"call": "quick"}}}
    run = execute(
        [{"t": {"try": [{"a": step}, {"b": {"call": "look"}}], "catch": {}}}], None, {"a": 1, "b": DOWN}
    )
    assert undone(run) == []


def test_what_was_completed_in_attempts_and_branches_that_were_given_up_is_undone_too() -> None:
    run = execute(
        """
- t:
    try:
      - a: {call: look, metadata: {compensate: {call: quick, with: {n: "${ . }"}}}}
      - b: {call: look}
    catch: {retry: {limit: {attempt: {count: 1}}}}
- race:
    fork:
      compete: true
      branches:
        - lost: {do: [{c: {call: look, metadata: {compensate: {call: quick, with: {n: "${ . }"}}}}}, {w: {wait: PT1H}}]}
        - won: {wait: PT5S}
- fail: {raise: {error: {type: "x:y", status: 500}}}
""",
        None,
        {"a": [1, 2], "b": [DOWN, 0], "c": 3, "a!compensate": [0, 0], "c!compensate": 0},
    )
    assert [each.arguments for each in undone(run)] == [{"n": 3}, {"n": 2}, {"n": 1}]


ONE = [
    {"a": {"call": "look", "metadata": {"compensate": {"call": "quick"}}}},
    {"b": {"call": "look"}},
]


def waiting_in_b(**parts: Any) -> Execution:
    run = Execution(program(ONE, **parts), None, {"a": 1})
    [call] = run.take(Resume(NEW_YEAR))
    run.take(run.answer(call))
    return run


def test_a_cancelled_execution_is_undone_once_all_has_ended_and_a_second_cancellation_changes_nothing() -> (
    None
):
    run = waiting_in_b()
    assert run.take(Cancelled(run.now)) == [Stop("/do/1/b#1")]
    assert run.state.compensating
    [undo] = run.take(Stopped(run.now, "/do/1/b#1"))
    assert isinstance(undo, CallAction)
    assert undo.occurrence == "/do/0/a#1!compensate"
    assert run.take(Cancelled(run.now)) == []
    assert run.take(Tick(run.now + 10**12)) == []
    run.answers = {"a!compensate": None}
    assert run.take(run.answer(undo)) == [Finish(ExecutionStatus.CANCELLED)]


def test_an_execution_that_is_late_is_undone() -> None:
    run = waiting_in_b(timeout={"after": "PT9S"})
    run.take(Tick(NEW_YEAR + 9000))
    [undo] = run.take(Stopped(NEW_YEAR + 9000, "/do/1/b#1"))
    assert isinstance(undo, CallAction)
    run.answers = {"a!compensate": Fault("runtime", 500, "No")}
    [finish] = run.take(run.answer(undo))
    assert isinstance(finish, Finish)
    assert finish.status is ExecutionStatus.TIMED_OUT


def test_an_output_that_does_not_fit_undoes_everything() -> None:
    run = execute(ONE, None, {"a": 1, "b": 2, "a!compensate": 0}, output={"schema": {"document": False}})
    assert run.error["instance"] == "/output"
    assert len(undone(run)) == 1


def test_who_gives_up_does_not_undo() -> None:
    run = waiting_in_b()
    [finish] = run.take(Aborted(run.now, DOWN.as_json()))
    assert isinstance(finish, Finish)


def test_arguments_that_cannot_be_evaluated_fail_the_step_that_kept_them() -> None:
    bad = {"call": "look", "metadata": {"compensate": {"call": "quick", "with": {"x": "${ .a.b }"}}}}
    run = execute([{"a": bad}], None, {"a": 1})
    assert (run.error["instance"], run.error["status"]) == ("/do/0/a", 400)
    assert undone(run) == []


@pytest.mark.parametrize("shaping", [True, False])
def test_the_arguments_see_the_shaped_output_wherever_it_was_shaped(shaping: bool) -> None:
    step = {
        "call": "look",
        "output": {"as": "{n: (.n + 1)}"},
        "metadata": {"compensate": {"call": "quick", "with": {"n": "${ .n }"}}},
    }
    run = execute(
        [{"a": step}, {"b": {"raise": {"error": {"type": "x:y", "status": 500}}}}],
        None,
        {"a": {"n": 1}, "a!compensate": 0},
        shaping=shaping,
    )
    assert [each.arguments for each in undone(run)] == [{"n": 2}]


def test_secrets_are_read_where_the_call_is_made() -> None:
    step = {
        "set": {"id": 5},
        "metadata": {
            "compensate": {"call": "look", "with": {"id": "${ .id }", "key": "${ $secrets.key + .id }"}}
        },
    }
    run = execute(
        [{"a": step}, {"b": {"raise": {"error": {"type": "x:y", "status": 500}}}}],
        None,
        {"a!compensate": 0},
        use={"secrets": ["key"]},
    )
    [command] = undone(run)
    assert command.arguments == {"id": 5, "key": "${ $secrets.key + .id }"}
    assert command.withheld is not None
    assert command.withheld.value == {"id": 5}
    call = reading_call(run.program, command)
    assert call is not None
    assert call.secrets == {"key"}


LOOP = """
- each:
    for: {in: "[range(6)]"}
    do:
      - book: {call: look, with: {n: "${ $item }"}, metadata: {compensate: {call: quick, with: {undo: "${ .text }"}}}}
"""


@pytest.mark.parametrize(("limit", "begun"), [("MAXIMUM_KEPT", 3), ("MAXIMUM_KEPT_BYTES", 4)])
def test_a_step_that_could_not_be_undone_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, limit: str, begun: int
) -> None:
    place = f"domain.definitions.interpreter.compensating.{limit}"
    monkeypatch.setattr(place, 3 if limit == "MAXIMUM_KEPT" else 3_500)
    answers = {"book": [{"text": "x" * 1000}] * begun, "book!compensate": [None] * begun}
    run = execute(LOOP, None, answers)
    assert run.error["title"] == "Too much to undo"
    assert run.error["instance"] == "/do/0/each/do/0/book"
    assert len(undone(run)) == begun, "what was done is undone"
    asked = [each for each in run.commands if isinstance(each, CallAction) and each.name == "book"]
    assert len(asked) == 2 * begun


def test_what_is_under_way_beside_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.definitions.interpreter.compensating.MAXIMUM_KEPT", 2)
    step = "{call: look, metadata: {compensate: {call: quick}}}"
    run = execute(
        f"- all: {{fork: {{branches: [{{a: {step}}}, {{b: {step}}}, {{c: {step}}}]}}}}",
        None,
        {"a": 1, "b": 2},
    )
    assert run.error["title"] == "Too much to undo"
    assert [step.name for step in run.records.values() if step.status == "failed"] == ["all", "c"]
