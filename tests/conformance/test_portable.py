"""Exported as pure DSL, a version satisfies the JSON Schema and does the same."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from activities.actions.registry import built_in
from domain.definitions.expressions import is_expression
from domain.definitions.portable import portable
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from tests.conformance.memory import Memory
from tests.conformance.scenario import SCENARIOS, Scenario, hold
from tests.conformance.test_schema_agreement import SCHEMA, accepted, judges

ACTIONS = built_in().specs()
RUN = [scenario for scenario in SCENARIOS if scenario.refused is None]


def exported(definition: dict[str, Any], **beside: Any) -> dict[str, Any]:
    published = publish(definition, name="scenario", namespace="tests", catalogue=ACTIONS, **beside)
    return portable(json.loads(json.dumps(published.compiled)))


@pytest.mark.parametrize("scenario", RUN, ids=str)
def test_an_export_does_the_same(scenario: Scenario) -> None:
    document = exported(scenario.definition(), actions=scenario.actions)
    if SCHEMA.is_file():
        assert accepted(document), [error.message[:200] for error in judges()[1].iter_errors(document)]
    rest = {name: value for name, value in document.items() if name not in ("document", "do")}
    error = {k: v for k, v in scenario.error.items() if k != "instance"} if scenario.error else None
    pure = replace(
        scenario, do=document["do"], document=rest, actions=None, error=error, log=None, path=None
    )  # names and places of steps may differ
    hold(pure, Memory.of(pure).run())


LIGHT: dict[str, Any] = {
    "do": [
        {"first": {"set": {"a": 1}, "export": {"as": "$context + {kept: .a}"}}},
        {"greet": {"call": "fill", "with": {"values": {"name": "${ .a }"}}}},
        {"again": {"call": "data.template", "with": {"text": 'Got "${ $steps.greet.text }" \\ ${ .none }!'}}},
        {"each": {"for": {"in": [1, 2]}, "do": [{"inner": {"set": {"n": "${ $item + $steps.first.a }"}}}]}},
        {
            "both": {
                "fork": {
                    "branches": [
                        {"left": {"set": {"l": 1}, "export": {"as": "$context + {l: 1}"}}},
                        {"right": {"set": {"r": "${ $context.kept + $context.fee }"}}},
                    ]
                }
            }
        },
        {
            "sum": {
                "set": {
                    "all": "${ [$steps.inner.n, $steps.left.l, $steps.right.r, $context.l, $context.kept] }"
                }
            }
        },
        {
            "say": {
                "call": "data.template",
                "with": {"text": "${ $steps.again.text } ${ $steps.sum.all } ${ $context.fee # euros\n }"},
                "metadata": {"compensate": {"call": "fill", "with": {"text": "undo ${ .text }"}}},
            }
        },
    ]
}
BESIDE: dict[str, Any] = {
    "actions": [{"name": "fill", "uses": "data.template", "with": {"text": "Hello {{ name }}"}}],
    "variables": {"fee": {"default": 5}},
}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(item)


def test_what_only_perdure_understands_is_gone() -> None:
    document = exported(LIGHT, **BESIDE)
    texts = [text for text in strings(document) if "$steps" in text]
    assert len(texts) == 4
    assert all(" as $steps | " in text for text in texts)
    assert all(is_expression(text) for text in strings(document) if "${" in text)
    assert document["use"]["functions"]["fill"] == {
        "call": "data.template:1.0.0@default",
        "with": {"text": "Hello {{ name }}", "values": '${ .["values"] }'},
    }
    assert next(iter(document["do"][0])) == "variables"
    undoing = document["do"][-1]["say"]["metadata"]["compensate"]
    assert undoing["call"] == "data.template:1.0.0@default"
    assert undoing["with"]["text"].startswith('${ "undo " + ')


def test_variables_steps_and_mixed_texts_come_to_the_same() -> None:
    published = publish(LIGHT, name="scenario", namespace="tests", catalogue=ACTIONS, **BESIDE)
    mine = {"do": exported(LIGHT, **BESIDE)["do"], "use": exported(LIGHT, **BESIDE)["use"]}
    pure = publish(mine, name="scenario", namespace="tests", catalogue=ACTIONS)
    outcomes = [
        Memory(Scenario(theme="", title="", do=[]), load_program(each.compiled), {"any": "input"}).run()
        for each in (published, pure)
    ]
    assert outcomes[0].status == "completed", outcomes[0].error
    assert outcomes[0].output == {"text": 'Got "Hello 1" \\ ! [3,1,6,1,1] 5'}
    assert outcomes[1] == replace(outcomes[0], log=outcomes[1].log)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://x.test/{id}", "https://x.test/{id}"),
        (
            "https://x.test/{id}/${ .a }",
            '${ "https://x.test/" + (.["id"] | if . == null then "" else tostring | @uri end) + "/"'
            ' + ((.a) | if . == null then "" else tostring end) }',
        ),
        ("${ .a }", "${ .a }"),
    ],
)
def test_an_address_with_expressions_fills_in_its_braces_itself(address: str, expected: str) -> None:
    step = {"call": "http", "with": {"method": "get", "endpoint": address, "idempotent": True}}
    document = exported({"do": [{"a": step}]})
    assert document["do"][0]["a"]["with"] == {"method": "get", "endpoint": expected}
    if SCHEMA.is_file():
        assert accepted(document)
