"""Dry runs: mocks answer, the clock jumps, what nobody can answer is asked; nothing runs without end."""

import json
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from domain.actions import ActionSpec, Catalogue, Effect, Lane
from domain.definitions import documents
from domain.definitions.dryrun import DryRun, Trial, dry_run
from domain.definitions.dryrun.samples import NoSample, sample
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.definitions.schemas import compile_schema
from domain.errors import Invalid
from tests.domain.sample_definitions import JSON


def spec(name: str, lane: Lane, output: Any = None) -> ActionSpec:
    takes = {"type": "object", "properties": {"to": {"type": "string"}}}
    return ActionSpec(
        name, "1.0.0", name, "", Effect.IDEMPOTENT, lane, timedelta(seconds=5), takes, output or {}
    )


SENT = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "format": "uuid"}}}
CATALOGUE = Catalogue(
    [
        spec("look", Lane.ACTIVITY),
        spec("send", Lane.ACTIVITY, SENT),
        spec("approve", Lane.TASK, SENT),
        spec("ask", Lane.TASK, SENT),
        spec("http.request", Lane.ACTIVITY),
        spec("data.template", Lane.SEGMENT),
        spec("event.emit", Lane.SEGMENT),
    ]
)


def run(steps: str, input: Any = None, mocks: Any = None, events: Any = None, **more: Any) -> DryRun:
    parts = more.pop("parts", {})
    definition = {"do": documents.load(steps).value, **parts}
    published = publish(definition, name="t", namespace="n", catalogue=CATALOGUE)
    program = load_program(json.loads(json.dumps(published.compiled)))
    found = dry_run(program, CATALOGUE, Trial(input, mocks or {}, events or [], **more))
    json.dumps(found.as_json())
    return found


def test_mocks_answer_by_name_and_pointer_and_in_turn() -> None:
    found = run(
        """
- each:
    for: {each: id, in: .ids}
    do: [{fetch: {call: look, with: {id: "${ $id }"}, output: {as: ".n"}}}]
- again: {call: look, with: {to: "${ . }"}}
""",
        {"ids": [1, 2, 3]},
        {"fetch": [{"output": {"n": 1}}, {"output": {"n": 2}}], "/do/1/again": "echo"},
    )
    assert (found.status, found.output) == ("completed", {"to": 2}), "the last answer goes on"
    assert found.path == ["each", "fetch", "fetch", "fetch", "again"]
    first, *_, last = [each for each in found.trace if each.kind == "call"]
    assert (first.input, first.arguments, first.output, first.answered_by) == (
        {"ids": [1, 2, 3]},
        {"id": 1},
        1,
        "mock",
    )
    assert last.visit == 1
    assert found.warnings == (
        "look may refuse the arguments of “again” at /to: must be a text, not a number.",
    ) or (len(found.warnings) == 1)


def test_the_clock_jumps() -> None:
    found = run(
        """
- rest: {wait: P30D}
- slow:
    try: [{call: {call: look, timeout: {after: PT1H}}}]
    catch: {errors: {with: {status: 408}}, as: late, do: [{note: {set: {late: "${ $late.status }"}}}]}
""",
        mocks={"call": "never"},
    )
    assert (found.status, found.output) == ("completed", {"late": 408})
    assert found.ended - found.started == (30 * 24 + 1) * 3_600_000
    told = {each.name: each for each in found.trace}
    assert told["rest"].answered_by == "clock"
    assert told["rest"].completed == found.started + 30 * 24 * 3_600_000
    assert told["call"].status in ("failed", "cancelled")
    assert found.as_json()["trace"][0]["completed"] == "2026-01-31T00:00:00.000Z"


def test_errors_are_retried_and_caught() -> None:
    found = run(
        """
- careful:
    try: [{fetch: {call: look}}]
    catch:
      errors: {with: {status: 503}}
      retry: {delay: PT10S, limit: {attempt: {count: 2}}}
      do: [{give up: {set: {gone: true}}}]
""",
        mocks={
            "fetch": [{"error": {"status": 503}}, {"error": {"status": 503}}, {"output": 7, "after": "PT5S"}]
        },
    )
    assert (found.status, found.output) == ("completed", 7)
    assert [each.visit for each in found.trace if each.name == "fetch"] == [1, 2, 3]
    assert 25_000 <= found.ended - found.started < 26_000
    failed = run("- fetch: {call: look}", mocks={"fetch": {"error": {"status": 404, "title": "No such"}}})
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error["status"], failed.error["instance"]) == (404, "/do/0/fetch")


