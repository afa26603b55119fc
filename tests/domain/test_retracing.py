"""Continued from any of its steps, with the same answers, an execution comes out as it did."""

import json
from typing import Any

import pytest

from domain.definitions.commands import CallAction, Command, Resume, Sleep, StepRecord, command_as_json
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import begin
from domain.definitions.program import Program
from domain.definitions.recall import NotRecalled
from domain.definitions.retracing import Leg, LogIncomplete, Retraced, retrace
from domain.definitions.state import State
from domain.executions import ExecutionStatus
from tests.factories.driver import (
    A_CALL,
    EXAMPLE_ANSWERS,
    EXAMPLE_INPUT,
    NEW_YEAR,
    Execution,
    Slow,
    example,
    execute,
    program,
)

DAY = 86_400_000
LATER = NEW_YEAR + 30 * DAY


def retraced(
    run: Execution, *occurrences: str, log: dict[str, StepRecord] | None = None, at: int = LATER
) -> Retraced:
    beginning = begin(
        run.program,
        input=run.input,
        execution={"id": "e-1", "trigger": {"type": "manual", "name": "api"}},
        now=NEW_YEAR,
        budget=1_000_000,
    )
    legs = [Leg(occurrence, f"e-{n}", at + (n - 2) * DAY) for n, occurrence in enumerate(occurrences, 2)]
    return retrace(run.program, beginning, run.records if log is None else log, legs, Meter(2_000_000))


def continued(run: Execution, found: Retraced, answers: dict[str, Any]) -> Execution:
    """As the engine does it: the state travels as JSON, what begins again is asked, then the walk goes on."""
    again = Execution(run.program, run.input, answers, now=found.state.now)
    again.state = State.from_json(json.loads(json.dumps(found.state.as_json())))
    again._await(found.commands)
    again._await(again.take(Resume(found.state.now)))
    while again.finish is None:
        again.step()
    return again


def asked(commands: list[Command]) -> list[tuple[str, Any]]:
    return [(each.occurrence, each.arguments) for each in commands if isinstance(each, CallAction)]


FORKS = """
- both:
    fork:
      branches:
        - left:
            do:
              - l1: {call: look, with: {id: 1}, output: {as: "{n: (.n + 1)}"}, export: {as: "{left: .n}"}}
              - l2: {call: look, with: {id: "${ .n }"}, output: {as: .n}}
        - right:
            do:
              - r1: {call: quick, with: {note: a}, output: {as: .n}, export: {as: "$context + {right: .}"}}
              - nap: {wait: PT3S}
              - r2: {call: look, with: {id: "${ . }"}, output: {as: .n}}
- sum: {set: {all: "${ . }", context: "${ $context }"}}
"""
FORK_ANSWERS = {
    "l1": Slow(500, {"n": 1}),
    "l2": Slow(2_000, {"n": 2}),
    "r1": Slow(700, {"n": 3}),
    "r2": Slow(900, {"n": 4}),
}
PROGRAMS: dict[str, tuple[Program, Any, dict[str, Any]]] = {
    "every kind of step": (example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS),
    "forks": (program(FORKS), None, FORK_ANSWERS),
    "handlers": (
        program(
            """
- before: {call: quick, with: {note: x}, export: {as: "{kept: .n}"}}
- risky:
    try:
      - fetch: {call: look, with: {id: "${ $context.kept }"}}
    catch:
      as: problem
      retry: {delay: PT1S, limit: {attempt: {count: 1}}}
      do:
        - tell: {call: quick, with: {note: "${ $problem.detail }"}}
- patient:
    try:
      - ask: {call: approve, with: {title: x}, timeout: {after: PT1S}}
    catch: {do: [{escalate: {call: quick, with: {note: "${ $error.status | tostring }"}}}]}
- last: {set: {n: "${ .n }", kept: "${ $context.kept }", fetched: "${ $steps.tell.n }"}}
"""
        ),
        {"n": 0},
        {
            "before": {"n": 7},
            "fetch": Fault("communication", 503, "Unavailable", "away"),
            "tell": {"n": 8},
            "ask": Slow(5_000, {}),
            "escalate": {"n": 9},
        },
    ),
    "functions": (
        program(
            """
- one: {call: hello, with: {who: Ada}}
- two: {call: hello, with: {who: "${ .note }"}}
- three: {set: "${ {last: .} }"}
""",
            use={"functions": {"hello": {"call": "quick", "with": {"note": "${ .who }"}}}},
        ),
        None,
        {"hello": [{"note": "a"}, {"note": "b"}]},
    ),
    "jumps": (
        program(
            """
- count: {set: {n: "${ (.n // 0) + 1 }"}}
- look at it: {call: look, with: {id: "${ .n }"}, output: {as: "{n: .n}"}}
- again: {switch: [{more: {when: .n < 3, then: count}}, {enough: {then: done}}]}
- done: {set: {n: "${ .n }"}}
"""
        ),
        {},
        {"look at it": lambda arguments: {"n": arguments["id"]}},
    ),
}


