import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.definitions import documents
from domain.definitions.validation import validate
from domain.errors import Problem
from tests.domain.sample_catalogue import CATALOGUE
from tests.domain.sample_definitions import JSON, PLACES, SOUND, WHOLE, WORDS, replaced, steps
from tests.pace import slowness, small_heap

__all__ = ["small_heap"]  # a fixture of this whole module

CTK = Path(os.environ.get("PERDURE_CTK_DIR", Path(__file__).parents[3] / "shared" / "conformance" / "ctk"))


SEND = "{call: email.send, with: {to: a, subject: b}"


def problems(definition: Any, **parts: Any) -> list[Problem]:
    return validate(definition, **parts, catalogue=CATALOGUE)


def found(definition: Any, **parts: Any) -> set[tuple[str, str]]:
    return {(problem.pointer, problem.code) for problem in problems(definition, **parts)}


def one(step: str) -> set[tuple[str, str]]:
    """What is wrong with a single step, given as YAML, with pointers below it."""
    definition = {"do": [{"it": documents.load(step).value}]}
    return {(pointer.removeprefix("/do/0/it"), code) for pointer, code in found(definition)}


def test_a_sound_definition_has_no_problems() -> None:
    assert problems(steps(SOUND)) == []


def test_a_problem_says_where_what_and_how_to_mend() -> None:
    [problem] = problems(steps("[{send: {call: email.sned}}]"))
    assert problem.pointer == "/do/0/send/call"
    assert problem.code == "unknown_action"
    assert problem.message == "There is no action `email.sned`."
    assert problem.suggestion == "Did you mean `email.send`?"
    assert problem.severity == "error"


def test_every_problem_is_told_not_only_the_first() -> None:
    definition = steps(
        "[{a: {set: 3}}, {b: {wait: 3 moons}}, {c: {call: nobody}}, {d: {then: x, set: {a: 1}}}]"
    )
    assert found({"foo": 1, **definition}) == {
        ("/foo", "unknown_field"),
        ("/do/0/a/set", "wrong_type"),
        ("/do/1/b/wait", "bad_duration"),
        ("/do/2/c/call", "unknown_action"),
        ("/do/3/d/then", "unknown_target"),
    }


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"dsl": "1.0.3", "namespace": "acme", "name": "a-b", "version": "1.0.0-rc.1"}, set()),
        ({}, set()),
        ({"dsl": "9.9.9"}, {("/document/dsl", "dsl_version")}),
        ({"dsl": "1.1.0"}, {("/document/dsl", "dsl_version")}),
        ({"version": 1.0}, {("/document/version", "wrong_type")}),
        ({"version": "1.0"}, {("/document/version", "bad_version")}),
        ({"name": "-a"}, {("/document/name", "bad_name")}),
        ({"name": "a" * 64}, {("/document/name", "bad_name")}),
        ({"namespace": "a b"}, {("/document/namespace", "bad_name")}),
        ({"titel": "x"}, {("/document/titel", "unknown_field")}),
        ({"title": 1, "tags": []}, {("/document/title", "wrong_type"), ("/document/tags", "wrong_type")}),
        ([], {("/document", "wrong_type")}),
    ],
)
def test_the_header(header: Any, expected: set[tuple[str, str]]) -> None:
    assert found({"document": header, "do": [{"a": {"set": {"x": 1}}}]}) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"evaluate": {"mode": "strict", "language": "jq"}}, set()),
        ({"evaluate": {"mode": "loose"}}, {("/evaluate/mode", "refused")}),
        ({"evaluate": {"mode": 3}}, {("/evaluate/mode", "bad_value")}),
        ({"evaluate": {"language": "js"}}, {("/evaluate/language", "not_supported")}),
        ({"triggers": []}, {("/triggers", "misplaced")}),
        ({"use": 3}, {("/use", "wrong_type")}),
        (
            {"input": {"schema": {"document": {"type": "objekt"}}}},
            {("/input/schema/document/type", "bad_schema")},
        ),
        ({"input": {"shema": 1}}, {("/input/shema", "unknown_field")}),
        (
            {"input": {"schema": {"resource": {"endpoint": "https://x"}}}},
            {("/input/schema/resource", "not_supported")},
        ),
        (
            {"input": {"schema": {"resource": {"endpoint": "file:///x"}}}},
            {("/input/schema/resource", "refused")},
        ),
        ({"input": {"schema": {}}}, {("/input/schema", "missing_field")}),
        (
            {"input": {"schema": {"format": "avro", "document": {}}}},
            {("/input/schema/format", "not_supported")},
        ),
        ({"input": {"from": "$task.x"}}, {("/input/from", "unknown_variable")}),
        ({"output": {"as": ".a |"}}, {("/output/as", "bad_expression")}),
    ],
)
def test_the_document_around_the_steps(part: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    actual = found({**part, "do": [{"a": {"set": {"x": 1}}}]})
    # Which pointer inside a schema is blamed is for the schema compiler to say.
    relaxed = {(re.sub(r"(/schema/document)/.*", r"\1", pointer), code) for pointer, code in actual}
    assert relaxed == {(re.sub(r"(/schema/document)/.*", r"\1", pointer), code) for pointer, code in expected}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({}, {("", "missing_field")}),
        ({"do": []}, {("/do", "empty_list")}),
        ({"do": {"a": 1}}, {("/do", "wrong_type")}),
        ({"do": None}, {("/do", "wrong_type")}),
        ({"do": ["a"]}, {("/do/0", "wrong_type")}),
        ({"do": [{}]}, {("/do/0", "bad_step")}),
        ({"do": [{"a": {"set": {"x": 1}}, "b": {"set": {"x": 1}}}]}, {("/do/0", "bad_step")}),
        ({"do": [{"a": None}]}, {("/do/0/a", "wrong_type")}),
        ({"do": [{"": {"set": {"x": 1}}}]}, {("/do/0/", "bad_name")}),
        ({"do": [{"a\nb": {"set": {"x": 1}}}]}, {("/do/0/a\nb", "bad_name")}),
        ({"do": [{"exit": {"set": {"x": 1}}}]}, {("/do/0/exit", "reserved_name")}),
        ({"do": [{"a/b~": {"wait": "1 moon"}}]}, {("/do/0/a~1b~0/wait", "bad_duration")}),
        (3, {("", "wrong_type")}),
        (None, {("", "wrong_type")}),
    ],
)
def test_lists_of_steps(definition: Any, expected: set[tuple[str, str]]) -> None:
    assert found(definition) == expected


