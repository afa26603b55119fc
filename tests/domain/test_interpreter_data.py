"""How data enters, passes and leaves steps and the workflow, and which names expressions see."""

import json
from typing import Any

import pytest

from domain.definitions.commands import Resume
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
