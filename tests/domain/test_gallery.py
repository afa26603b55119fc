"""Every shipped template is sound, and does in memory what its cases say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from activities.actions.registry import built_in
from api.gallery import HERE, SLUGS, shipped
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.definitions.schemas import compile_schema
from domain.definitions.validation import validate
from domain.errors import Invalid
from domain.forms import Kind, form_of
from domain.gallery import ORGANIZATION, addressed_to, copied, instantiated, schema_of
from perdure.cli.workflow_cases import read_cases, run_case

CATALOGUE = built_in().specs()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_template_has_no_problem_not_even_a_warning(slug: str) -> None:
    parts = shipped()[slug].parts
    found = validate(
        parts["definition"],
        triggers=parts["triggers"],
        actions=parts["actions"],
        variables=parts["variables"],
        catalogue=CATALOGUE,
    )
    assert [(each.pointer, each.message) for each in found] == []


@pytest.mark.parametrize("slug", SLUGS)
def test_a_template_does_what_its_cases_say(slug: str) -> None:
    parts = shipped()[slug].parts
    beside = {name: parts[name] for name in ("triggers", "actions")}
    variables = addressed_to(parts["variables"], "Harbour & Lane")
    published = publish(
        parts["definition"],
        name=slug,
        namespace="harbour",
        variables=variables,
        catalogue=CATALOGUE,
        **beside,
    )
    program = load_program(json.loads(json.dumps(published.compiled)))
    cases = read_cases(HERE / f"{slug}.test.yaml")
    assert len(cases) >= 3
    for case in cases:
        result = run_case(program, CATALOGUE, case)
        assert not result.failures, f"{case.name}: {result.failures}"


@pytest.mark.parametrize("slug", SLUGS)
def test_people_can_fill_a_template_in(slug: str) -> None:
    """Each variable says what it is for, and has a title; so does each field of the start form."""
    parts = shipped()[slug].parts
    for name, declared in parts["variables"].items():
        assert declared["description"], name
        assert declared["schema"]["title"], name
    form = schema_of(addressed_to(parts["variables"], "Harbour & Lane"))
    assert not compile_schema(form).problems(
        {name: each["default"] for name, each in form["properties"].items()}
    )
    for schema in (form, parts["definition"]["input"]["schema"]["document"]):
        assert form_of(schema).root.kind is Kind.GROUP
        assert all(each.get("title") for each in schema["properties"].values())


#: All that our schemas say. A comma in an unquoted description would make a word of its own.
WORDS = {
    *(
        "type",
        "title",
        "description",
        "default",
        "enum",
        "examples",
        "required",
        "properties",
        "items",
        "format",
        "pattern",
        "x-order",  # of fields: PostgreSQL keeps no order of members
    ),
    *("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "uniqueItems"),
}


@pytest.mark.parametrize("slug", SLUGS)
def test_every_word_of_a_schema_means_something(slug: str) -> None:
    parts = shipped()[slug].parts
    schemas = [each["schema"] for each in parts["variables"].values()]
    schemas.append(parts["definition"]["input"]["schema"]["document"])
    schemas += list(_forms(parts["definition"])) + list(_forms(parts["actions"]))
    while schemas:
        schema = schemas.pop()
        assert schema.keys() <= WORDS, schema
        schemas += schema.get("properties", {}).values()
        schemas += [schema["items"]] if "items" in schema else []


@pytest.mark.parametrize("slug", SLUGS)
def test_forms_ask_in_the_order_in_which_they_are_written(slug: str) -> None:
    parts = shipped()[slug].parts
    schemas = [parts["definition"]["input"]["schema"]["document"]]
    schemas += list(_forms(parts["definition"])) + list(_forms(parts["actions"]))
    while schemas:
        schema = schemas.pop()
        properties = schema.get("properties", {})
        kept = {
            **schema,
            "properties": dict(sorted(properties.items(), key=lambda each: (len(each[0]), each[0]))),
        }
        if properties:  # as PostgreSQL gives them back
            assert [member.key for member in form_of(kept).root.members] == list(properties)
        schemas += properties.values()
        schemas += [schema["items"]] if "items" in schema else []


def _forms(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "form" in value:
            yield value["form"]
        for each in value.values():
            yield from _forms(each)
    elif isinstance(value, list):
        for each in value:
            yield from _forms(each)


def test_every_file_of_the_gallery_is_in_it() -> None:
    files = {file.name.removesuffix(".yaml").removesuffix(".test") for file in HERE.glob("*.yaml")}
    assert files == set(SLUGS)


VARIABLES = {
    "firm": {"schema": {"type": "string"}, "default": ORGANIZATION, "description": "Who signs"},
    "days": {"schema": {"type": "integer", "minimum": 1}, "default": 3},
    "any": {"default": None},
}


def test_what_is_given_takes_the_place_of_the_default() -> None:
    made = instantiated(VARIABLES, {"days": 5, "any": [1]})
    assert (made["days"]["default"], made["any"]["default"]) == (5, [1])
    assert made["firm"] == VARIABLES["firm"]
    assert VARIABLES["days"]["default"] == 3


def test_every_value_that_does_not_fit_is_told() -> None:
    with pytest.raises(Invalid) as caught:
        instantiated(VARIABLES, {"days": 0, "a/b": 1, "firm": 7})
    assert [each.pointer for each in caught.value.problems] == [
        "#/variables/days",
        "#/variables/a~1b",
        "#/variables/firm",
    ]
    assert all(each.suggestion or each.message for each in caught.value.problems)


def test_a_schema_that_nobody_can_use_is_told_and_not_raised() -> None:
    with pytest.raises(Invalid, match="cannot be filled in"):
        instantiated({"a": {"schema": {"type": "nothing"}, "default": 1}}, {"a": 1})


def test_the_form_shows_defaults_and_descriptions() -> None:
    assert schema_of(addressed_to(VARIABLES, "Quay")) == {
        "type": "object",
        "properties": {
            "firm": {"type": "string", "description": "Who signs", "default": "Quay"},
            "days": {"type": "integer", "minimum": 1, "default": 3},
            "any": {"default": None},
        },
        "required": ["firm", "days"],
        "additionalProperties": False,
    }


def test_a_copy_keeps_of_the_header_what_is_no_name() -> None:
    header = {"dsl": "1.0.3", "namespace": "a", "name": "b", "version": "1.0.0", "title": "T"}
    assert copied({"document": header, "do": []}) == {"document": {"dsl": "1.0.3", "title": "T"}, "do": []}
    assert copied({"do": 1}) == {"do": 1}
    assert copied({"document": 7}) == {"document": 7}
