"""The order of data flow and the meaning of each keyword, held against executions in memory."""

import json
from typing import Any

import pytest

from domain.definitions.commands import Resume
from domain.definitions.faults import Fault
from tests.factories.driver import NEW_YEAR, Execution, execute, program

STANDARD = "https://serverlessworkflow.io/spec/1.0.0/errors/"


# Data flow


def test_the_parts_of_a_step_follow_the_order_of_the_specification() -> None:
    """Each part sees exactly what the part before it left; had any two changed places, one would fail."""
    run = execute(
        """
- only:
    if: .raw == 1 and $input.raw == 1
    input: {schema: {document: {required: [raw]}}, from: "{taken: (.raw + 1)}"}
    set: {worked: "${ .taken + 1 }", input: "${ $input }", raw: "${ $task.input }"}
    output:
      as: ". + {formed: (.worked + 1), raw_output: $task.output.worked, same: ($output == .)}"
      schema: {document: {required: [formed]}}
    export:
      as: "{exported: (.formed + 1), output: $output.formed}"
      schema: {document: {required: [exported], properties: {exported: {const: 5}}}}
- after: {set: {data: "${ . }", context: "${ $context }"}}
""",
        {"raw": 1},
    )
    assert run.output == {
        "data": {
            "worked": 3,
            "input": {"taken": 2},
            "raw": {"raw": 1},
            "formed": 4,
            "raw_output": 3,
            "same": True,
        },
        "context": {"exported": 5, "output": 4},
    }


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"input": {"schema": {"document": {"required": ["taken"]}}, "from": "{taken: 1}"}}, "The input"),
        ({"output": {"schema": {"document": {"required": ["x"]}}, "as": "{y: 1}"}}, "The output"),
        (
            {"export": {"schema": {"document": {"required": ["x"]}}, "as": "{y: 1}"}},
            "What step 'only' exports",
        ),
    ],
)
def test_a_schema_that_is_not_satisfied_is_a_fault_at_the_step(part: Any, what: str) -> None:
    run = execute([{"before": {"set": {"a": 1}}}, {"only": {"set": {"b": 1}, **part}}], {})
    assert run.error["type"] == STANDARD + "validation"
    assert run.error["status"] == 400
    assert run.error["instance"] == "/do/1/only"
    assert what in run.error["detail"]


def test_a_false_condition_is_asked_before_the_schema() -> None:
    step = {"if": ".go", "input": {"schema": {"document": False}}, "set": {"a": 1}}
    assert execute([{"only": step}], {"go": False}).output == {"go": False}
    assert "instance" in execute([{"only": step}], {"go": True}).error


def test_a_skipped_step_passes_its_raw_input_on_and_ignores_its_own_then() -> None:
    run = execute(
        """
- skipped: {if: .no, input: {from: .x}, set: {a: 1}, output: {as: "1"}, export: {as: "2"}, then: end}
- next: {set: {data: "${ . }", context: "${ $context }"}}
""",
        {"x": 1},
    )
    assert run.path == ["(skipped)", "next"]
    assert run.output == {"data": {"x": 1}, "context": {}}
    [skipped, _] = run.records.values()
    assert skipped.completed == NEW_YEAR


@pytest.mark.parametrize(
    ("value", "holds"),
    [(None, False), (False, False), (0, True), (0.0, True), ("", True), ([], True), ({}, True), (True, True)],
)
def test_conditions_hold_as_in_jq(value: Any, holds: bool) -> None:
    input = {"v": value}
    assert execute([{"s": {"if": ".v", "set": {"ran": 1}}}], input).path == ["s" if holds else "(s)"]
    cases = [{"yes": {"when": ".v", "then": "end"}}]
    switched = execute([{"s": {"switch": cases}}, {"no": {"set": {"a": 1}}}], input)
    assert switched.path == (["s"] if holds else ["s", "no"])
    loop = {"for": {"in": "[1]"}, "while": ".v", "do": [{"r": {"set": {"a": 1}}}]}
    assert execute([{"l": loop}], input).path == (["l", "r"] if holds else ["l"])


def test_the_context_begins_as_the_variables_and_is_replaced_by_an_export() -> None:
    run = execute(
        """
- first: {set: {fee: "${ $context.fee }"}, export: {as: "{only: .fee}"}}
- second: {set: "$context"}
""",
        variables={"fee": {"default": 3}, "note": {"default": None}},
    )
    assert run.output == {"only": 3}
    assert execute([{"s": {"set": "$context"}}], variables={"fee": {"default": 3}}).output == {"fee": 3}
    assert execute([{"s": {"set": "$context"}}]).output == {}


@pytest.mark.parametrize("value", ["null", "false", "0", '""', "[]"])
def test_whatever_is_exported_replaces_the_context(value: str) -> None:
    run = execute([{"s": {"set": {"a": 1}, "export": {"as": value}}}, {"t": {"set": "[$context]"}}])
    assert run.output == [json.loads(value)]