def test_names_are_unique_in_their_list_only() -> None:
    assert found(steps("[{a: {set: {x: 1}}}, {a: {set: {x: 1}}}]")) == {("/do/1/a", "duplicate_name")}
    assert found(steps("[{a: {do: [{a: {set: {x: 1}}}]}}]")) == set()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{cal: email.send}", {("/cal", "unknown_keyword")}),
        ("{then: end}", {("", "missing_keyword")}),
        ("{set: {a: 1}, wait: PT1S}", {("", "several_keywords")}),
        ("{set: {a: 1}, foo: 1}", {("/foo", "unknown_field")}),
        ("{set: {a: 1}, while: .x}", {("/while", "unknown_field")}),
        ("{set: {a: 1}, if: true}", {("/if", "wrong_type")}),
        ("{set: {a: 1}, if: .a |}", {("/if", "bad_expression")}),
        ("{set: {a: 1}, then: 3}", {("/then", "wrong_type")}),
        ("{set: {a: 1}, metadata: 1}", {("/metadata", "wrong_type")}),
        ("{set: {a: 1}, metadata: {compensate: x}}", {("/metadata/compensate", "wrong_type")}),
        ("{set: {a: 1}, export: {as: 3}}", {("/export/as", "wrong_type")}),
        ("{set: {a: 1}, input: {from: {a: '${ .x | }'}}}", {("/input/from/a", "bad_expression")}),
        ("{set: {}}", {("/set", "empty_set")}),
        ("{set: []}", {("/set", "wrong_type")}),
        ("{set: {a: 'hi ${ .x }'}}", {("/set/a", "mixed_text")}),
        ("{wait: 5}", {("/wait", "bad_duration")}),
        ("{wait: 'P${ .x }D'}", {("/wait", "bad_duration")}),
        ("{wait: '${ .x | }'}", {("/wait", "bad_expression")}),
        ("{do: []}", {("/do", "empty_list")}),
        ("{for: {in: .x}}", {("", "missing_field")}),
        ("{for: {}, do: [{a: {set: {x: 1}}}]}", {("/for", "missing_field")}),
        ("{for: .x, do: [{a: {set: {x: 1}}}]}", {("/for", "wrong_type")}),
        ("{for: {in: .x, each: $a}, do: [{a: {set: {x: 1}}}]}", {("/for/each", "bad_name")}),
        ("{for: {in: .x, each: input}, do: [{a: {set: {x: 1}}}]}", {("/for/each", "reserved_name")}),
        ("{for: {in: .x, each: a, at: a}, do: [{a: {set: {x: 1}}}]}", {("/for", "duplicate_name")}),
        ("{for: {in: .x, step: 1}, do: [{a: {set: {x: 1}}}]}", {("/for/step", "unknown_field")}),
        ("{for: {in: $item}, do: [{a: {set: {x: 1}}}]}", {("/for/in", "unknown_variable")}),
        ("{for: {in: [{a: 1}]}, do: [{a: {set: {x: 1}}}]}", set()),
        ("{for: {in: ['${ .a }']}, do: [{a: {set: {x: 1}}}]}", {("/for/in", "mixed_text")}),
        ("{switch: []}", {("/switch", "wrong_type")}),
        ("{switch: [{a: {then: end}, b: {then: end}}]}", {("/switch/0", "bad_case")}),
        ("{switch: [{a: {when: .x}}]}", {("/switch/0/a", "missing_field")}),
        ("{switch: [{a: {when: 3, then: end}}]}", {("/switch/0/a/when", "wrong_type")}),
        ("{switch: [{a: {when: .x, then: gone}}]}", {("/switch/0/a/then", "unknown_target")}),
        ("{switch: [{a: {whn: .x, then: end}}]}", {("/switch/0/a/whn", "unknown_field")}),
        ("{switch: [{a: {then: end}}, {b: {then: end}}]}", {("/switch/1/b", "two_defaults")}),
        ("{switch: [{a: {then: end}}, {b: {when: .x, then: end}}]}", {("/switch/1/b", "unreachable_case")}),
        ("{switch: [{a: {when: .x, then: end}}, {a: {then: end}}]}", {("/switch/1/a", "duplicate_name")}),
    ],
)
def test_each_kind_of_step(step: str, expected: set[tuple[str, str]]) -> None:
    assert one(step) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{run: {shell: {command: rm}}}", {("/run/shell", "refused")}),
        ("{run: {script: {language: js}}}", {("/run/script", "refused")}),
        ("{run: {container: {image: x}}}", {("/run/container", "refused")}),
        ("{call: grpc, with: {}}", {("/call", "not_supported")}),
        ("{call: asyncapi, with: {}}", {("/call", "not_supported")}),
        ("{call: mcp, with: {method: tools/list, transport: {http: {}}}}", {("/call", "not_supported")}),
        ("{call: mcp, with: {method: tools/list, transport: {stdio: {command: x}}}}", {("/call", "refused")}),
        ("{call: 'https://example.org/f.yaml'}", {("/call", "fetched_later")}),
        ("{call: 'file:///etc/passwd'}", {("/call", "refused")}),
        (
            "{call: http, with: {method: get, endpoint: 'file:///etc/passwd'}}",
            {("/with/endpoint", "refused")},
        ),
        (
            "{call: http, with: {method: get, endpoint: {uri: 'FILE:/etc/passwd'}}}",
            {("/with/endpoint/uri", "refused")},
        ),
    ],
)
def test_what_is_not_there_yet_differs_from_what_is_refused(
    step: str, expected: set[tuple[str, str]]
) -> None:
    assert one(step) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{call: 3}", {("/call", "wrong_type")}),
        ("{call: email.send, with: 3}", {("/with", "wrong_type")}),
        ("{call: email.send}", {("", "missing_argument")}),
        ("{call: 'email.send:1.0.0', with: {to: a, subject: b}}", set()),
        ("{call: 'email.send:9.0.0', with: {to: a, subject: b}}", {("/call", "unknown_action")}),
        ("{call: 'email.send@elsewhere', with: {to: a, subject: b}}", {("/call", "unknown_catalog")}),
        ("{call: 'email send', with: {}}", {("/call", "unknown_action")}),
        ("{call: email.send, with: {to: a}}", {("/with", "missing_argument")}),
        ("{call: email.send, with: {to: a, subject: b, subjct: c}}", {("/with/subjct", "unknown_argument")}),
        ("{call: email.send, with: {to: 3, subject: b}}", {("/with/to", "wrong_argument_type")}),
        ("{call: email.send, with: {to: '${ .to }', subject: 'Hi ${ .name }'}}", set()),
        (
            "{call: email.send, with: {to: '${ .to | }', subject: 'Hi ${ $nme }'}}",
            {("/with/to", "bad_expression"), ("/with/subject", "unknown_variable")},
        ),
        ("{call: text.join, with: {parts: '${ .parts }'}}", set()),
        ("{call: text.join, with: {parts: [a, '${ .b }', 3]}}", {("/with/parts/2", "wrong_argument_type")}),
        ("{call: text.join, with: {parts: []}}", {("/with/parts", "bad_argument")}),
        ("{call: http, with: {method: get, endpoint: 3}}", {("/with/endpoint", "wrong_argument_type")}),
        ("{call: http, with: {method: get, endpoint: {uri: '${ .x }'}}}", set()),
        ("{call: http, with: {method: get, endpoint: '${ .x }'}}", set()),
        (
            "{call: http, with: {method: get, endpoint: {uri: 3}}}",
            {("/with/endpoint/uri", "wrong_argument_type")},
        ),
        (
            "{call: http, with: {method: get, endpoint: {url: '${ .x }'}}}",
            {("/with/endpoint", "missing_argument"), ("/with/endpoint/url", "unknown_argument")},
        ),
        ("{call: http, with: {method: get, endpoint: '{base}/x'}}", set()),
        ("{call: http, with: {method: get, endpoint: 'ftp://x'}}", {("/with/endpoint", "bad_address")}),
        (
            "{call: http, with: {method: get, endpoint: 'https://x', output: contents}}",
            {("/with/output", "bad_argument")},
        ),
        ("{call: approve, with: {title: x, due: 3 moons}}", {("/with/due", "bad_duration")}),
        ("{call: approve, with: {title: x, due: {hours: '${ .h }'}}}", set()),
        ("{call: approve, with: {title: x, form: {type: {}}}}", {("/with/form", "bad_schema")}),
        ("{call: approve, with: {title: x, form: {type: object}}}", set()),
    ],
)
def test_calls_and_their_arguments(step: str, expected: set[tuple[str, str]]) -> None:
    assert {(re.sub(r"/form/.*", "/form", pointer), code) for pointer, code in one(step)} == expected


