"""What the keywords mean: set, switch, loops, and where `then` leads."""

import pytest

from tests.factories.driver import execute

STANDARD = "https://serverlessworkflow.io/spec/1.0.0/errors/"


# Set and switch


def test_set_replaces_the_data() -> None:
    assert execute([{"s": {"set": {"b": 1}}}], {"a": 1}).output == {"b": 1}
    assert execute([{"s": {"set": ".a"}}], {"a": [1]}).output == [1]


@pytest.mark.parametrize(("n", "path"), [(5, ["s", "a", "z"]), (15, ["s", "b", "z"]), (25, ["s", "b", "z"])])
def test_switch_takes_the_first_case_that_holds(n: int, path: list[str]) -> None:
    run = execute(
        """
- s: {switch: [{low: {when: .n < 10, then: a}}, {high: {when: .n > 10, then: b}}, {top: {when: .n > 20, then: z}}]}
- a: {set: {n: 0}, then: z}
- b: {set: {n: 1}}
- z: {set: {n: "${ .n }"}}
""",
        {"n": n},
    )
    assert run.path == path


def test_switch_passes_its_input_on_and_without_a_match_follows_its_own_then() -> None:
    definition = """
- s: {input: {from: .d}, switch: [{x: {when: .n == 1, then: b}}], then: c}
- b: {set: {b: "${ . }"}, then: end}
- c: {set: {c: "${ . }"}}
"""
    assert execute(definition, {"d": {"n": 1}}).output == {"b": {"n": 1}}
    assert execute(definition, {"d": {"n": 2}}).output == {"c": {"n": 2}}


def test_a_default_case_wins_over_the_own_then() -> None:
    run = execute(
        "[{s: {switch: [{x: {when: .n, then: b}}, {d: {then: exit}}], then: b}}, {b: {set: {b: 1}}}]",
        {"a": 1},
    )
    assert run.output == {"a": 1}


# Loops


def test_the_list_is_evaluated_once_and_the_last_output_is_the_result() -> None:
    run = execute(
        """
- loop:
    for: {in: .list, each: one, at: n}
    do:
      - grow: {set: {list: "${ .list + [$one * 10] }", seen: "${ (.seen // []) + [$n] }"}}
""",
        {"list": [1, 2]},
    )
    assert run.output == {"list": [1, 2, 10, 20], "seen": [0, 1]}
    assert [each for each in run.records if "grow" in each] == [
        "/do/0/loop/do/0/grow#1",
        "/do/0/loop/do/0/grow#2",
    ]


def test_an_empty_list_gives_the_input() -> None:
    run = execute("[{loop: {for: {in: '[]'}, do: [{s: {set: {a: 1}}}]}}]", {"x": 1})
    assert (run.output, run.path) == ({"x": 1}, ["loop"])
    assert run.records["/do/0/loop#1"].status == "completed"


@pytest.mark.parametrize(("most", "rounds"), [(0, 0), (1, 1), (2, 2), (9, 4)])
def test_while_is_asked_before_each_round_of_the_data_so_far(most: int, rounds: int) -> None:
    run = execute(
        """
- loop:
    for: {in: "[1, 2, 3, 4]"}
    while: .count < $input.most and $index < 4 and $item < 5
    do: [{s: {set: {count: "${ .count + 1 }", most: 0}}}]
""",
        {"count": 0, "most": most},
    )
    assert run.output["count"] == rounds


def test_inner_loops_see_the_variables_of_outer_ones_and_hide_equal_names() -> None:
    run = execute(
        """
- outer:
    for: {in: "[1, 2]", each: a}
    do:
      - inner:
          for: {in: "[$a * 10, $a * 10 + 1]", at: index}
          do: [{s: {set: {seen: "${ (.seen // []) + [[$a, $item, $index]] }"}}}]
""",
        {},
    )
    assert run.output["seen"] == [[1, 10, 0], [1, 11, 1], [2, 20, 0], [2, 21, 1]]


@pytest.mark.parametrize(
    ("items", "kind"), [("{}", "an object"), ("null", "null"), ("3", "a number"), ("true", "a bool")]
)
def test_only_a_list_can_be_walked(items: str, kind: str) -> None:
    run = execute([{"loop": {"for": {"in": items}, "do": [{"s": {"set": {"a": 1}}}]}}])
    assert run.error["title"] == "Nothing to loop over"
    assert kind in run.error["detail"]
    assert run.error["instance"] == "/do/0/loop"


# Where to go


def test_exit_ends_its_block_and_in_a_loop_its_round() -> None:
    run = execute(
        """
- block:
    do:
      - a: {set: {n: 1}}
      - b: {switch: [{leave: {when: .n == 1, then: exit}}]}
      - c: {set: {n: 2}}
- loop:
    for: {in: "[1, 2]"}
    do:
      - d: {switch: [{leave: {when: "true", then: exit}}]}
      - e: {set: {n: 3}}
- last: {set: {n: "${ .n }"}}
"""
    )
    assert run.path == ["block", "a", "b", "loop", "d", "d", "last"]
    assert run.output == {"n": 1}


def test_exit_in_the_outermost_list_ends_the_workflow() -> None:
    assert execute(
        "[{a: {switch: [{x: {when: 'true', then: exit}}]}}, {b: {set: {n: 1}}}]", {"z": 1}
    ).output == {"z": 1}


def test_end_ends_the_workflow_through_loops_and_closes_the_steps_around_it() -> None:
    run = execute(
        """
- loop:
    for: {in: "[1, 2]"}
    output: {as: '"never shaped"'}
    do: [{block: {do: [{s: {set: {n: "${ $item }"}, then: end}}]}}]
- never: {set: {n: 9}}
""",
        output={"as": "{result: .}"},
    )
    assert run.output == {"result": {"n": 1}}
    assert {each.name: each.status for each in run.records.values()} == {
        "loop": "completed",
        "block": "completed",
        "s": "completed",
    }
    assert run.state.progress == 100


def test_names_are_resolved_in_the_same_list() -> None:
    run = execute(
        """
- a:
    do:
      - x: {set: {way: [x]}, then: z}
      - y: {set: {way: "${ .way + [\\"y\\"] }"}, then: exit}
      - z: {set: {way: "${ .way + [\\"inner z\\"] }"}, then: y}
- z: {set: {way: "${ .way + [\\"outer z\\"] }"}}
"""
    )
    assert run.output == {"way": ["x", "inner z", "y", "outer z"]}


def test_backward_jumps_are_allowed_and_count_visits() -> None:
    run = execute(
        """
- count: {set: {n: "${ .n + 1 }"}}
- again: {switch: [{x: {when: .n < 3, then: count}}]}
""",
        {"n": 0},
    )
    assert run.output == {"n": 3}
    assert list(run.records) == [f"/do/{i}#{n}" for n in (1, 2, 3) for i in ("0/count", "1/again")]
    assert [each.position for each in run.records.values()] == [1, 2, 3, 4, 5, 6]


def test_an_endless_loop_ends_with_a_clear_fault() -> None:
    run = execute("[{a: {set: {n: 1}, then: a}}]", budget=50)
    assert run.error["title"] == "Step budget exceeded"
    assert "More than 50 steps" in run.error["detail"]
    assert run.error["instance"] == "/do/0/a"
    assert [each.status for each in run.records.values()] == ["completed"] * 50 + ["failed"]