def test_bare_texts_are_expressions_only_where_the_language_says_so() -> None:
    run = execute(
        """
- one: {if: .a == 1, input: {from: .}, set: {bare: .a, whole: "${ .a }"}, output: {as: ". + {o: .whole}"}}
""",
        {"a": 1},
    )
    assert run.output == {"bare": ".a", "whole": 1, "o": 1}


def test_expressions_in_data_are_never_evaluated() -> None:
    hostile = {"x": "${ 1 + 1 }", "y": ["${ $context.secret }"], "name": "{z}", "z": "secret"}
    run = execute(
        """
- keep: {set: "{data: .}"}
- pass: {set: {again: "${ .data }"}, output: {as: .again}, export: {as: .}}
- loop: {for: {in: .y}, do: [{in: {set: {item: "${ $item }", was: "${ $context }"}}}]}
- call: {call: look, with: {text: "${ .item } and ${ .was.x }"}}
""",
        hostile,
        {"call": lambda arguments: arguments},
        variables={"secret": {"default": 1}},
    )
    assert run.output == {"text": "${ $context.secret } and ${ 1 + 1 }"}


def test_the_workflow_has_an_input_and_an_output_of_its_own() -> None:
    run = execute(
        [{"s": {"set": {"got": "${ . }", "task": "${ $input }", "raw": "${ $workflow.input }"}}}],
        {"a": 1},
        input={"schema": {"document": {"required": ["a"]}}, "from": "{b: .a}"},
        output={
            "as": ". + {input: $input, same: ($output == .)}",
            "schema": {"document": {"required": ["got"]}},
        },
    )
    assert run.output == {
        "got": {"b": 1},
        "task": {"b": 1},
        "raw": {"a": 1},
        "input": {"b": 1},
        "same": True,
    }


def test_faults_of_the_workflow_itself_say_which_side() -> None:
    schema = {"schema": {"document": {"required": ["a"]}}}
    before = execute([{"s": {"set": {"b": 1}}}], {}, input=schema)
    assert (before.error["instance"], before.path) == ("/input", [])
    after = execute([{"s": {"set": {"b": 1}}}], {}, output=schema)
    assert (after.error["instance"], after.path) == ("/output", ["s"])
    assert execute([{"s": {"set": {"b": 1}}}], {}, output={"as": "error"}).error["instance"] == "/output"


# Scopes


