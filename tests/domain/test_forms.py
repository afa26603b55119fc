"""Forms: what is filled in comes back as the value, in agreement with the schema, whatever the schema is."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.forms import Field, Filled, Form, Kind, filled_with, form_of, read, worded


def post(form: Form, filled: Filled) -> dict[str, list[str]]:
    """What a browser sends of a page that shows this: every text, and what untouched boxes say."""
    return {name: list(texts) for name, texts in filled.texts.items()}


def fill(schema: Any, **texts: str | list[str]) -> Filled:
    """Texts by path, with dots for slashes."""
    sent = {"data" + "".join(f"/{part}" for part in name.split("__") if part): texts[name] for name in texts}
    return read(form_of(schema), {name: [it] if isinstance(it, str) else it for name, it in sent.items()})


def told(filled: Filled) -> dict[str, str]:
    return {problem.pointer: problem.message for problem in filled.problems}


ONBOARDING = {
    "type": "object",
    "title": "New client",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 80, "title": "Name of the client"},
        "email": {"type": "string", "format": "email"},
        "notes": {"type": "string", "maxLength": 2000},
        "employees": {"type": "integer", "minimum": 1},
        "fee": {"type": "number"},
        "since": {"type": "string", "format": "date"},
        "meeting": {"type": "string", "format": "date-time"},
        "vat": {"type": "boolean"},
        "remind": {"type": "boolean", "default": True},
        "kind": {"enum": ["company", "person"]},
        "services": {"type": "array", "uniqueItems": True, "items": {"enum": ["tax", "payroll", "audit"]}},
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "country": {"type": "string", "default": "SE"}},
            "required": ["street", "country"],
        },
        "owners": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "share": {"type": "number", "maximum": 100}},
                "required": ["name"],
            },
        },
    },
    "required": ["name", "email", "kind"],
}


def test_every_kind_of_field_comes_back_as_its_value() -> None:
    filled = fill(
        ONBOARDING,
        name="Nils AB",
        email=" nils@example.se ",
        notes="One\r\ntwo",
        employees="1 200",
        fee="12.50",
        since="2026-11-22",
        meeting="2026-11-22T14:30",
        vat="false",
        remind=["false"],
        kind="company",
        services=["", "payroll", "tax"],
        address__street="Storgatan 1",
        address__country="SE",
        owners__0__name="Nils",
        owners__0__share="60",
        owners__1__name="",
        owners__2__name="Ada",
    )
    assert filled.problems == ()
    assert filled.is_complete
    assert filled.value == {
        "name": "Nils AB",
        "email": "nils@example.se",
        "notes": "One\ntwo",
        "employees": 1200,
        "fee": 12.5,
        "since": "2026-11-22",
        "meeting": "2026-11-22T14:30:00+00:00",
        "vat": False,
        "remind": False,
        "kind": "company",
        "services": ["tax", "payroll"],
        "address": {"street": "Storgatan 1", "country": "SE"},
        "owners": [{"name": "Nils", "share": 60}, {"name": "Ada"}],
    }


def test_what_is_left_empty_is_left_out() -> None:
    untouched = {**post(form_of(ONBOARDING), filled_with(form_of(ONBOARDING)))}
    assert untouched["data/address/country"] == ["SE"]
    filled = read(
        form_of(ONBOARDING),
        {**untouched, "data/name": ["Nils"], "data/email": ["n@e.se"], "data/kind": ["person"]},
    )
    assert filled.problems == ()
    assert filled.value == {"name": "Nils", "email": "n@e.se", "kind": "person", "remind": True}


def test_problems_stand_at_their_fields() -> None:
    filled = fill(
        ONBOARDING,
        name="N",
        email="nobody",
        employees="many",
        fee="1,5",
        since="22.11.2026",
        kind="cat",
        address__country="NO",
        owners__0__share="12",
        owners__1__name="Ada",
        owners__1__share="200",
    )
    assert told(filled) == {
        "/name": "Must have at least 2 characters.",
        "/email": "Is not a valid email.",
        "/employees": "Give a whole number, such as 12.",
        "/fee": "Give a number, with a point before decimals, such as 12.50.",
        "/since": "Give a date as year-month-day, such as 2026-11-22.",
        "/kind": "Choose one of the options; this was none of them.",
        "/address/street": "Fill this in.",
        "/owners/0/name": "Fill this in.",
        "/owners/1/share": "Must be at most 100.",
    }
    assert [problem.message for problem in filled.at("data/name")] == ["Must have at least 2 characters."]
    assert filled.text("data/employees") == "many"
    assert form_of(ONBOARDING).titled("/owners/1/share") == "Owners 2, Share"
    shown = [member.key for member in form_of(ONBOARDING).root.members]
    places = [shown.index(problem.pointer.split("/")[1]) for problem in filled.problems]
    assert places == sorted(places)  # told from top to bottom


def test_rows_move_up_and_grow_on_request() -> None:
    sent = {"data/owners/2/name": ["Ada"], "data/owners/7/share": ["x"], "data/owners/0/name": [" "]}
    filled = read(form_of(ONBOARDING), sent)
    assert filled.text("data/owners/0/name") == "Ada"
    assert filled.text("data/owners/1/share") == "x"
    assert "/owners/1/share" in told(filled)
    assert filled.rows["data/owners"] == 2
    grown = read(form_of(ONBOARDING), {**sent, "more": ["data/owners"]})
    assert (grown.is_complete, grown.problems, grown.value) == (False, (), None)
    assert grown.rows["data/owners"] == 3  # the limit of the list
    first = read(form_of(ONBOARDING), {"more": ["data/owners"]})
    assert first.rows["data/owners"] == 2
    assert not read(form_of({"type": "string"}), {"data": ["x"], "more": ["data/nothing"]}).is_complete


def test_moments_are_given_in_the_zone_of_the_organization() -> None:
    form = form_of({"type": "string", "format": "date-time"}, zone=ZoneInfo("Australia/Lord_Howe"))
    assert read(form, {"data": ["2026-07-01T09:00"]}).value == "2026-07-01T09:00:00+10:30"
    assert read(form, {"data": ["2026-07-01T09:00:00Z"]}).value == "2026-07-01T09:00:00+00:00"
    assert filled_with(form, "2026-06-30T22:30:00Z").text("data") == "2026-07-01T09:00"
    assert told(read(form, {"data": ["tomorrow"]})) == {
        "": "Give a date and a time, such as 2026-11-22T14:30."
    }


def test_consent_has_to_be_ticked_and_constants_are_not_asked_for() -> None:
    schema = {
        "properties": {"read": {"const": True, "title": "I have read it"}, "form": {"const": "A-1"}},
        "required": ["read", "form"],
    }
    kinds = {member.key: member.kind for member in form_of(schema).root.members}
    assert kinds == {"read": Kind.TICK, "form": Kind.FIXED}
    assert told(fill(schema, read="")) == {"/read": "Tick this box to go on."}
    assert fill(schema, read=["", "true"]).value == {"read": True, "form": "A-1"}


def test_choices_are_labelled_and_may_be_any_value() -> None:
    schema = {
        "properties": {
            "rate": {
                "oneOf": [{"const": 25, "title": "Normal"}, {"const": 12, "title": "Food"}, {"const": None}]
            },
            "mixed": {"enum": [1, True, "1", ["a"]]},
        }
    }
    rate, mixed = form_of(schema).root.members
    assert [(option.token, option.label) for option in rate.options] == [
        ("25", "Normal"),
        ("12", "Food"),
        ("null", "None"),
    ]
    for option in mixed.options:
        came = fill(schema, mixed=option.token).value
        assert came == {"mixed": option.value}
        assert type(came["mixed"]) is type(option.value)  # type: ignore[index,call-overload]


def test_an_answer_is_told_in_the_words_of_its_form() -> None:
    schema = {
        "properties": {
            "owners": {"type": "array", "items": {"properties": {"kind": {"enum": ["c", "p"]}, "x": {}}}},
            "rate": {"title": "VAT", "oneOf": [{"const": 25, "title": "Normal"}]},
            "tags": {
                "type": "array",
                "uniqueItems": True,
                "items": {"oneOf": [{"const": 1, "title": "One"}]},
            },
        },
        "x-order": ["rate", "owners"],
    }
    value = {"tags": [1, 2], "more": None, "owners": [{"kind": "c", "x": {"a": 1}}], "rate": 25}
    told = worded(form_of(schema).root, value)
    assert told == {
        "VAT": "Normal",
        "Owners": [{"Kind": "c", "X": {"a": 1}}],
        "Tags": ["One", 2],
        "more": None,
    }
    assert isinstance(told, dict)
    assert list(told) == ["VAT", "Owners", "Tags", "more"]
    alike = form_of({"properties": {"a": {"title": "Name"}, "b": {"title": "Name"}}}).root
    assert worded(alike, {"a": 1, "b": 2, "Name": 3}) == {"Name": 1, "Name (b)": 2, "Name (Name)": 3}


def test_references_unions_with_null_and_sums_are_plain() -> None:
    schema = {
        "$defs": {
            "money": {
                "type": "object",
                "properties": {"amount": {"type": "integer"}},
                "required": ["amount"],
            },
            "named": {"properties": {"name": {"type": "string"}}, "required": ["name"]},
        },
        "allOf": [
            {"$ref": "#/$defs/named"},
            {"properties": {"fee": {"$ref": "#/$defs/money", "title": "Fee"}}},
        ],
        "properties": {
            "phone": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "fax": {"type": ["string", "null"]},
        },
        "required": ["phone", "fee"],
    }
    form = form_of(schema)
    assert {member.key: (member.kind, member.required) for member in form.root.members} == {
        "name": (Kind.TEXT, True),
        "phone": (Kind.TEXT, True),
        "fee": (Kind.GROUP, True),
        "fax": (Kind.TEXT, False),
    }
    assert form.root.members[0].key == "name"
    filled = fill(schema, name="A", fee__amount="3", phone="")
    assert filled.value == {"name": "A", "phone": None, "fee": {"amount": 3}}


def test_order_comes_from_lists_since_the_database_keeps_none_of_members() -> None:
    properties = {name: {"type": "string"} for name in ("a", "bb", "ccc", "dddd")}
    schema = {"properties": properties, "required": ["ccc", "bb"], "x-order": ["dddd", 3, "none"]}
    assert [member.key for member in form_of(schema).root.members] == ["dddd", "ccc", "bb", "a"]


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {"type": ["string", "integer"]},
        {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        {
            "properties": {"a": {"type": "string"}},
            "if": {"properties": {"a": {"const": "x"}}},
            "then": {"required": ["b"]},
        },
        {"properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {}}},
    ],
)
def test_what_no_field_can_hold_is_one_area_for_json(schema: Any) -> None:
    form = form_of(schema)
    assert form.root.kind is Kind.JSON
    assert form.root.schema
    assert told(read(form, {"data": ['{"a": NaN}']})) == {"": "This cannot be used: NaN is no JSON number."}
    assert told(read(form, {"data": ["{"]}))[""].startswith("This is no JSON:")


def test_a_json_area_takes_any_value_the_schema_takes() -> None:
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert fill(free, _="").value == {}
    assert read(form_of(free), {"data": ['{"a": 1}']}).value == {"a": 1}
    wrong = read(form_of({"properties": {"map": free}}), {"data/map": ['{"a": {"b": 1}, "c": "x"}']})
    assert [(each.pointer, each.message) for each in wrong.problems] == [
        ("/map", "/a must be of type integer."),
        ("/map", "/c must be of type integer."),
    ]


def test_a_schema_that_cannot_be_used_refuses_every_answer_and_says_why() -> None:
    form = form_of({"$ref": "https://example.com/schema"})
    assert "never fetched" in form.refusal
    filled = read(form, {"data": ["{}"]})
    assert not filled.is_complete
    assert "never fetched" in filled.problems[0].message


def count(field: Field) -> int:
    inner = sum(count(member) for member in field.members)
    return 1 + inner + (count(field.item) if field.item else 0)


def test_hostile_schemas_stay_small() -> None:
    tree = {"properties": {"name": {"type": "string"}, "l": {"$ref": "#"}, "r": {"$ref": "#"}}}
    wide = {"properties": {f"p{number}": {"type": "string"} for number in range(300)}}
    bomb = {"$defs": {"d0": {"type": "string"}}, "$ref": "#/$defs/d12"}
    for level in range(1, 13):
        parts = {f"m{number}": {"$ref": f"#/$defs/d{level - 1}"} for number in range(9)}
        bomb["$defs"][f"d{level}"] = {"properties": parts}  # type: ignore[index]
    many = {"enum": [f"o{number}" for number in range(4_000)]}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(25):
        deep = {"properties": {"x": deep}}
    for schema in (tree, wide, bomb, many, deep):
        form = form_of(schema)
        assert count(form.root) <= 250
        read(form, {f"data{'/0' * 30}": ["x"], "data/l/l/l/l/l/l/l/l": ["{}"]})
    sums: dict[str, Any] = {"$defs": {"s0": {"type": "string"}}}
    for level in range(1, 11):
        sums["$defs"][f"s{level}"] = {"allOf": [{"$ref": f"#/$defs/s{level - 1}"}] * 2}
    for schema in (wide, {**sums, "properties": {f"p{n}": {"$ref": "#/$defs/s10"} for n in range(50)}}):
        assert form_of(schema).root.kind is Kind.JSON
    sent = {f"data/{number}/name": ["x"] for number in range(2_000)}
    rows = form_of({"type": "array", "items": {"properties": {"name": {"type": "string"}}}, "maxItems": 10})
    assert told(read(rows, sent)) == {"": "Must have at most 10 items."}


# A value is drawn first and its schema around it, so that each example is a form somebody could fill in.
names = st.text("abcdef/~ é0.", min_size=1, max_size=6)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=12).filter(
    str.strip
)
numbers = st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9, allow_nan=False)


def test_rows_that_a_schema_begins_with_are_as_few_as_a_page_can_draw() -> None:
    wide = {"type": "object", "properties": {f"m{n}": {"type": "string"} for n in range(60)}}
    texts = {"type": "array", "minItems": 50, "items": {"type": "string"}}
    nested = {"type": "array", "minItems": 50, "items": {"type": "object", "properties": {"a": texts}}}
    for schema in (
        {"type": "array", "items": wide, "default": [{}] * 5_000},
        {"type": "array", "items": wide, "minItems": 50},
        {"type": "object", "properties": {"a": nested}},
    ):
        assert form_of(schema).root.kind is Kind.JSON
    once = {"type": "array", "items": wide, "minItems": 10}
    assert form_of(once).root.kind is Kind.LIST
    late = form_of({"type": "array", "items": {"type": "object", "properties": {"x": wide, "a": texts}}})
    assert late.root.kind is Kind.LIST
    few = read(late, {f"data/{n}/x/m0": ["y"] for n in range(5)})
    many = read(late, {f"data/{n}/x/m0": ["y"] for n in range(900)})
    assert (few.problems, few.value) == ((), [{"x": {"m0": "y"}}] * 5)
    assert (many.rows, [each.code for each in many.problems]) == ({}, ["too_large"])


def scalars() -> st.SearchStrategy[tuple[dict[str, Any], Any]]:
    options = st.lists(words | st.integers(0, 9) | st.booleans(), min_size=1, max_size=7, unique_by=repr)
    return st.one_of(
        words.map(lambda word: ({"type": "string"}, word)),
        words.map(lambda word: ({"type": "string", "maxLength": 900}, word)),
        st.integers(-(2**63), 2**63 - 1).map(lambda number: ({"type": "integer"}, number)),
        numbers.map(lambda number: ({"type": "number"}, number)),
        st.booleans().map(lambda yes: ({"type": "boolean"}, yes)),
        st.dates().map(lambda day: ({"type": "string", "format": "date"}, day.isoformat())),
        st.datetimes(timezones=st.just(UTC)).map(
            lambda at: ({"type": "string", "format": "date-time"}, at.isoformat())
        ),
        options.map(lambda values: ({"enum": values}, values[-1])),
        options.map(lambda values: ({"oneOf": [{"const": value} for value in values]}, values[0])),
        words.map(lambda word: ({"const": word}, word)),
        st.dictionaries(names, numbers, max_size=3).map(lambda value: ({"type": "object"}, value)),
    )


def pairs(
    inner: st.SearchStrategy[tuple[dict[str, Any], Any]],
) -> st.SearchStrategy[tuple[dict[str, Any], Any]]:
    return groups(inner) | scalars().filter(lambda pair: "const" not in pair[0]).map(
        lambda pair: ({"type": "array", "items": pair[0]}, [pair[1]] * 3)
    )


@st.composite
def groups(
    draw: st.DrawFn, inner: st.SearchStrategy[tuple[dict[str, Any], Any]]
) -> tuple[dict[str, Any], Any]:
    members = draw(st.dictionaries(names, inner, min_size=1, max_size=4))
    given = set(draw(st.lists(st.sampled_from(sorted(members)), min_size=1)))
    required = sorted(name for name in given if draw(st.booleans()))
    schema = {
        "type": "object",
        "properties": {name: schema for name, (schema, _) in members.items()},
        "required": required,
    }
    return schema, {name: members[name][1] for name in members if name in given}


def left_out(schema: dict[str, Any], value: Any, *, required: bool = False) -> bool:
    """Whether a form cannot tell this from nothing: no text, row, choice or tick in it is anybody's answer."""
    if "properties" in schema:
        needed = schema["required"]
        return all(
            left_out(schema["properties"][name], inner, required=name in needed)
            for name, inner in value.items()
        )
    # Whoever may leave a constant out, or consents by it, ticks it.
    return "const" in schema and required and schema["const"] is not True


