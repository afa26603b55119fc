import copy
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.actions import Catalogue
from domain.definitions.program import load_program
from domain.definitions.publishing import Published, digest, dns_label, publish
from domain.errors import Invalid
from tests.domain.sample_catalogue import CATALOGUE, TEXT, spec
from tests.domain.sample_definitions import JSON, PLACES, WHOLE, WORDS, replaced

CTK = Path(os.environ.get("PERDURE_CTK_DIR", Path(__file__).parents[3] / "shared" / "conformance" / "ctk"))
SCHEMA = CTK.parent / "schema" / "open-workflow-1.0.3.json"

DEFINITION: dict[str, Any] = {
    "do": [
        {"first": {"call": "mail", "with": {"subject": "Hello ${ .name }"}}},
        {"pause": {"wait": "1 h 30 min"}},
        {
            "each": {
                "for": {"in": [{"a": 1}, {"b": 'brace } and "quote" and \\(1) é 😀'}]},
                "do": [{"send": {"call": "email.send:1.0.0@default", "with": {"to": "x", "subject": "y"}}}],
            }
        },
        {"fetch": {"call": "http", "with": {"method": "get", "endpoint": "https://example.org"}}},
        {"until": {"wait": "${ .delay }"}},
    ]
}
ACTIONS = [{"name": "mail", "uses": "email.send", "with": {"to": "a@example.org"}}]


def published(definition: Any = DEFINITION, **changes: Any) -> Published:
    given = {
        "name": "Client Önboarding",
        "namespace": "ACME Ltd.",
        "actions": ACTIONS,
        "catalogue": CATALOGUE,
    }
    return publish(definition, **{**given, **changes})


def test_the_header_is_filled_in_from_name_and_organization() -> None:
    assert published().document["document"] == {
        "dsl": "1.0.3",
        "namespace": "acme-ltd",
        "name": "client-onboarding",
        "version": "1.0.0",
    }
    written = {"document": {"name": "mine", "title": "Mine"}, **DEFINITION}
    assert published(written).document["document"]["name"] == "mine"
    assert published(written).document["document"]["title"] == "Mine"


def test_calls_are_pinned_under_the_words_of_the_document() -> None:
    calls = published().compiled["calls"]
    assert calls.keys() == {"mail", "email.send:1.0.0@default", "http"}
    assert calls["mail"] == {
        "action": "email.send",
        "version": "1.2.0",
        "lane": "activity",
        "effect": "keyed",
        "timeout_ms": 30_000,
        "with": {"to": "a@example.org"},
    }
    assert calls["email.send:1.0.0@default"]["version"] == "1.0.0"
    assert calls["http"]["action"] == "http.request"


def test_light_writing_becomes_the_language_of_the_standard() -> None:
    document = published().document
    assert document["do"][1]["pause"]["wait"] == "PT1H30M"
    assert document["do"][4]["until"]["wait"] == "${ .delay }"
    assert json.loads(document["do"][2]["each"]["for"]["in"]) == DEFINITION["do"][2]["each"]["for"]["in"]


def test_the_interpreter_loads_what_was_published() -> None:
    program = load_program(json.loads(json.dumps(published().compiled)))
    assert {step.name for step in program.steps.values()} == {
        "first",
        "pause",
        "each",
        "send",
        "fetch",
        "until",
    }


def test_variables_become_values() -> None:
    variables = {"fee": {"schema": {"type": "integer"}, "default": 3}, "note": {"default": None}}
    assert published(variables=variables).compiled["variables"] == {"fee": 3, "note": None}
    assert published().compiled["variables"] == {}


def test_the_digest_is_of_the_content_not_of_its_order() -> None:
    first = published()
    assert re.fullmatch("[0-9a-f]{64}", first.sha256)
    step = DEFINITION["do"][0]["first"]
    turned = {"do": [{"first": dict(reversed(step.items()))}, *DEFINITION["do"][1:]]}
    assert published(turned).sha256 == first.sha256
    assert digest(json.loads(json.dumps(first.compiled, sort_keys=True))) == first.sha256
    assert published(name="Other").sha256 != first.sha256
    newer = Catalogue([*CATALOGUE, spec("email.send", "1.3.0", to=TEXT, subject=TEXT)])
    assert published(catalogue=newer).sha256 != first.sha256
    assert published(variables={"fee": {"default": 3}}).sha256 != first.sha256


def test_publishing_changes_nothing_it_was_given() -> None:
    definition, actions = copy.deepcopy(DEFINITION), copy.deepcopy(ACTIONS)
    result = published(definition, actions=actions)
    result.document["do"].clear()
    assert (definition, actions) == (DEFINITION, ACTIONS)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(Invalid, match="3 problems") as refusal:
        published({"do": [{"a": {"wait": "x"}}, {"b": {"call": "nobody"}}, {"c": {}}]}, actions=[])
    assert [problem.pointer for problem in refusal.value.problems] == [
        "/do/0/a/wait",
        "/do/1/b/call",
        "/do/2/c",
    ]
    with pytest.raises(Invalid, match="1 problem;"):
        published(None)


def test_a_warning_does_not_hinder() -> None:
    assert published({"do": [{"a": {"call": "pay", "with": {"amount": 3}}}]}).compiled["calls"].keys() == {
        "pay"
    }
    with pytest.raises(Invalid, match="1 problem;") as refusal:
        published({"do": [{"a": {"call": "pay", "with": {"amount": 3}}}, {"b": {"wait": 1}}]})
    assert {problem.severity for problem in refusal.value.problems} == {"warning", "error"}


@settings(deadline=None)
@given(st.text())
def test_every_name_becomes_a_dns_label(name: str) -> None:
    assert re.fullmatch("[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", dns_label(name, "workflow"))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), JSON | st.dictionaries(st.sampled_from(WORDS), JSON, max_size=3))
def test_what_is_published_can_be_run(place: tuple[Any, ...], new: Any) -> None:
    try:
        result = published(replaced(WHOLE, place, new))
    except Invalid:
        return
    load_program(json.loads(json.dumps(result.compiled)))


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the JSON Schema of the DSL is not beside the project")
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), JSON | st.dictionaries(st.sampled_from(WORDS), JSON, max_size=3))
def test_what_is_published_satisfies_the_schema_of_the_dsl(place: tuple[Any, ...], new: Any) -> None:
    try:
        result = published(replaced(WHOLE, place, new))
    except Invalid:
        return
    errors = [error.message for error in dsl_validator().iter_errors(result.document)]
    assert not errors, (result.document, errors)


@cache
def dsl_validator() -> Any:
    return jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