def test_an_irreversible_action_without_a_key_or_a_timeout_is_a_warning() -> None:
    keyless, unbounded = problems(steps("[{a: {call: pay, with: {amount: 3}}}]"))
    assert (keyless.code, keyless.severity) == ("irreversible", "warning")
    assert keyless.suggestion == "Give it `idempotency_key`."
    assert (unbounded.code, unbounded.severity) == ("unbounded", "warning")
    keyed = "{call: pay, with: {amount: 3, idempotency_key: x}, timeout: {after: 1 minute}}"
    assert problems(steps(f"[{{a: {keyed}}}]")) == []
    undone = "{set: {x: 1}, metadata: {compensate: {call: pay, with: {amount: 3, idempotency_key: x}}}}"
    assert problems(steps(f"[{{a: {undone}}}]")) == []


@pytest.mark.parametrize(
    ("text", "unreachable"),
    [
        ("[{a: {set: {x: 1}, then: end}}, {b: {set: {x: 1}}}, {c: {set: {x: 1}}}]", {"/do/1/b"}),
        ("[{a: {set: {x: 1}, then: exit}}, {b: {set: {x: 1}}}]", {"/do/1/b"}),
        ("[{a: {set: {x: 1}, then: c}}, {b: {set: {x: 1}}}, {c: {set: {x: 1}}}]", {"/do/1/b"}),
        ("[{a: {set: {x: 1}, then: c}}, {b: {set: {x: 1}, then: end}}, {c: {set: {x: 1}, then: b}}]", set()),
        ("[{a: {set: {x: 1}, then: end, if: .x}}, {b: {set: {x: 1}}}]", set()),
        ("[{a: {switch: [{k: {when: .x, then: c}}]}}, {b: {set: {x: 1}}}, {c: {set: {x: 1}}}]", set()),
        ("[{a: {switch: [{k: {then: c}}]}}, {b: {set: {x: 1}}}, {c: {set: {x: 1}}}]", {"/do/1/b"}),
        (
            "[{a: {switch: [{k: {when: .x, then: c}}], then: end}}, {b: {set: {x: 1}}}, {c: {set: {x: 1}}}]",
            {"/do/1/b"},
        ),
        ("[{a: {switch: [{k: {when: .x, then: continue}}], then: end}}, {b: {set: {x: 1}}}]", set()),
        ("[{a: {do: [{b: {set: {x: 1}, then: end}}, {c: {set: {x: 1}}}]}}]", {"/do/0/a/do/1/c"}),
    ],
)
def test_unreachable_steps(text: str, unreachable: set[str]) -> None:
    assert found(steps(text)) == {(pointer, "unreachable_step") for pointer in unreachable}