def test_people_children_and_events() -> None:
    found = run(
        """
- ask: {call: approve, with: {title: sure}, output: {as: .approved}}
- child: {run: {workflow: {namespace: n, name: m, version: latest, input: {}}}, export: {as: .}}
- paid: {listen: {to: {one: {with: {type: paid, data: "${ .order == 7 }"}}}}}
- tell: {set: {heard: "${ . }", child: "${ $context }"}}
""",
        mocks={"ask": {"decision": "approved"}, "child": {"output": {"ok": 1}, "after": "2 days"}},
        events=[
            {"type": "paid", "data": {"order": 6}},
            {"type": "paid", "data": {"order": 7}, "after": "PT1H"},
        ],
    )
    assert (found.status, found.output) == ("completed", {"heard": [{"order": 7}], "child": {"ok": 1}})
    assert found.path == ["ask", "child", "paid", "tell"]
    assert found.ended - found.started >= 2 * 86_400_000


def test_branches_are_told() -> None:
    found = run(
        """
- both:
    fork:
      branches:
        - left: {do: [{inner: {wait: PT2S}}]}
        - right: {fork: {compete: true, branches: [{fast: {wait: PT1S}}, {slow: {wait: PT9S}}]}}
"""
    )
    assert found.status == "completed"
    branches = {each.name: each.branches for each in found.trace}
    assert branches == {
        "both": [],
        "left": ["left"],
        "inner": ["left"],
        "right": ["right"],
        "fast": ["right", "fast"],
        "slow": ["right", "slow"],
    }
    assert {each.name: each.status for each in found.trace}["slow"] == "cancelled"
    assert found.ended - found.started == 2000


def test_what_is_done_is_undone() -> None:
    found = run(
        """
- book: {call: send, metadata: {compensate: {call: look, with: {id: "${ .id }"}}}}
- fail: {raise: {error: {type: https://example.org/no, status: 400}}}
""",
        mocks={"book!compensate": {"output": None}},
    )
    assert found.status == "failed"
    undone = found.trace[-1]
    assert (undone.arguments, undone.answered_by) == ({"id": "00000000-0000-4000-8000-000000000001"}, "mock")


def test_generated_computed_and_emitted() -> None:
    found = run(
        """
- fill: {call: data.template, with: {text: "Hello {{ name }}", values: {name: Ada}}}
- send: {call: send, with: {to: "${ .text }"}}
- say: {emit: {event: {with: {source: /x, type: said, data: {id: "${ .id }"}}}}}
- hear: {listen: {to: {one: {with: {type: said}}}}}
"""
    )
    assert found.status == "completed"
    assert found.output == [{"id": "00000000-0000-4000-8000-000000000001"}]
    assert [each.answered_by for each in found.trace] == ["computed", "generated", "computed", "event"]
    assert found.trace[1].arguments == {"to": "Hello Ada"}


@pytest.mark.parametrize(
    ("steps", "events", "told", "mend"),
    [
        ("- go: {call: look}", [], "calls look: what does that answer?", '"go": {output: …}'),
        ("- go: {call: approve, with: {title: x}}", [], "asks a person", '"go": {decision: approved}'),
        (
            "- go: {listen: {to: {one: {with: {type: paid}}}}}",
            [{"type": "other"}],
            "an event of paid",
            '{"type": "paid"',
        ),
        (
            "- go: {run: {workflow: {namespace: n, name: m, version: latest}}}",
            [],
            "another workflow",
            "output",
        ),
    ],
)
def test_what_nobody_can_answer_is_asked(steps: str, events: Any, told: str, mend: str) -> None:
    found = run(steps, events=events)
    assert found.status == "unanswered"
    assert found.question is not None
    assert told in found.question.message
    assert mend in found.question.suggestion
    assert found.question.pointer == "/do/0/go"
    assert [each.name for each in found.trace] == ["go"], "what happened so far is shown"


def test_nothing_is_generated_when_that_is_not_wanted() -> None:
    assert run("- go: {call: send}", generates=False).status == "unanswered"


def test_functions_and_extensions() -> None:
    found = run(
        "- go: {call: greet, with: {name: Ada}}",
        mocks={"go": [{"output": {"ok": 1}}]},
        parts={
            "use": {
                "functions": {"greet": {"call": "look", "with": {"to": "${ .name }"}}},
                "extensions": [{"log": {"extend": "call", "before": [{"noted": {"set": {"n": "${ . }"}}}]}}],
            }
        },
    )
    assert found.status == "completed", (found.error, found.question)
    assert found.output == {"ok": 1}
    assert "noted" in found.path


def test_secrets_stay_where_they_are() -> None:
    found = run("- go: {call: look, with: {to: '${ $secrets.token }'}}", mocks={"go": "echo"})
    assert found.output == {"to": "${ $secrets.token }"}


