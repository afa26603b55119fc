"""What loading makes of a stored definition."""

from datetime import timedelta
from typing import Any

import pytest

from domain.actions import Effect, Lane
from domain.definitions.expressions import Expression, Meter
from domain.definitions.program import Call, Do, For, Program, Programs, Set, Switch, Wait, load_program
from tests.factories.driver import compiled, program

DEFINITION = """
- a/b: {if: .go, set: {x: "${ $context.n }"}, then: e~f}
- skip: {if: "false", switch: [{one: {when: .x, then: end}}, {other: {then: continue}}]}
- e~f:
    for: {in: .list, each: one, at: number}
    while: $number < 3
    do:
      - inner: {do: [{pause: {wait: 90 s}}, {until: {wait: "${ .d }"}}]}
- call: {call: see, with: {a: 1, c: "x ${ .y }"}}
"""
ACTIONS = [{"name": "see", "uses": "look", "with": {"a": 0, "b": "${ .z }"}}]


def made() -> Program:
    return program(DEFINITION, actions=ACTIONS, variables={"n": {"default": 1}})


def test_steps_and_blocks_are_found_by_their_pointers() -> None:
    loaded = made()
    assert list(loaded.blocks["/do"].index) == ["a/b", "skip", "e~f", "call"]
    assert loaded.blocks.keys() == {"/do", "/do/2/e~0f/do", "/do/2/e~0f/do/0/inner/do"}
    assert loaded.steps.keys() == {
        "/do/0/a~1b",
        "/do/1/skip",
        "/do/2/e~0f",
        "/do/2/e~0f/do/0/inner",
        "/do/2/e~0f/do/0/inner/do/0/pause",
        "/do/2/e~0f/do/0/inner/do/1/until",
        "/do/3/call",
    }
    assert all(step.pointer == pointer for pointer, step in loaded.steps.items())
    assert loaded.steps["/do/0/a~1b"].name == "a/b"
    assert loaded.variables == {"n": 1}


def test_each_keyword_becomes_its_work() -> None:
    steps = {step.name: step for step in made().steps.values()}
    works: dict[str, Any] = {
        "a/b": Set,
        "skip": Switch,
        "e~f": For,
        "inner": Do,
        "pause": Wait,
        "until": Wait,
        "call": Call,
    }
    assert {name: type(step.work) for name, step in steps.items()} == works
    assert [step.kind for step in steps.values()].count("wait") == 2
    loop, pause, until = (steps[name].work for name in ("e~f", "pause", "until"))
    assert isinstance(loop, For)
    assert (loop.each, loop.at, loop.block) == ("one", "number", "/do/2/e~0f/do")
    assert pause == Wait(timedelta(seconds=90))
    assert isinstance(until, Wait)
    assert isinstance(until.duration, Expression)
    assert (steps["a/b"].then, steps["skip"].then) == ("e~f", "continue")


def test_the_arguments_of_a_step_win_over_those_of_the_configured_action() -> None:
    [step] = [step for step in made().steps.values() if step.kind == "call"]
    assert isinstance(step.work, Call)
    pinned = step.work.pinned
    assert (pinned.action, pinned.version, pinned.lane, pinned.effect) == (
        "look",
        "1.0.0",
        Lane.ACTIVITY,
        Effect.IDEMPOTENT,
    )
    assert step.work.arguments.evaluate({"y": 1, "z": 2}, {}, Meter()) == {"a": 1, "b": 2, "c": "x 1"}


@pytest.mark.parametrize(
    ("endpoint", "names"),
    [
        ("https://e.org/{a}/{b}", {"a", "b"}),
        ({"uri": "https://e.org/{a}"}, {"a"}),
        ("https://${ .host }/{a}", {"a", " .host "}),
        ("https://e.org", set()),
        ("${ .url }", {" .url "}),
    ],
)
def test_the_names_in_an_endpoint_are_read_from_the_definition(endpoint: Any, names: set[str]) -> None:
    loaded = program([{"c": {"call": "http", "with": {"method": "get", "endpoint": endpoint}}}])
    work = loaded.steps["/do/0/c"].work
    assert isinstance(work, Call)
    assert work.variables == names


def test_only_names_of_steps_that_are_read_are_remembered() -> None:
    steps = "[{a: {set: {n: 1}}}, {b: {set: {n: 2}}}, {c: {set: {n: '${ %s }'}}}]"
    assert program(steps % "$steps.a.n").remembered == {"/do/0/a"}
    assert program(steps % '$steps["b"]').remembered == {"/do/1/b"}
    assert program(steps % ".a").remembered == set()


def test_names_read_on_leaving_leave_out_the_output_itself() -> None:
    loaded = program(
        "[{a: {set: {n: 1}, output: {as: '[$output, $context]'}, export: {as: '$input'}}}, {b: {set: {n: 1}}}]"
    )
    a, b = loaded.steps["/do/0/a"].flow, loaded.steps["/do/1/b"].flow
    assert a.leaving_names == {"context", "input"}
    assert (a.keeps_output, b.keeps_output, b.leaving_names) == (False, True, set())


def test_what_was_not_validated_is_our_own_fault() -> None:
    stored = compiled("[{a: {set: {n: 1}}}]")
    stored["document"]["do"][0]["a"] = {"juggle": {}}
    with pytest.raises(ValueError, match="/do/0/a: no keyword of this engine in"):
        load_program(stored)


def test_a_version_is_loaded_once_and_the_longest_unused_forgotten() -> None:
    cache = Programs(capacity=2)
    stored = {name: compiled([{name: {"set": {"n": 1}}}]) for name in "abc"}
    first = cache.load("a", stored["a"])
    cache.load("b", stored["b"])
    assert cache.load("a", {}) is first
    cache.load("c", stored["c"])
    assert cache.get("a") is first
    assert cache.get("b") is None
    assert cache.get("c") is not None