def ran(name: str) -> Execution:
    defined, data, answers = PROGRAMS[name]
    return Execution(defined, data, dict(answers)).run()


@pytest.mark.parametrize("name", PROGRAMS)
def test_from_every_step_it_comes_out_the_same(name: str) -> None:
    run = ran(name)
    _, _, answers = PROGRAMS[name]
    for occurrence, record in run.records.items():
        found = retraced(run, occurrence)
        left = dict(answers)
        for step, given in answers.items():  # a list of answers goes on behind those the log has
            if isinstance(given, list):
                begun = {o for o, _ in asked(found.commands)}
                told = [o for o, each in found.records.items() if each.name == step and each.kind == "call"]
                left[step] = given[len([o for o in told if o not in begun]) :]
        again = continued(run, found, left)
        assert again.output == run.output, occurrence
        entered = {*found.records}
        assert record.occurrence not in entered
        assert {*entered, *again.records} == {*run.records}, occurrence
        once = [o for o, _ in asked(again.commands)]
        anew = [*(o for o, _ in asked(found.commands)), *once]
        assert len(anew) == len(set(anew))
        known = dict(asked(run.commands))
        assert all(known[o] == arguments for o, arguments in asked(again.commands)), occurrence


def test_what_is_entered_before_is_answered_and_what_follows_is_asked() -> None:
    run = ran("handlers")
    found = retraced(run, "/do/2/patient#1")
    assert found.commands == []
    assert [each.name for each in found.records.values() if each.kind == "call"] == [
        "before",
        "fetch",
        "fetch",
        "tell",
    ]
    assert found.state.execution["id"] == "e-2"
    assert found.state.execution["started"] == NEW_YEAR


def test_another_branch_goes_on_with_its_answer_or_begins_again() -> None:
    run = ran("forks")
    right = "/do/0/both/fork/branches/1/right/do"
    # `l2` was under way when `nap` began; its answer is in the log, so it is not asked again.
    found = retraced(run, f"{right}/1/nap#1")
    assert found.commands == []
    assert found.records["/do/0/both/fork/branches/0/left/do/1/l2#1"].status == "running"
    assert "nap" not in {each.name for each in found.records.values()}
    # Without an answer it begins again, with what it has to shape.
    log = dict(run.records)
    l2 = "/do/0/both/fork/branches/0/left/do/1/l2#1"
    log[l2] = StepRecord(
        **{
            name: getattr(log[l2], name)
            for name in StepRecord.__slots__
            if name not in ("status", "completed", "output")
        },
        status="cancelled",  # type: ignore[arg-type]
        completed=log[l2].started + 1,
    )
    found = retraced(run, f"{right}/1/nap#1", log=log)
    [command] = found.commands
    assert isinstance(command, CallAction)
    assert (command.occurrence, command.shaping is not None) == (l2, True)
    assert found.state.frames[found.state.pending[l2]].started == LATER
    again = continued(run, found, FORK_ANSWERS)
    assert again.output == run.output


def test_a_wait_beside_it_keeps_what_was_left_of_it() -> None:
    run = execute(
        """
- both:
    fork:
      branches:
        - nap: {wait: PT1H}
        - busy: {do: [{one: {call: look, with: {}}}, {two: {call: look, with: {}}}]}
- done: {set: {ok: true}}
""",
        None,
        {"one": {}, "two": {}},
    )
    log = {name: line for name, line in run.records.items() if line.name != "nap"}
    nap = next(line for line in run.records.values() if line.name == "nap")
    values = {name: getattr(nap, name) for name in StepRecord.__slots__}
    log[nap.occurrence] = StepRecord(**{**values, "status": "cancelled", "completed": nap.started + 5})
    [sleep] = retraced(run, "/do/0/both/fork/branches/1/busy/do/1/two#1", log=log).commands
    assert isinstance(sleep, Sleep)
    assert sleep.until - LATER == 3_600_000 - A_CALL