@pytest.mark.parametrize(
    ("mocks", "events", "pointer", "told"),
    [
        ({"gone": {"output": 1}}, [], "/mocks/gone", "Did you mean `go`?"),
        ({"go": 7}, [], "/mocks/go", "Write {output: …}"),
        ({"go": {"output": 1, "error": {}}}, [], "/mocks/go", "one of output"),
        ({"go": [{"error": {"status": 7}}]}, [], "/mocks/go/0/error", "between 100 and 599"),
        ({"go": {"decision": "maybe"}}, [], "/mocks/go/decision", "approved or rejected"),
        ({"go": {"output": 1, "after": "soon"}}, [], "/mocks/go/after", "not a duration"),
        ({"go": []}, [], "/mocks/go", "at least one"),
        ([], [], "/mocks", "an object"),
        ({}, {"a": 1}, "/events", "a list"),
        ({}, [{"data": 1}], "/events/0", "`type`"),
    ],
)
def test_mocks_that_are_none_are_refused(mocks: Any, events: Any, pointer: str, told: str) -> None:
    published = publish({"do": [{"go": {"call": "look"}}]}, name="t", namespace="n", catalogue=CATALOGUE)
    with pytest.raises(Invalid) as refused:
        dry_run(load_program(published.compiled), CATALOGUE, Trial(None, mocks, events))
    [problem] = refused.value.problems
    assert problem.pointer == pointer
    assert told in f"{problem.message} {problem.suggestion}"


def test_a_mock_that_is_never_used_is_told() -> None:
    found = run("- go: {if: 'false', call: look}\n- on: {set: {a: 1}}", mocks={"go": {"output": 1}})
    assert found.warnings == ("The mock of “go” was never used.",)
    assert found.path == ["(go)", "on"]


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ("- a: {set: {n: 1}}\n- b: {set: {n: 1}, then: a}", "failed"),
        ("- a: {wait: PT1S}\n- b: {set: {n: 1}, then: a}", "failed"),
        ("- a: {set: '{n: ([range(3000)] | map(. * 2) | add)}'}\n- b: {set: {n: 1}, then: a}", "stopped"),
        ("- a: {call: look, then: a, output: {as: '[range(300)] | add'}}", "failed"),
    ],
)
def test_everything_ends(steps: str, status: str) -> None:
    began = time.process_time()
    found = run(steps, mocks={"a": {"output": 1}} if "look" in steps else {})
    assert found.status in (status, "stopped")
    assert time.process_time() - began < 8
    assert len(found.trace) <= 2001


def test_a_state_too_large_to_travel_is_told_once() -> None:
    steps = [{f"s{n}": {"set": {"x": "${ [range(15000)] }"}}} for n in range(15)]
    ends = {"set": {"n": "${ [" + ", ".join(f"($steps.s{n}.x | length)" for n in range(15)) + "] | add }"}}
    waits = [{"w": {"wait": "PT1S"}}, {"v": {"wait": "PT1S"}}]
    found = run(json.dumps([*steps, *waits, {"z": ends}]))
    assert found.output == {"n": 225_000}
    assert [each for each in found.warnings if "1 MB" in each] == list(found.warnings)
    assert len(found.warnings) == 1


def test_a_trace_is_bounded() -> None:
    found = run(
        "- each:\n    for: {in: '[range(60)]'}\n    do: [{big: {call: look, output: {as: .}}}]",
        mocks={"big": {"output": "x" * 50_000}},
    )
    assert found.status == "completed"
    assert not found.is_complete
    assert len(json.dumps(found.as_json()["trace"])) < 1_200_000
    assert any("output" in each.left_out for each in found.trace)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}}, {"a": 3}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        (
            {
                "$defs": {"x": {"enum": ["b", "c"]}},
                "type": "array",
                "minItems": 2,
                "items": {"$ref": "#/$defs/x"},
            },
            ["b", "b"],
        ),
        ({"type": "string", "minLength": 6, "maxLength": 8}, "textxx"),
        ({"const": 7}, 7),
        ({"type": "number", "exclusiveMinimum": 2}, 3),
        (
            {
                "type": "object",
                "required": ["any", "free"],
                "properties": {"any": {"title": "x"}, "free": {"type": "object"}},
            },
            {"any": None, "free": {}},
        ),
    ],
)
def test_samples_fit_their_schema(schema: Any, value: Any) -> None:
    assert sample(schema) == value
    assert compile_schema(schema).problems(value) == []


@pytest.mark.parametrize(
    "schema", [{}, True, {"type": "string", "pattern": "^a$"}, {"$ref": "#"}, {"type": "object"}]
)
def test_no_sample_is_better_than_a_wrong_one(schema: Any) -> None:
    with pytest.raises(NoSample):
        sample(schema)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_mock_is_read_or_refused(value: Any) -> None:
    published = publish({"do": [{"go": {"call": "look"}}]}, name="t", namespace="n", catalogue=CATALOGUE)
    program = load_program(published.compiled)
    for mocks in (
        {"go": value},
        {"go": {"output": value}},
        {"go": {"error": value}},
        {"go": {"decision": value}},
        value,
    ):
        with suppress(Invalid):
            dry_run(program, CATALOGUE, Trial(value, mocks, value if isinstance(value, list) else []))