def normal(schema: dict[str, Any], value: Any, *, required: bool = True) -> Any:
    """A value without the groups that a form cannot tell from nothing."""
    if "properties" not in schema:
        return value
    kept = {}
    for name, inner in value.items():
        part, is_required = schema["properties"][name], name in schema["required"]
        if is_required or "const" in part or not left_out(part, inner):
            kept[name] = normal(part, inner)
    return kept


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups(st.recursive(scalars(), pairs, max_leaves=6)))
def test_what_is_filled_in_comes_back(pair: tuple[dict[str, Any], Any]) -> None:
    schema, value = pair
    form = form_of(schema)
    filled = filled_with(form, value)
    came = read(form, post(form, filled))
    assert came.problems == ()
    assert came.value == normal(schema, value)
    assert came.texts.items() >= {k: v for k, v in filled.texts.items() if v != ("",)}.items()
    assert compile_schema(schema).problems(came.value) == []


ANY_TEXT = st.text(max_size=12) | st.sampled_from(
    ["1", "true", "null", "{}", "[1]", "2026-11-22", "a@b.se", "x y"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups(st.recursive(scalars(), pairs, max_leaves=6)), st.data())
def test_whatever_is_posted_either_fits_the_schema_or_is_told(
    pair: tuple[dict[str, Any], Any], data: st.DataObject
) -> None:
    schema, value = pair
    form = form_of(schema)
    sent = post(form, filled_with(form, value))
    for name in data.draw(st.lists(st.sampled_from(sorted(sent) or ["data"]), max_size=3)):
        sent[name] = [data.draw(ANY_TEXT)]
    came = read(form, sent)
    assert came.is_complete == (came.problems == ())
    if came.is_complete:
        assert compile_schema(schema).problems(came.value) == []
    again = read(form, post(form, came))
    assert told(again) == told(came)  # shown again, nothing has changed


JSON_SCHEMAS = st.recursive(
    st.sampled_from([True, False, {}, {"type": "string"}, {"type": "null"}, {"enum": [1]}, {"$ref": "#"}]),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", ["object", "null"], ["string", "integer"]]),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "required": st.lists(st.sampled_from("abcd"), unique=True, max_size=2),
            "items": inner,
            "additionalProperties": inner,
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "if": inner,
            "then": inner,
            "minItems": st.integers(0, 2),
            "uniqueItems": st.booleans(),
            "default": st.sampled_from([None, 1, "x", {}, [], {"a": "x"}, ["x"], True]),
            "const": st.sampled_from([None, 1, "x", {}, []]),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON_SCHEMAS, ANY_TEXT)
def test_every_schema_has_a_form(schema: Any, text: str) -> None:
    form = form_of(schema)
    filled = filled_with(form)
    sent = {name: [text] for name in filled.texts} | {"data": [text], "data/a": [text], "data/0": [text]}
    came = read(form, sent)
    try:
        compiled = compile_schema(schema)
    except SchemaRefused:
        assert form.refusal
        return
    if came.is_complete:
        assert compiled.problems(came.value) == []


def test_a_pattern_is_shown_to_nobody_who_is_told_what_it_means() -> None:
    code = {"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 2}
    schema = {
        "type": "object",
        "properties": {"raw": code, "told": {**code, "description": "As in GB or SE"}},
    }
    raw, told_ = form_of(schema).root.members
    assert raw.hints == ("At most 2 characters.", "It has to match ^[A-Z]{2}$.")
    assert told_.hints == ("At most 2 characters.",)
    assert told(fill(schema, raw="x", told="x")) == {
        "/raw": "Must match the regular expression ^[A-Z]{2}$.",
        "/told": "Does not fit its description.",
    }


def test_only_near_limits_are_told_before_they_are_passed() -> None:
    schema = {
        "type": "object",
        "properties": {str(most): {"type": "string", "maxLength": most} for most in (50, 51)},
    }
    assert [field.hints for field in form_of(schema).root.members] == [("At most 50 characters.",), ()]
    assert told(fill(schema, **{"51": "x" * 52})) == {"/51": "Must have at most 51 characters."}