def test_no_time_passes_between_the_two() -> None:
    late = execute(
        """
- one: {call: look, with: {}}
- two: {call: look, with: {}}
""",
        None,
        {"one": {}, "two": Slow(7_200_000, {})},
        timeout={"after": "PT1H"},
    )
    assert late.finish is not None
    assert late.finish.status is ExecutionStatus.TIMED_OUT
    found = retraced(late, "/do/1/two#1")
    assert found.state.deadline == LATER + 3_600_000 - A_CALL
    assert continued(late, found, {"two": {"n": 1}}).output == {"n": 1}


def test_a_repetition_can_be_repeated() -> None:
    run = execute(
        """
- note: {set: {id: "${ $workflow.id }"}, export: {as: "{first: .id}"}}
- one: {call: look, with: {}}
- two: {set: {id: "${ $workflow.id }"}, export: {as: "$context + {second: .id}"}}
- three: {call: look, with: {}, timeout: {after: PT2S}}
- four: {set: "${ $context + {third: $workflow.id} }"}
""",
        None,
        {"one": {}, "three": {}},
    )
    second = retraced(run, "/do/2/two#1")
    again = continued(run, second, {"three": {}})
    assert again.output == {"first": "e-1", "second": "e-2", "third": "e-2"}
    log = {**{name: run.records[name] for name in second.records}, **again.records}
    third = retraced(run, "/do/2/two#1", "/do/4/four#1", log=log)
    assert third.state.now == LATER + DAY
    assert continued(run, third, {}).output == {"first": "e-1", "second": "e-2", "third": "e-3"}


def test_lines_that_are_gone_are_told() -> None:
    run = ran("handlers")
    log = {name: line for name, line in run.records.items() if line.name != "before"}
    with pytest.raises(LogIncomplete, match="/do/0/before#1"):
        retraced(run, "/do/3/last#1", log=log)
    plain = execute("- a: {set: {n: 1}}\n- b: {set: {n: 2}}")
    with pytest.raises(LogIncomplete, match="/do/0/a#1"):
        retraced(plain, "/do/1/b#1", log={})


def test_another_course_than_the_log_tells_is_refused() -> None:
    run = execute("- a: {set: {n: 1}}\n- b: {set: {n: 2}}")
    changed = dict(run.records)
    values = {name: getattr(changed["/do/0/a#1"], name) for name in StepRecord.__slots__}
    changed["/do/0/a#1"] = StepRecord(**{**values, "output": {"n": 5}})
    with pytest.raises(NotRecalled, match="'a' does not come out as its log says"):
        retraced(run, "/do/1/b#1", log=changed)


def test_what_was_done_for_each_event_is_not_in_the_log() -> None:
    run = Execution(
        program(
            """
- hear:
    listen: {to: {one: {with: {type: paid}}}}
    foreach: {item: event, do: [{tell: {call: quick, with: {note: x}}}]}
- after: {set: {n: 1}}
"""
        ),
        None,
        {"hear": {}, "tell": {"n": 1}},
    ).run()
    with pytest.raises(NotRecalled, match="for each event"):
        retraced(run, "/do/1/after#1")


def test_answered_listens_and_approvals_are_not_asked_again() -> None:
    run = Execution(
        program(
            """
- hear: {listen: {to: {one: {with: {type: paid}}}}, export: {as: "{heard: .[0]}"}}
- ask: {call: approve, with: {title: x}}
- after: {set: {heard: "${ $context.heard }", approved: "${ .approved }"}}
"""
        ),
        None,
        {"hear": {"n": 1}, "ask": {"approved": True}},
    ).run()
    again = continued(run, retraced(run, "/do/2/after#1"), {})
    assert again.output == run.output == {"heard": {"n": 1}, "approved": True}
    assert again.commands[:-1] == []


def test_compensations_kept_before_are_kept() -> None:
    run = execute(
        """
- room:
    call: look
    with: {id: 1}
    metadata: {compensate: {call: look, with: {undo: "${ .n }"}}}
- next: {set: {n: 2}}
""",
        None,
        {"room": {"n": 5}},
    )
    [kept] = retraced(run, "/do/1/next#1").state.compensations
    assert (kept.occurrence, kept.arguments) == ("/do/0/room#1!compensate", {"undo": 5})


def test_commands_survive_json() -> None:
    run = ran("forks")
    for occurrence in run.records:
        for command in retraced(run, occurrence).commands:
            json.dumps(command_as_json(command))


def test_it_ends_where_it_would_compute_for_ever() -> None:
    run = ran("every kind of step")
    beginning = begin(
        run.program, input=run.input, execution={"id": "e-1", "trigger": None}, now=NEW_YEAR, budget=10**6
    )
    with pytest.raises(NotRecalled, match="too many steps"):
        retrace(run.program, beginning, run.records, [Leg("/do/5/finish#1", "e-2", LATER)], Meter(200))