def test_names_in_scope() -> None:
    inner = '{inner: {set: {a: "${ [$doc, $index, $context, $input, $workflow, $task, $runtime] }"}}}'
    assert found(steps(f"[{{loop: {{for: {{each: doc, in: .docs}}, do: [{inner}]}}}}]")) == set()
    assert found(
        steps("[{loop: {for: {each: doc, in: .docs}, do: [{x: {set: $doc}}]}}, {y: {set: $doc}}]")
    ) == {("/do/1/y/set", "unknown_variable")}
    assert one("{set: {a: 1}, output: {as: $output}, export: {as: $output}}") == set()
    assert one("{set: $output}") == {("/set", "unknown_variable")}
    assert one("{set: {a: 1}, input: {from: $output}}") == {("/input/from", "unknown_variable")}
    [problem] = problems(steps("[{a: {set: $contxt.x}}]"))
    assert problem.suggestion == "Did you mean `$context`?"
    assert one("{set: '. as $mine | $mine'}") == set()


def test_names_that_never_exist_here() -> None:
    assert one("{set: $error}") == {("/set", "unknown_variable")}
    assert one("{set: $ENV.PATH}") & {("/set", "unknown_variable"), ("/set", "bad_expression")}


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("{set: $secrets.key}", "/set"),
        ("{set: {a: '${ $secrets.key }'}}", "/set/a"),
        ("{if: $secrets.key == 1, set: {a: 1}}", "/if"),
        ("{wait: '${ $secrets.key }'}", "/wait"),
        ("{switch: [{a: {when: $secrets.key, then: end}}]}", "/switch/0/a/when"),
        ("{for: {in: '[$secrets.key]'}, do: [{a: {set: {x: 1}}}]}", "/for/in"),
        ("{call: approve, with: {title: 'x ${ $secrets.key }'}}", "/with/title"),
        (SEND + ", input: {from: $secrets.key}}", "/input/from"),
        (SEND + ", output: {as: $secrets.key}}", "/output/as"),
        (SEND + ", export: {as: '{a: $secrets.key}'}}", "/export/as"),
    ],
)
def test_secrets_are_read_in_arguments_of_activities_alone(step: str, place: str) -> None:
    assert one(step) == {(place, "secret_not_here")}


