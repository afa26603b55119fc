"""JSON Schemas of definitions: what is refused and told, and that neither schema nor value can stall a check."""

# programs and their results stay on one line

import time
from decimal import Decimal
from typing import Any

import jsonschema_rs
import orjson
import pytest

from domain.definitions.schema_problems import sentence, tell
from domain.definitions.schemas import Schema, SchemaProblem, SchemaRefused, compile_schema
from domain.definitions.values import quote
from tests.pace import slowness, small_heap

__all__ = ["small_heap"]  # a fixture of this whole module

SECONDS = 0.25


def refused(schema: Any) -> SchemaRefused:
    began = time.thread_time()
    with pytest.raises(SchemaRefused) as caught:
        compile_schema(schema)
    assert time.thread_time() - began <= SECONDS * slowness()
    return caught.value


def problems(schema: Any, value: Any) -> list[SchemaProblem]:
    compiled = compile_schema(schema)
    began = time.thread_time()
    found = compiled.problems(value)
    assert time.thread_time() - began <= SECONDS * slowness()
    return found


CLIENT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "status": {"enum": ["active", "inactive"]},
        "email": {"type": "string", "format": "email"},
        "year": {"type": "integer", "minimum": 1900},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def test_a_valid_value_has_no_problems() -> None:
    assert (
        problems(CLIENT, {"name": "Ada", "status": "active", "email": "ada@example.com", "year": 2024.0})
        == []
    )
    assert isinstance(compile_schema(True), Schema)


def test_every_problem_is_told_with_its_place_and_remedy() -> None:
    found = problems(CLIENT, {"status": "activ", "email": "nope", "year": 3, "nam": "x"})
    assert {problem.pointer: problem.message for problem in found if problem.pointer} == {
        "/status": 'must be one of "active", "inactive"',
        "/email": "is not a valid email",
        "/year": "must be at least 1900",
    }
    assert {problem.suggestion for problem in found} >= {"did you mean active?", 'add "name"'}
    assert any('"nam" is not expected here' in problem.message for problem in found)


def test_alternatives_tell_the_one_that_comes_closest() -> None:
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "n": {"type": "number"}}, "required": ["kind"]},
            {"properties": {"kind": {"const": "b"}, "s": {"type": "string"}}, "required": ["kind", "s"]},
        ]
    }
    assert problems(schema, {"kind": "b"}) == [SchemaProblem("", '"s" is missing', 'add "s"')]
    assert problems({"anyOf": [{"type": "string"}, {"type": "object", "required": ["a"]}]}, {}) == [
        SchemaProblem("", '"a" is missing', 'add "a"')
    ]


@pytest.mark.parametrize(
    ("schema", "pointer", "word"),
    [
        ({"$ref": "http://schemas.example/a"}, "/$ref", "never fetched"),
        ({"$ref": "file:///etc/passwd"}, "/$ref", "never fetched"),
        ({"items": {"$ref": "other.json#/a"}}, "/items/$ref", "never fetched"),
        ({"$ref": "#/$defs/nothing"}, "/$ref", "refers to nothing"),
        ({"$ref": "#anchor"}, "/$ref", "refers to nothing"),
        ({"properties": {"a": {"type": "strin"}}}, "/properties/a/type", "did you mean string?"),
        ({"pattern": "(?=a)b"}, "/pattern", "not linear"),
        ({"pattern": "(a)\\1"}, "/pattern", "not linear"),
        (
            {"patternProperties": {"(a{1,999}){1,999}": {}}},
            "/patternProperties/(a{1,999}){1,999}",
            "cannot be used",
        ),
        ({"minimum": "3"}, "/minimum", "must be of type number"),
        ({"$ref": "#"}, "", "refers to itself"),
        ({"$dynamicRef": "#x"}, "/$dynamicRef", "no bound"),
        ({"properties": {"a": {"$id": "http://x.example/"}}}, "/properties/a/$id", "at the top only"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "/$schema", "dialect"),
        ({"allOf": {}}, "/allOf", "list of schemas"),
        ({"properties": {"a": 1}}, "/properties/a", "object or a boolean"),
        (["not a schema"], "", "object or a boolean"),
        ({"default": float("nan")}, "/default", "NaN"),
    ],
)
def test_what_is_refused_says_where_and_why(schema: Any, pointer: str, word: str) -> None:
    refusal = refused(schema)
    assert refusal.pointer == pointer
    assert word in refusal.message


