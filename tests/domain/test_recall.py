"""What a step of a recorded execution saw is found again from its input and its log, exactly."""

from typing import Any

import pytest

from domain.definitions.commands import StepRecord
from domain.definitions.expressions import Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import begin
from domain.definitions.program import Program
from domain.definitions.recall import NotRecalled, Recalled, before_step
from domain.definitions.valueshapes import outline
from tests.factories.driver import (
    EXAMPLE_ANSWERS,
    EXAMPLE_INPUT,
    NEW_YEAR,
    Execution,
    Slow,
    example,
    execute,
    program,
)


def recalled(run: Execution, pointer: str, visit: int = 1) -> Recalled:
    beginning = begin(
        run.program,
        input=run.input,
        execution={"id": "e-1", "trigger": {"type": "manual", "name": "api"}},
        now=NEW_YEAR,
    )
    log: dict[str, StepRecord] = run.records
    return before_step(run.program, beginning, log, pointer, visit, Meter(500_000))


def done(program: Any = None) -> Execution:
    return Execution(program or example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS).run()


def test_the_first_step_saw_the_input() -> None:
    seen = recalled(done(), "/do/0/prepare")
    assert seen.value == EXAMPLE_INPUT
    assert seen.scope["input"] == EXAMPLE_INPUT
    assert seen.scope["context"] == {}
    assert seen.scope["steps"] == {}


def test_a_step_of_a_loop_saw_its_round() -> None:
    seen = recalled(done(), pointer_of(example(), "fetch"), 2)
    assert (seen.scope["item"], seen.scope["index"]) == (2, 1)
    assert seen.scope["context"] == {"seen": [1, 2, 3, 4]}
    assert seen.value["total"] == 3


def pointer_of(program: Program, name: str) -> str:
    return next(pointer for pointer, step in program.steps.items() if step.name == name)


def test_outputs_so_far_are_the_steps() -> None:
    seen = recalled(done(), "/do/4/ask")
    assert seen.scope["steps"]["inner"] == {"ok": True}
    assert "finish" not in seen.scope["steps"]
    assert seen.value == {"ok": True}


def test_input_from_has_been_applied() -> None:
    run = execute(
        """
- one: {set: {n: 1}, export: {as: "{kept: .n}"}}
- two: {input: {from: "{m: (.n + $context.kept)}"}, set: {m: "${ .m }"}}
"""
    )
    seen = recalled(run, "/do/1/two")
    assert seen.value == {"m": 2}
    assert seen.scope["input"] == {"m": 2}


def test_a_failed_step_and_its_handler_are_walked_again() -> None:
    run = execute(
        """
- risky:
    try:
      - fetch: {call: look, with: {id: 1}}
    catch:
      as: problem
      do:
        - tell: {set: {status: "${ $problem.status }"}}
""",
        None,
        {"fetch": Fault("communication", 503, "Unavailable", "the peer is away")},
    )
    assert recalled(run, pointer_of(run.program, "tell")).scope["problem"]["status"] == 503


def test_a_timeout_strikes_again() -> None:
    run = execute(
        """
- patient:
    try:
      - ask: {call: approve, with: {title: x}, timeout: {after: PT1S}}
    catch: {do: [{escalate: {set: {late: true}}}]}
""",
        {"n": 1},
        {"ask": Slow(5_000, {})},
    )
    assert recalled(run, pointer_of(run.program, "escalate")).scope["error"]["status"] == 408


def test_what_was_never_reached_is_told() -> None:
    run = execute("- one: {switch: [{small: {when: '. < 5', then: end}}]}\n- two: {set: {n: 2}}", 1)
    with pytest.raises(NotRecalled, match="ended before"):
        recalled(run, "/do/1/two")
    waiting = Execution(
        program("- ask: {call: approve, with: {title: x}}\n- after: {set: {n: 1}}"), None, {"ask": {}}
    )
    waiting.begin()
    with pytest.raises(NotRecalled, match="not come so far"):
        recalled(waiting, "/do/1/after")


def test_the_outline_of_a_value_is_bounded() -> None:
    value = {"a": 1, "b": [{"c": "x"}, 2], "d": None, "e": True}
    assert outline(value) == {
        "type": "object",
        "members": {
            "a": {"type": "number"},
            "b": {
                "type": "array",
                "length": 2,
                "items": {"type": "object", "members": {"c": {"type": "string"}}},
            },
            "d": {"type": "null"},
            "e": {"type": "boolean"},
        },
    }
    wide = outline({str(place): place for place in range(80)})
    assert (len(wide["members"]), wide["more"]) == (50, 30)
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    assert "items" not in str(outline(deep))[200:]