def test_secrets_in_arguments_are_named_one_by_one() -> None:
    def send(text: str) -> set[tuple[str, str]]:
        return one(f"{{call: email.send, with: {{to: a, subject: {text}}}}}")

    for text in (
        "'${ $secrets.key }'",
        "'Bearer ${ $secrets.key }'",
        "'${ $secrets[\"key\"] }'",
        "'${ \"a\" + .x + $secrets.key }'",
    ):
        assert send(text) == set(), text
    for text in (
        "'${ $secrets }'",
        "'x ${ $secrets | .key }'",
        "'${ $secrets[.name] }'",
        "'${ $secrets | keys | first }'",
        "'${ $secrets[\"a-b\"] }'",
    ):
        assert send(text) == {("/with/subject", "unnamed_secret")}, text
    assert send("'${ $secrets.key + $nobody }'") == {("/with/subject", "unknown_variable")}
    action = {"name": "tell", "uses": "email.send", "with": {"subject": "${ $secrets.key }"}}
    definition = steps("[{a: {call: tell, with: {to: x}}}]")
    assert found(definition, actions=[action]) == set()


def test_a_secret_that_is_not_set_is_a_warning_with_its_mend() -> None:
    definition = steps(
        "[{a: {call: email.send, with: {to: '${ $secrets.adress }', subject: '${ $secrets.b }'}}}]"
    )
    found = problems(definition, secrets={"address"})
    assert [(each.pointer, each.code, each.severity) for each in found] == [
        ("/do/0/a/with/to", "unknown_secret", "warning"),
        ("/do/0/a/with/subject", "unknown_secret", "warning"),
    ]
    assert "address" in (found[0].suggestion or "")
    assert found[1].suggestion == "Set it: PUT /v1/secrets/b."
    assert problems(definition, secrets={"adress", "b"}) == []