def test_what_task_workflow_and_runtime_tell() -> None:
    run = execute(
        [
            {"pause": {"wait": "PT2S"}},
            {
                "tell": {
                    "input": {"from": ".a"},
                    "set": {
                        "task": "${ $task }",
                        "workflow": "${ $workflow | del(.definition) }",
                        "name": "${ $workflow.definition.document.name }",
                        "runtime": "${ $runtime }",
                    },
                }
            },
        ],
        {"a": 1},
    )
    assert run.output["task"] == {
        "name": "tell",
        "reference": "/do/1/tell",
        "definition": {"input": {"from": ".a"}, "set": run.output["task"]["definition"]["set"]},
        "input": {"a": 1},
        "startedAt": {
            "iso8601": "2026-01-01T00:00:02.000Z",
            "epoch": {"seconds": NEW_YEAR // 1000 + 2, "milliseconds": NEW_YEAR + 2000},
        },
    }
    assert run.output["workflow"] == {
        "id": "e-1",
        "trigger": {"type": "manual", "name": "api"},
        "input": {"a": 1},
        "startedAt": {
            "iso8601": "2026-01-01T00:00:00.000Z",
            "epoch": {"seconds": NEW_YEAR // 1000, "milliseconds": NEW_YEAR},
        },
    }
    assert run.output["name"] == "test"
    assert run.output["runtime"]["name"] == "perdure"


def test_steps_gives_the_latest_output_and_keeps_only_what_is_read() -> None:
    run = execute(
        """
- loop: {for: {in: "[1,2,3]"}, do: [{count: {set: {n: "${ $item }"}, output: {as: .n}}}, {other: {set: {big: 1}}}]}
- pause: {wait: PT1S}
- read: {set: {last: "${ $steps.count }", unborn: "${ $steps.later }"}}
- later: {if: "false", set: {a: 1}}
"""
    )
    assert run.output == {"last": 3, "unborn": None}


def test_only_steps_that_are_read_enter_the_state() -> None:
    read = program(
        '[{a: {set: {x: 1}}}, {b: {set: {x: 2}}}, {w: {wait: PT1S}}, {c: {set: {x: "${ $steps.b.x }"}}}]'
    )
    run = Execution(read)
    run.take(Resume(NEW_YEAR))
    assert run.state.steps == {"b": {"x": 2}}


def test_a_name_spelt_with_escapes_is_read_all_the_same() -> None:
    assert execute(
        [{"ab": {"set": {"x": 1}}}, {"s": {"set": {"y": '${ $steps["\\u0061b"].x }'}}}]
    ).output == {"y": 1}


def test_arguments_of_configured_actions_may_read_steps() -> None:
    actions = [{"name": "see", "uses": "look", "with": {"x": "${ $steps.first.x }", "y": 1}}]
    run = execute(
        [{"first": {"set": {"x": 7}}}, {"call": {"call": "see", "with": {"y": 2}}}],
        None,
        {"call": lambda arguments: arguments},
        actions=actions,
    )
    assert run.output == {"x": 7, "y": 2}


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


# Faults


def test_a_fault_names_its_origin_and_fails_the_steps_around_it() -> None:
    run = execute(
        """
- ok: {set: {a: 1}}
- out: {do: [{loop: {for: {in: "[1]"}, do: [{a/b~c: {set: '${ error("no") }'}}]}}]}
"""
    )
    where = "/do/1/out/do/0/loop/do/0/a~1b~0c"
    assert run.error == {
        "type": STANDARD + "expression",
        "status": 400,
        "title": "Expression failed",
        "detail": 'no. In the expression: error("no")',
        "instance": where,
    }
    statuses = {each.occurrence: (each.status, each.error) for each in run.records.values()}
    assert statuses.pop("/do/0/ok#1") == ("completed", None)
    assert set(statuses) == {"/do/1/out#1", "/do/1/out/do/0/loop#1", where + "#1"}
    assert all(each == ("failed", run.error) for each in statuses.values())


@pytest.mark.parametrize("part", ["if", "in", "while", "from", "as", "export", "set", "when", "wait", "with"])
def test_an_expression_that_fails_anywhere_fails_its_step(part: str) -> None:
    bad = "${ .a.b.c }"
    step: dict[str, Any] = {
        "if": {"if": bad, "set": {"x": 1}},
        "in": {"for": {"in": bad}, "do": [{"s": {"set": {"x": 1}}}]},
        "while": {"for": {"in": "[1]"}, "while": bad, "do": [{"s": {"set": {"x": 1}}}]},
        "from": {"input": {"from": bad}, "set": {"x": 1}},
        "as": {"output": {"as": bad}, "set": {"a": 1}},
        "export": {"export": {"as": bad}, "set": {"a": 1}},
        "set": {"set": {"x": bad}},
        "when": {"switch": [{"c": {"when": bad, "then": "end"}}]},
        "wait": {"wait": bad},
        "with": {"call": "look", "with": {"x": bad}},
    }[part]
    run = execute([{"bad": step}], {"a": 1})
    assert (run.error["type"], run.error["instance"]) == (STANDARD + "expression", "/do/0/bad")
    assert [(each.occurrence, each.status) for each in run.records.values()] == [("/do/0/bad#1", "failed")]


@pytest.mark.parametrize("source", ["empty", ".[]", "1, 2"])
def test_an_expression_has_exactly_one_result(source: str) -> None:
    assert execute([{"s": {"set": source}}], [1, 2]).error["status"] == 400


@pytest.mark.parametrize(
    "step",
    [
        {"set": {"v": "${ $context.v + . }"}},
        {"input": {"from": "$context.v + ."}, "set": {"a": 1}},
        {"set": {"v": 1}, "output": {"as": "$context.v + $input"}},
        {"set": {"v": 1}, "export": {"as": "$context.v + $input"}},
        {"call": "look", "with": {"v": "${ $context.v + . }"}},
        {"for": {"in": "[$context.v, .]"}, "do": [{"s": {"set": {"a": 1}}}]},
    ],
)
def test_a_value_too_large_for_the_state_is_a_fault(step: Any) -> None:
    half = "x" * 70_000
    run = execute([{"big": step}], half, variables={"v": {"default": half}})
    assert (run.error["title"], run.error["instance"]) == ("Value too large", "/do/0/big")
    assert "128 KB" in run.error["detail"]


def test_a_value_that_just_fits_passes() -> None:
    text = "x" * (128 * 1024 - 2)
    assert execute([{"s": {"set": "."}}], text).output == text
    assert execute([{"s": {"set": "."}}], text + "x").error["instance"] == "/input"


def test_large_outputs_stay_out_of_the_log_but_for_calls() -> None:
    big = "x" * 5000
    run = execute(
        "[{s: {set: {a: '${ . }'}}}, {c: {call: look}}, {e: {do: [{n: {set: '.', then: end}}]}}]",
        big,
        {"c": big},
    )
    assert {each.name: each.output for each in run.records.values()} == {
        "s": None,
        "c": big,
        "e": None,
        "n": None,
    }


def test_faults_of_actions_are_taken_over_with_the_place() -> None:
    fault = Fault("communication", 404, "Not Found", "no such pet")
    run = execute("[{a: {do: [{b: {call: look}}]}}]", None, {"b": fault})
    assert run.error == {
        "type": STANDARD + "communication",
        "status": 404,
        "title": "Not Found",
        "detail": "no such pet",
        "instance": "/do/0/a/do/0/b",
    }
