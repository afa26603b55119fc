"""How the interpreter takes answers that are repeated, wrong or too late, and what it keeps and tells meanwhile."""

import json
from typing import Any

import pytest

from domain.definitions.commands import (
    Cancelled,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    Stop,
    Stopped,
)
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import advance
from domain.executions import ExecutionStatus
from tests.factories.driver import (
    EXAMPLE_ANSWERS,
    EXAMPLE_INPUT,
    NEW_YEAR,
    Execution,
    example,
    execute,
    program,
)

# Events that were not expected


def moments() -> list[tuple[Execution, list[Any]]]:
    """The example after 0, 1, 2 … events, each with the commands that are open then."""
    events = 0
    found = []
    while True:
        run = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS)
        open_commands: list[Any] = []
        for number in range(events):
            event = Resume(run.now) if number == 0 else run.answer(open_commands.pop(0))
            open_commands += run.take(event)
            if run.finish is not None:
                found.append((run, []))
                return found
        found.append((run, open_commands))
        events += 1


def test_the_example_runs_through_everything() -> None:
    run = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS).run()
    assert run.output == {"done": True, "first": 0}
    assert {type(command).__name__ for command in run.commands} == {"CallAction", "Sleep", "Finish"}
    assert {each.status for each in run.records.values()} == {"completed", "skipped"}
    assert len(moments()) == 8


@pytest.mark.parametrize("stage", range(8))
def test_answers_nobody_waits_for_change_nothing(stage: int) -> None:
    run, _ = moments()[stage]
    before = {**run.state.as_json(), "now": 0}
    strange: list[Event] = [
        Completed(run.now, "/do/9/none#1", {"x": 1}),
        Failed(run.now, "/do/1/each/do/1/fetch#99", Fault("runtime", 500, "x").as_json()),
    ]
    if stage:
        strange.append(Resume(run.now))
        for event in strange:
            assert run.take(event) == []
            assert {**run.state.as_json(), "now": 0} == before


@pytest.mark.parametrize("repeated", ["completed", "failed"])
def test_the_second_answer_to_a_command_is_ignored(repeated: str) -> None:
    run = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS)
    waiting = run.take(Resume(run.now))
    while run.finish is None:
        answer = run.answer(waiting.pop(0))
        waiting += run.take(answer)
        again = answer if repeated == "completed" else Failed(run.now, answer.occurrence, {})  # type: ignore[union-attr]
        assert run.take(again) == []
    assert run.output == {"done": True, "first": 0}


@pytest.mark.parametrize("stage", range(8))
def test_a_cancellation_ends_at_any_moment_once(stage: int) -> None:
    run, open_commands = moments()[stage]
    was_over = run.finish is not None
    told = len(run.told)
    open_steps = {each.occurrence for each in run.records.values() if each.completed is None}
    assert bool(open_steps) == (0 < stage < 7)
    given = run.cancel()
    if was_over:
        assert given == []
        assert len(run.told) == told
        return
    assert {each.occurrence: each.status for each in run.told[told:]} == dict.fromkeys(
        open_steps, "cancelled"
    )
    assert given == ([Stop(each.occurrence) for each in open_commands] or [Finish(ExecutionStatus.CANCELLED)])
    assert run.cancel() == []
    for command in open_commands:
        ended = run.answer(command) if stage % 2 else Stopped(run.now, command.occurrence)
        assert run.take(ended) == [Finish(ExecutionStatus.CANCELLED)]
        assert run.take(ended) == []
    assert run.take(Resume(run.now)) == []
    assert run.cancel() == []


def test_nothing_of_the_data_is_kept_when_an_execution_is_over() -> None:
    run = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS).run()
    kept = run.state.as_json()
    assert all(
        not kept[each] for each in ("frames", "todo", "pending", "visits", "steps", "context", "input")
    )
    assert kept["progress"] == 100


# Progress


def test_progress_tells_the_outermost_steps_and_the_rounds_of_a_loop_there() -> None:
    run = Execution(
        program(
            """
- a: {wait: PT1S}
- b: {for: {in: "[1,2,3,4]"}, do: [{w: {wait: PT1S}}]}
- c: {do: [{d: {wait: PT1S}}, {e: {wait: PT1S}}]}
- f: {wait: PT1S, then: again}
- again: {switch: [{x: {when: $context.done, then: end}}], export: {as: "{done: true}"}, then: a}
"""
        )
    )
    seen = []
    waiting = run.take(Resume(run.now))
    while run.finish is None:
        seen.append((run.state.current_step, run.state.progress))
        waiting += run.take(run.answer(waiting.pop(0)))
    first = [(0, 0), (1, 20), (1, 25), (1, 30), (1, 35), (2, 40), (2, 40), (3, 60)]
    assert seen == first + [(step, 80) for step, _ in first]
    assert run.state.progress == 100


def test_the_step_that_failed_is_the_current_one() -> None:
    run = execute("[{a: {set: {x: 1}}}, {b: {set: {x: '${ error }'}}}, {c: {set: {x: 1}}}]")
    assert (run.state.current_step, run.state.progress) == (1, 33)


# The state


def test_a_block_does_not_keep_what_its_step_has_taken_over() -> None:
    """Otherwise each level of nesting would carry the same value twice."""
    value = "x" * 10_000
    run = Execution(program("[{a: {do: [{b: {do: [{c: {do: [{w: {wait: PT1S}}]}}]}}]}}]"), value)
    run.take(Resume(NEW_YEAR))
    # the input of the workflow, and of each of the four steps
    assert json.dumps(run.state.as_json()).count(value) == 5


def test_an_advance_with_enough_fuel_says_that_it_progressed() -> None:
    run = Execution(example(), EXAMPLE_INPUT)
    for fuel, progressed in ((10, False), (49, False), (None, True)):
        step = advance(run.program, run.state, Resume(NEW_YEAR), Meter(fuel))
        assert step.progressed is progressed
    step = advance(run.program, run.state, Cancelled(NEW_YEAR), Meter(0))
    assert step.commands == [Finish(ExecutionStatus.CANCELLED)]