def test_steps_read_by_name_must_exist_and_be_clear() -> None:
    def about(expression: str, text: str = "{get: {set: {x: 1}}}, {get-pet: {set: {x: 1}}}") -> list[Problem]:
        return problems({"do": [*steps(f"[{text}]")["do"], {"last": {"set": expression}}]})

    assert about("$steps.get.x") == []
    assert about('$steps["get-pet"].x') == []
    assert about("$steps?.get") == []
    [typo] = about("$steps.gett.x")
    assert (typo.code, typo.suggestion) == ("unknown_step", "Did you mean `get`?")
    [whole] = about("$steps | keys")
    assert whole.code == "unnamed_step"
    assert [each.code for each in about("$steps[.name]")] == ["unnamed_step"]
    [hyphen] = about("$steps.get-pet", "{get-pet: {set: {x: 1}}}")
    assert hyphen.suggestion is not None
    assert '$steps["get-pet"]' in hyphen.suggestion
    double = about("$steps.a", "{a: {do: [{a: {set: {x: 1}}}]}}")
    assert [each.code for each in double] == ["ambiguous_step"]
    assert one("{call: email.send, with: {to: a, subject: 'Hi ${ $steps.nobody }'}}") == {
        ("/with/subject", "unknown_step")
    }


def test_limits_are_named() -> None:
    step = {"set": {"x": 1}}
    assert found({"do": [{f"s{i}": step} for i in range(500)]}) == set()
    assert found({"do": [{f"s{i}": step} for i in range(501)]}) == {("/do", "too_many_steps")}
    nested: Any = step
    for _ in range(16):
        nested = {"do": [{"s": nested}]}
    assert {code for _, code in found({"do": [{"s": nested}]})} == {"too_deep"}
    assert found(nested["do"][0]["s"]) == set()
    assert one('{set: "' + "." + " " * 4096 + '"}') == {("/set", "expression_too_long")}
    assert found({"do": [{"a": {"set": {"x": "y" * 300_000}}}]}) >= {
        ("/do/0/a/set/x", "definition_too_large")
    }
    assert found({"do": [{"n" * 101: step}]}) == {("/do/0/" + "n" * 101, "bad_name")}


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [
        ([{"type": "manual", "name": "start", "configuration": {}, "is_active": True}], set()),
        (None, set()),
        ([{"type": "schedule"}], {("/triggers/0/configuration", "missing_field")}),
        ([{"type": "event"}], {("/triggers/0/configuration", "missing_field")}),
        ([{"type": "webhook"}], {("/triggers/0/configuration", "missing_field")}),
        ([{"type": "manuel"}], {("/triggers/0/type", "unknown_trigger")}),
        ([{}], {("/triggers/0/type", "unknown_trigger")}),
        ([{"type": []}], {("/triggers/0/type", "unknown_trigger")}),
        ([{"type": "manual", "cron": "x"}], {("/triggers/0/cron", "unknown_field")}),
        ([3], {("/triggers/0", "wrong_type")}),
        ({}, {("/triggers", "wrong_type")}),
        ([{"type": "manual"}] * 101, {("/triggers", "too_many")}),
    ],
)
def test_triggers(triggers: Any, expected: set[tuple[str, str]]) -> None:
    assert found(steps("[{a: {set: {x: 1}}}]"), triggers=triggers) == expected


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (
            [{"name": "mail", "uses": "email.send:1.0.0", "with": {"to": "a"}}],
            {("/do/0/a/with", "missing_argument")},
        ),
        ([{"name": "mail", "uses": "email.send", "with": {"to": "a", "subject": "${ .s }"}}], set()),
        ([{"name": "mail", "uses": "email.sned"}], {("/actions/0/uses", "unknown_action")}),
        ([{"name": "mail"}], {("/actions/0/uses", "missing_field")}),
        (
            [{"name": "mail", "uses": "email.send", "with": {"to": 3, "subject": "b", "c": 1}}],
            {("/actions/0/with/to", "wrong_argument_type"), ("/actions/0/with/c", "unknown_argument")},
        ),
        (
            [{"name": "mail", "uses": "email.send", "with": {"to": "${ $item }", "subject": "b"}}],
            {("/actions/0/with/to", "unknown_variable")},
        ),
        (
            [{"name": "mail", "uses": "email.send", "with": {"to": "a", "subject": "b"}}] * 2,
            {("/actions/1/name", "duplicate_name")},
        ),
        (
            [{"name": "http", "uses": "email.send"}],
            {
                ("/actions/0/name", "reserved_name"),
                ("/actions/0", "unused"),
                ("/do/0/a/call", "unknown_action"),
            },
        ),
        (
            [{"name": "a b", "uses": "email.send"}],
            {("/actions/0/name", "bad_name"), ("/actions/0", "unused"), ("/do/0/a/call", "unknown_action")},
        ),
        ("x", {("/actions", "wrong_type"), ("/do/0/a/call", "unknown_action")}),
    ],
)
def test_configured_actions(actions: Any, expected: set[tuple[str, str]]) -> None:
    assert found(steps("[{a: {call: mail, with: {body: hello}}}]"), actions=actions) == expected


