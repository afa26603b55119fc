"""Fuel decides only where a walk pauses, never what comes of it."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.definitions.commands import CallAction, Finish, Resume, Stop, Stopped, Yield
from domain.definitions.expressions import ACTIVATION_FUEL, Meter
from domain.definitions.interpreter import advance
from domain.errors import Invalid
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

# Generated definitions

EXPRESSIONS = st.sampled_from(
    [
        ".",
        ".n? // 7",
        *["{n: ((.n? // 0) + 1)}"] * 4,
        "[.. | numbers] | add // 0",
        "$context",
        "$input",
        '$context | if type == "object" then . + {k: 1} else . end',
        "[range(3)]",
        "if . == {n: 3} then error else . end",
        "null",
        "true",
        "$task.input",
        "$steps.origin",
    ]
)
THEN = st.sampled_from([*["continue"] * 6, "exit", "end", "s0", "s1"])


def _optional(**parts: Any) -> Any:
    return st.fixed_dictionaries({}, optional=parts)


FLOW = _optional(
    **{
        "if": EXPRESSIONS,
        "input": st.builds(lambda e: {"from": e}, EXPRESSIONS),
        "output": st.builds(lambda e: {"as": e, "schema": {"document": {"maxProperties": 3}}}, EXPRESSIONS),
        "export": st.builds(lambda e: {"as": e}, EXPRESSIONS),
        "then": THEN,
    }
)
LEAF = st.one_of(
    st.builds(lambda e: {"set": {"n": "${ " + e + " }"}}, EXPRESSIONS),
    st.builds(lambda e: {"set": e}, EXPRESSIONS),
    st.builds(
        lambda e, then: {"switch": [{"x": {"when": e, "then": then}}, {"d": {"then": "continue"}}]},
        EXPRESSIONS,
        THEN,
    ),
    st.builds(lambda e: {"call": "look", "with": {"v": "${ " + e + " }"}}, EXPRESSIONS),
    st.just({"wait": "PT1S"}),
    st.just({"wait": "PT2S", "timeout": {"after": "PT1S"}}),
    st.just({"raise": {"error": {"type": "runtime", "status": 500}}}),
    st.just({"set": ".", "metadata": {"compensate": {"call": "look"}}}),
)


def _blocks(steps: Any) -> Any:
    return st.lists(steps, min_size=1, max_size=3).map(_named)


def _named(steps: list[Any]) -> list[Any]:
    return [{f"s{index}": step} for index, step in enumerate(steps)]


def _with_flow(work: Any) -> Any:
    return st.builds(lambda flow, work: {**flow, **work}, FLOW, work)


STEP = st.recursive(
    _with_flow(LEAF),
    lambda inner: _with_flow(
        st.builds(lambda body: {"do": body}, _blocks(inner))
        | st.builds(
            lambda e, body, on: {"for": {"in": e}, "do": body, **on},
            st.sampled_from(["[1, 2]", "[]", "[range(4)]"]),
            _blocks(inner),
            _optional(**{"while": EXPRESSIONS}),
        )
        | st.builds(
            lambda branches, compete: {"fork": {"branches": branches, "compete": compete}},
            _blocks(inner),
            st.booleans(),
        )
        | st.builds(
            lambda body, catch: {"try": body, "catch": catch},
            _blocks(inner),
            _optional(
                when=EXPRESSIONS,
                do=_blocks(inner),
                retry=st.sampled_from([{"limit": {"attempt": {"count": 1}}}, {"delay": "PT1S"}]),
            ),
        )
    ),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(_blocks(STEP), st.sampled_from([{"n": 1}, None, [1, 2]]), st.integers(50, 400))
def test_little_fuel_and_much_fuel_do_the_same(do: list[Any], input: Any, fuel: int) -> None:
    try:
        made = program([{"origin": {"set": {"n": "${ .n? // 0 }"}}}, *do])
    except Invalid:
        return
    much, little = (_run(made, input, each) for each in (None, fuel))
    assert little.commands == much.commands
    assert little.state == much.state
    assert little.records == much.records


def _run(made: Any, input: Any, fuel: int | None) -> Execution:
    run = Execution(made, input, _Same(), fuel=fuel, budget=60)
    return run.run()


class _Same(dict[str, Any]):
    """Every call answers its arguments."""

    def __missing__(self, name: str) -> Any:
        return lambda arguments: arguments


@pytest.mark.parametrize("fuel", [50, 90, 150, 250, 2000])
def test_the_example_with_little_fuel(fuel: int) -> None:
    much = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS).run()
    little = Execution(example(), EXAMPLE_INPUT, EXAMPLE_ANSWERS, fuel=fuel).run()
    assert (little.commands, little.records, little.state) == (much.commands, much.records, much.state)
    assert little.yields > (0 if fuel < 1000 else -1)


@pytest.mark.parametrize("fuel", range(50, 700, 50))
def test_a_cancellation_between_two_activations_ends_cleanly(fuel: int) -> None:
    run = Execution(example(), EXAMPLE_INPUT)
    step = advance(run.program, run.state, Resume(NEW_YEAR), Meter(fuel))
    run.state = step.state
    under_way = [command for command in step.commands if isinstance(command, CallAction)]
    given = run.cancel()
    for command in under_way:
        assert given == [Stop(command.occurrence)]
        given = run.take(Stopped(NEW_YEAR, command.occurrence))
    assert given == [Finish(ExecutionStatus.CANCELLED)]
    open_before = {each.occurrence for each in step.records if each.completed is None}
    assert {each.occurrence for each in run.told} >= open_before
    assert {each.status for each in run.told} <= {"cancelled"}


HARD = [{"easy": {"set": {"n": 1}}}, {"hard": {"set": {"n": "${ [range(2000)] | length }"}}}]


def test_a_step_beyond_the_meter_yields_until_somebody_is_patient() -> None:
    run = Execution(program(HARD))
    first = advance(run.program, run.state, Resume(NEW_YEAR), Meter(1000))
    assert (first.commands, first.progressed) == ([Yield()], True)
    again = advance(run.program, first.state, Resume(NEW_YEAR), Meter(1000))
    assert (again.commands, again.progressed) == ([Yield()], False)
    assert again.state == first.state
    patient = advance(run.program, again.state, Resume(NEW_YEAR), Meter(1000), patient=True)
    [finish] = patient.commands
    assert isinstance(finish, Finish)
    assert finish.error is not None
    assert (finish.error["title"], finish.error["instance"]) == ("Step too costly", "/do/1/hard")
    assert [(each.occurrence, each.status) for each in patient.records] == [("/do/1/hard#1", "failed")]
    enough = advance(run.program, again.state, Resume(NEW_YEAR), Meter(ACTIVATION_FUEL), patient=True)
    assert enough.commands == [Finish(ExecutionStatus.COMPLETED, {"n": 2000})]


def test_patience_begins_with_a_whole_meter() -> None:
    """A step is too costly only when it had all the fuel to itself."""
    run = Execution(program(HARD))
    fuel = 6000
    while True:
        step = advance(run.program, run.state, Resume(NEW_YEAR), Meter(fuel), patient=True)
        if step.commands == [Yield()]:
            assert step.progressed
            return
        assert isinstance(step.commands[0], Finish)
        assert step.commands[0].error is None, "the first step's fuel was held against the second"
        fuel -= 50


SCHEMA = {"document": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}}
LARGE = [{"a": "x"}] * 8000


@pytest.mark.parametrize(
    "step",
    [
        {"set": "$context.large"},
        {"input": {"from": "$context.large"}, "set": {"a": 1}},
        {"input": {"schema": SCHEMA, "from": "1"}, "set": "$context.large"},
        {"set": {"a": 1}, "output": {"as": "$context.large"}},
        {"set": {"a": 1}, "export": {"as": "$context"}},
        {"call": "look", "with": {"x": "${ $context.large }"}},
        {"call": "look", "output": {"as": "$context.large | length"}},
        {"for": {"in": "$context.large.l"}, "while": "false", "do": [{"s": {"set": {"a": 1}}}]},
    ],
)
def test_passing_large_values_on_is_paid_for(step: Any) -> None:
    """Measuring takes time too: a hundred such steps in one activation would block a worker for seconds."""
    run = execute([{"big": step}], LARGE, {"big": 1}, variables={"large": {"default": {"l": LARGE}}})
    assert run.finish is not None
    paid = Execution(program([{"big": step}], variables={"large": {"default": {"l": LARGE}}}), LARGE)
    meter = Meter()
    advance(paid.program, paid.state, Resume(NEW_YEAR), meter)
    begin = Meter()
    advance(program("[{a: {wait: PT1S}}]"), paid.state, Resume(NEW_YEAR), begin)
    assert meter.spent - begin.spent > 8000


@pytest.mark.parametrize("part", ["input", "output", "export"])
def test_schemas_are_paid_for_by_their_own_count(part: str) -> None:
    """A small value can be dear to check."""
    dear = {"type": "array", "items": {"allOf": [{"type": "integer", "maximum": n} for n in range(100, 200)]}}
    spent = []
    for schema in ({}, dear):
        step = {"set": ".", part: {"schema": {"document": schema}, "from" if part == "input" else "as": "."}}
        run = Execution(program([{"s": step}]), [1] * 50)
        meter = Meter()
        [finish] = advance(run.program, run.state, Resume(NEW_YEAR), meter).commands
        assert finish == Finish(ExecutionStatus.COMPLETED, [1] * 50)
        spent.append(meter.spent)
    assert spent[1] - spent[0] > 5000


def test_a_long_loop_of_plain_steps_pauses() -> None:
    run = execute(
        "[{l: {for: {in: '[range(2000)]'}, do: [{s: {switch: [{d: {then: continue}}]}}]}}]",
        fuel=ACTIVATION_FUEL,
    )
    assert run.finish is not None
    assert run.yields >= 1
