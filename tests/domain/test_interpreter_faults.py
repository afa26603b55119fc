"""What goes wrong in a definition is a fault with its place, and every step around it fails."""

from typing import Any

import pytest

from domain.definitions.faults import Fault
from tests.factories.driver import execute

STANDARD = "https://serverlessworkflow.io/spec/1.0.0/errors/"


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