def test_an_action_said_twice_is_an_error() -> None:
    definition = {"use": {"functions": {"mail": {}}}, **steps("[{a: {set: {x: 1}}}]")}
    assert ("/actions/0/name", "said_twice") in found(
        definition, actions=[{"name": "mail", "uses": "email.send"}]
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"fee": {"schema": {"type": "integer"}, "default": 3, "description": "x"}}, set()),
        (
            {"fee": {"schema": {"type": "integer"}, "default": "3"}},
            {("/variables/fee/default", "bad_default")},
        ),
        ({"fee": {"schema": {"type": 3}, "default": 3}}, {("/variables/fee/schema", "bad_schema")}),
        ({"fee": {}}, {("/variables/fee", "missing_field")}),
        ({"a-b": {"default": 1}}, {("/variables/a-b", "bad_name")}),
        ({"fee": {"defualt": 1, "default": 1}}, {("/variables/fee/defualt", "unknown_field")}),
        ({"fee": 3}, {("/variables/fee", "wrong_type")}),
        ([], {("/variables", "wrong_type")}),
    ],
)
def test_variables(variables: Any, expected: set[tuple[str, str]]) -> None:
    actual = found(steps("[{a: {set: {x: 1}}}]"), variables=variables)
    assert {(re.sub(r"/schema/.*", "/schema", pointer), code) for pointer, code in actual} == expected


# Hostile documents


def timed(definition: Any, **parts: Any) -> list[Problem]:
    began = time.process_time()
    result = problems(definition, **parts)
    assert time.process_time() - began < 2 * slowness()
    return result


SCHEMA = {
    "schema": {"document": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"enum": [1]}}}}
}


def deep(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"do": [{"s": value}]}
    return value


@pytest.mark.parametrize(
    "definition",
    [
        {"do": [{f"s{i}": {"set": {"x": 1}}} for i in range(10_000)]},
        {"do": [{f"s{i}": {"call": "x"}} for i in range(500)]},
        {
            "do": [
                {"step" + "x" * 60 + str(i): {"set": {"x": 1}, "then": "stop" + "x" * 60 + str(-i)}}
                for i in range(500)
            ]
        },
        {"do": [{"a": {"set": {str(i): "${ . | }" for i in range(9_000)}}}]},
        {"do": [{"a": {"set": {str(i): f"${{ .x{i} }}" for i in range(9_000)}}}]},
        {"do": [{"a": {str(i): 1 for i in range(20_000)}}]},
        {"do": [{"k" * 200_000: {"set": 1}}]},
        deep(10_000),
        {"do": [{1: {"set": {"x": 1}}}]},
        {None: 1},
        {"do": [{"a": {"set": {"x": "\ud800"}}}]},
        {"do": [{"a\x00": {"set": {"x": "\x00"}}}]},
        {"do": [{"a": {"set": {"x": float("nan")}}}]},
        {"do": [{"a": {"set": {"x": object()}}}]},
        {"do": [{"a": {"set": {"x": 10**400}}}]},
        {"do": [{f"s{i}": {"set": {"x": 1}, "input": SCHEMA, "output": SCHEMA}} for i in range(500)]},
        {
            "do": [
                {
                    "a": {
                        "set": {"x": 1},
                        "input": {"schema": {"document": {"anyOf": [{"type": "x"}] * 9_000}}},
                    }
                }
            ]
        },
        {"do": [{"a": {"switch": [{f"c{i}": {"when": ".", "then": "a"}} for i in range(5_000)]}}]},
    ],
    ids=range(18),
)
def test_hostile_documents_end_soon_with_few_problems(definition: Any) -> None:
    result = timed(definition)
    assert len(result) <= 201
    json.dumps([problem.as_json() for problem in result])
    assert all(len(problem.message) < 1000 for problem in result)


def test_a_shared_value_does_not_unfold() -> None:
    value: Any = []
    for _ in range(50):
        value = [value, value]
    assert [problem.code for problem in timed({"do": [{"a": {"set": {"x": value}}}]})] == [
        "definition_too_large"
    ]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON, JSON, JSON)
