"""What a step costs does not depend on how many were walked before it. Counted in calls, so that it always holds."""

import sys
from typing import Any

import pytest

from domain.definitions.commands import CallAction, Completed, Finish, Resume
from domain.definitions.expressions import Meter
from domain.definitions.interpreter import advance, begin
from domain.definitions.program import Program
from domain.executions import ExecutionStatus
from tests.factories.driver import NEW_YEAR, program


def calls_of_each_step(made: Program, data: Any = None) -> list[int]:
    """How many functions were called to answer each command in turn."""
    state = begin(made, input=data, execution={"id": "e", "trigger": None}, now=NEW_YEAR, budget=100_000)
    state = advance(made, state, Resume(NEW_YEAR), Meter()).state
    counts: list[int] = []
    while state.pending:
        count = 0

        def counting(frame: Any, kind: str, argument: Any) -> None:
            nonlocal count
            count += kind in ("call", "c_call")

        [occurrence] = state.pending
        sys.setprofile(counting)
        try:
            step = advance(made, state, Completed(NEW_YEAR, occurrence, 1), Meter())
        finally:
            sys.setprofile(None)
        counts.append(count)
        state = step.state
    return counts


NESTED = """
- t:
    try:
      - l:
          for: {in: "[range(300)]"}
          do:
            - p: {set: {n: "${ $item }"}}
            - c: {call: look, timeout: {after: PT1M}, export: {as: "{n: $item}"}}
    catch: {retry: {limit: {attempt: {count: 1}}}}
"""


@pytest.mark.parametrize(
    "definition", [[{f"s{index}": {"call": "quick"}} for index in range(400)], NESTED], ids=["long", "loop"]
)
def test_a_late_step_costs_what_an_early_one_does(definition: Any) -> None:
    counts = calls_of_each_step(program(definition))
    assert len(counts) >= 300
    assert max(counts[10:-1]) <= 1.1 * min(counts[10:-1])


def test_a_branch_costs_little_more_among_many() -> None:
    def cost(branches: int) -> float:
        fork = [{f"b{index}": {"do": [{"c": {"call": "look"}}]}} for index in range(branches)]
        made = program([{"f": {"fork": {"branches": fork}}}])
        state = begin(made, input=None, execution={"id": "e", "trigger": None}, now=NEW_YEAR)
        step = advance(made, state, Resume(NEW_YEAR), Meter())
        count = 0

        def counting(frame: Any, kind: str, argument: Any) -> None:
            nonlocal count
            count += kind in ("call", "c_call")

        for command in [each for each in step.commands if isinstance(each, CallAction)]:
            event = Completed(NEW_YEAR, command.occurrence, 1)
            sys.setprofile(counting)
            step = advance(made, step.state, event, Meter())
            sys.setprofile(None)
        assert isinstance(step.commands[-1], Finish)
        return count / branches

    assert cost(100) <= 1.3 * cost(10)


def test_a_long_loop_is_walked_to_its_end() -> None:
    made = program("[{l: {for: {in: '[range(20000)]'}, do: [{s: {set: {n: '${ $index }'}}}]}}]")
    state = begin(made, input=None, execution={"id": "e", "trigger": None}, now=NEW_YEAR, budget=20_001)
    step = advance(made, state, Resume(NEW_YEAR), Meter())
    [finish] = step.commands
    assert finish == Finish(ExecutionStatus.COMPLETED, {"n": 19_999})
    assert step.state.occurrences == 20_001