def doubling(levels: int, keyword: str) -> dict[str, Any]:
    parts: dict[str, Any] = {
        f"a{level}": {keyword: [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$defs": {**parts, f"a{levels}": {"type": "string"}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_refused(keyword: str) -> None:
    assert "multiply" in refused(doubling(24, keyword)).message
    assert problems(doubling(6, keyword), "x") == [] or keyword == "oneOf"


def test_other_schemas_without_a_bound_are_refused() -> None:
    nested: Any = {"type": "object"}
    for _ in range(20):
        nested = {"unevaluatedProperties": False, "allOf": [nested]}
    assert "multiply" in refused(nested).message
    chain = {f"a{level}": {"$ref": f"#/$defs/a{level + 1}"} for level in range(500)}
    assert "in a row" in refused({"$defs": {**chain, "a500": {}}, "$ref": "#/$defs/a0"}).message
    deep: Any = {}
    for _ in range(100_000):
        deep = {"not": deep}
    assert "deeper" in refused(deep).message
    assert "more than" in refused({"$defs": {str(number): {} for number in range(5_000)}}).message


TOO_COSTLY = "the value takes too many steps to check against its schema"


def test_recursion_that_branches_on_the_way_down_is_stopped() -> None:
    tree = {
        "$ref": "#/$defs/t",
        "$defs": {"t": {"allOf": [{"properties": {"l": {"$ref": "#/$defs/t"}}}] * 2}},
    }
    value: Any = {}
    for _ in range(3):
        value = {"l": value}
    assert problems(tree, value) == []
    for _ in range(40):
        value = {"l": value}
    assert [problem.message for problem in problems(tree, value)] == [TOO_COSTLY]


def test_dear_assertions_are_counted() -> None:
    assert problems({"uniqueItems": True}, list(range(5_000))) == []
    assert [found.message for found in problems({"uniqueItems": True}, list(range(30_000)))] == [TOO_COSTLY]
    pattern = {"pattern": "([ab]*)a([ab]{400})c"}
    assert [found.message for found in problems(pattern, "ab" * 50_000)] == [TOO_COSTLY]
    names = {"patternProperties": {"([ab]*)a([ab]{400})c": False}}
    assert [found.message for found in problems(names, {"ab" * 25_000: 1})] == [TOO_COSTLY]


def test_large_values_get_one_problem_instead_of_thousands() -> None:
    schema = {"items": {"allOf": [{"type": "string"}] * 5}}
    found = problems(schema, list(range(6_000)))
    assert found == [SchemaProblem("/0", "must be of type string", None)]
    assert len(problems(schema, list(range(60)))) == 50


def test_shared_and_deep_values_do_not_stall() -> None:
    value: Any = 1
    for _ in range(60):
        value = [value, value]
    assert "larger" in problems({"type": "array"}, value)[0].message
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    chain = {"$ref": "#/$defs/l", "$defs": {"l": {"items": {"$ref": "#/$defs/l"}}}}
    assert "deeper" in problems(chain, deep)[0].message
    level: Any = 1
    for _ in range(64):
        level = [level]
    assert problems(chain, level) == []
    assert "deeper" in problems(chain, [level])[0].message


DRAFT_7 = "http://json-schema.org/draft-07/schema#"
#: One schema and one wrong value for every kind of error the validator can make of a stored schema.
WRONG: dict[str, tuple[Any, Any]] = {
    "AdditionalItems": ({"$schema": DRAFT_7, "items": [{}], "additionalItems": False}, [1, 2]),
    "AdditionalProperties": ({"properties": {"b": True}, "additionalProperties": False}, {"a": 1}),
    "AnyOf": ({"anyOf": [{"minimum": 3}, {"maximum": 1}]}, 2),
    "Constant": ({"const": {"a": 10.5}}, 1),
    "Contains": ({"contains": {"type": "string"}}, [1]),
    "ContentEncoding": ({"$schema": DRAFT_7, "contentEncoding": "base64"}, "%%"),
    "ContentMediaType": ({"$schema": DRAFT_7, "contentMediaType": "application/json"}, "{"),
    "Enum": ({"enum": [1, "a"]}, 2),
    "ExclusiveMaximum": ({"exclusiveMaximum": 1e300}, 1e301),
    "ExclusiveMinimum": ({"exclusiveMinimum": 1}, 1),
    "FalseSchema": ({"properties": {"a": False}}, {"a": 1}),
    "Format": ({"format": "email"}, "x"),
    "FromUtf8": (
        {"$schema": DRAFT_7, "contentEncoding": "base64", "contentMediaType": "application/json"},
        "/w==",
    ),
    "MaxItems": ({"maxItems": 1}, [1, 2]),
    "MaxLength": ({"maxLength": 1}, "ab"),
    "MaxProperties": ({"maxProperties": 0}, {"a": 1}),
    "Maximum": ({"maximum": 1}, 2),
    "MinItems": ({"minItems": 1}, []),
    "MinLength": ({"minLength": 1}, ""),
    "MinProperties": ({"minProperties": 1}, {}),
    "Minimum": ({"minimum": 1e300}, 2),
    "MultipleOf": ({"multipleOf": 0.1}, 0.25),
    "Not": ({"not": {"type": "string"}}, "a"),
    "OneOfMultipleValid": ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3),
    "OneOfNotValid": ({"oneOf": [{"minimum": 3}, {"maximum": 1}]}, 2),
    "Pattern": ({"pattern": "^a"}, "b"),
    "PropertyNames": ({"propertyNames": {"pattern": "^a"}}, {"b": 1}),
    "Required": ({"required": ["a"]}, {}),
    "Type": ({"type": ["string", "null"]}, 1),
    "UnevaluatedItems": ({"prefixItems": [{}], "unevaluatedItems": False}, [1, 2]),
    "UnevaluatedProperties": ({"unevaluatedProperties": False}, {"a": 1}),
    "UniqueItems": ({"uniqueItems": True}, [1, 1]),
}
#: Keywords of our own, which we do not add; references, refused before; a regular expression that gives up,
#: which the linear engine never does.
UNREACHABLE = {"Custom", "Referencing", "BacktrackLimitExceeded", "RegexEngineFailure"}


def test_the_sweep_leaves_no_kind_of_error_out() -> None:
    kinds = {name for name in dir(jsonschema_rs.ValidationErrorKind) if name[0].isupper()}
    assert kinds == WRONG.keys() | UNREACHABLE


@pytest.mark.parametrize("kind", WRONG)
def test_every_kind_of_error_is_told(kind: str) -> None:
    schema, value = WRONG[kind]
    [error] = jsonschema_rs.validator_for(schema, validate_formats=True).iter_errors(value)
    assert type(error.kind).__name__ == kind
    for found in (*tell([error], 50), *tell([error], 1)):
        assert found.message
        assert "<" not in found.message, "a foreign object, not words"
        assert orjson.dumps(found)
    assert sentence(error)


@pytest.mark.parametrize(
    ("names", "name", "message", "suggestion"),
    [
        ({"pattern": "^a"}, "b", 'the member name "b" must match the regular expression ^a', None),
        ({"maxLength": 1}, "bc", 'the member name "bc" must have at most 1 characters', None),
        ({"enum": ["name"]}, "nam", 'the member name "nam" must be one of "name"', "did you mean name?"),
        (False, "b", "must have no members", "remove them"),
        (
            {"anyOf": [{"minLength": 3}, {"maxLength": 1}]},
            "bc",
            'the member name "bc" fits none of the alternatives',
            None,
        ),
    ],
)
def test_a_wrong_member_name_is_told_at_its_object(
    names: Any, name: str, message: str, suggestion: str | None
) -> None:
    [found] = problems({"properties": {"x": {"propertyNames": names}}}, {"x": {name: 1}})
    assert found == SchemaProblem("/x", message, suggestion or "rename or remove it")


def test_quoting_never_fails_on_foreign_values() -> None:
    assert quote(Decimal("0.10")) == '"0.10"'
    assert quote({"a": [ValueError("odd")]}) == '{"a":["odd"]}'
    assert len(quote([10**5_000, object()])) <= 60


def test_expressions_in_data_are_not_compiled() -> None:
    assert problems({"format": "regex"}, "(a{1,999}){1,999}") == []


def test_local_references_and_anchors_work() -> None:
    schema = {
        "$id": "https://schemas.example/top",
        "$defs": {"name": {"$anchor": "name", "type": "string"}, "a/b": {"type": "integer"}},
        "properties": {"x": {"$ref": "#name"}, "y": {"$ref": "#/$defs/a~1b"}, "$ref": {"type": "string"}},
    }
    assert problems(schema, {"x": "a", "y": 1, "$ref": "http://any"}) == []
    assert {problem.pointer for problem in problems(schema, {"x": 1, "y": "a"})} == {"/x", "/y"}


def test_an_ordinary_list_is_cheap_enough() -> None:
    schema = {"items": CLIENT}
    value = [{"name": "Ada", "status": "active", "year": 2000}] * 3_000
    assert problems(schema, value) == []
    assert [problem.pointer for problem in problems(schema, [*value[:2_999], {"name": 1}])] == ["/2999/name"]