def test_arbitrary_json_anywhere_never_raises(
    definition: Any, triggers: Any, actions: Any, variables: Any
) -> None:
    timed(definition, triggers=triggers, actions=actions, variables=variables)
    timed({"do": definition, "document": triggers, "use": actions, "evaluate": variables})
    timed({"do": [{"a": definition}, {"b": {"call": triggers, "with": actions}}]}, actions=[variables])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), JSON | st.dictionaries(st.sampled_from(WORDS), JSON, max_size=4))
def test_a_sound_definition_with_anything_put_anywhere_never_raises(place: tuple[Any, ...], new: Any) -> None:
    timed(replaced(WHOLE, place, new))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(PLACES[1:]), st.sampled_from(WORDS))
def test_a_sound_definition_with_any_key_renamed_never_raises(place: tuple[Any, ...], word: str) -> None:
    holder: Any = WHOLE
    for key in place[:-1]:
        holder = holder[key]
    if isinstance(holder, dict):
        renamed = {word if key == place[-1] else key: value for key, value in holder.items()}
        timed(replaced(WHOLE, place[:-1], renamed))


# Documents of others


@pytest.mark.skipif(not CTK.is_dir(), reason="the conformance kit is not beside the project")
def test_the_conformance_kit_is_sound_but_for_what_is_not_there_yet() -> None:
    seen = 0
    for feature in sorted(CTK.glob("*.feature")):
        for text in re.findall(r'with definition:\n\s*"""yaml\n(.*?)"""', feature.read_text(), re.DOTALL):
            indent = len(text) - len(text.lstrip())
            definition = documents.load("\n".join(line[indent:] for line in text.splitlines())).value
            result = problems(definition)
            expected = {"not_supported"}
            if "authentication:" in text:
                expected.add("unknown_argument")
            assert {problem.code for problem in result} <= expected, (feature.name, result)
            seen += 1
    assert seen >= 20


def test_a_hundred_steps_are_validated_quickly() -> None:
    """The target is 20 ms warm on a quiet machine; the bound leaves room for a busy one."""
    base: Any = documents.load(SOUND).value
    definition: Any = {"do": []}
    for copy_number in range(12):
        for entry in base:
            [(name, body)] = entry.items()
            text = json.dumps(body)
            for other in base:
                [(old, _)] = other.items()
                text = text.replace(f'"then": "{old}"', f'"then": "{old}{copy_number}"')
                text = text.replace(f"$steps.{old}.", f"$steps.{old}{copy_number}.")
            definition["do"].append({f"{name}{copy_number}": json.loads(text)})
    del definition["do"][-1]["send11"]["then"]
    for entry in definition["do"][:-1]:
        for body in entry.values():
            if body.get("call") == "http":
                body.pop("then", None)
    assert problems(definition) == []
    timings = []
    for _ in range(5):
        began = time.process_time()
        problems(definition)
        timings.append(time.process_time() - began)
    print(f"96 steps: {min(timings) * 1000:.1f} ms")
    assert min(timings) < 0.1


LARGE = "x" * 131_071


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"set": {"a": 1, "b": {"c": [1, LARGE]}}}, "/do/0/it/set/b/c/1"),
        ({"set": {"a": [LARGE[:70_000]], "b": "${ . }", "c": LARGE[:70_000]}}, "/do/0/it/set"),
        ({"call": "email.send", "with": {"to": "a", "subject": "b", "body": LARGE}}, "/do/0/it/with/body"),
        ({"set": {"a": 1}, "output": {"as": {"a": LARGE}}}, "/do/0/it/output/as/a"),
    ],
)
def test_a_value_too_large_for_the_state_is_told_before_it_always_fails(step: Any, pointer: str) -> None:
    [problem] = problems({"do": [{"it": step}]})
    assert (problem.pointer, problem.code, problem.severity) == (pointer, "value_too_large", "error")
    assert "128 KB" in problem.message
    assert problem.suggestion


def test_a_value_at_the_limit_is_none_too_large() -> None:
    at_the_limit = {"a": "x" * (131_072 - len('{"a":""}'))}
    assert problems({"do": [{"it": {"set": at_the_limit}}]}) == []
    # Expressions may become as small as one digit.
    many = {f"{n:05}": "${ .field_of_the_input }" for n in range(4_000)}
    assert problems({"do": [{"it": {"set": many}}]}) == []
