import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.definitions.documents import Position, Unreadable, load

YAML = """\
# onboarding
do:
  - collect:
      set: {name: Ada}
  - wait a day:
      wait: 1 day
"""


def test_yaml_and_json_read_alike_and_places_are_known() -> None:
    document = load(YAML)
    assert document.value == {
        "do": [{"collect": {"set": {"name": "Ada"}}}, {"wait a day": {"wait": "1 day"}}]
    }
    assert load(json.dumps(document.value, indent="\t")).value == document.value
    assert document.locate("/do/1/wait a day/wait") == Position(6, 7)
    assert document.locate("/do/0/collect/set/name") == Position(4, 13)


def test_a_place_that_does_not_exist_is_the_nearest_around_it() -> None:
    document = load(YAML)
    assert document.locate("/do/0/collect/then") == document.locate("/do/0/collect") == Position(3, 5)
    assert document.locate("/elsewhere") == Position(2, 1)


def test_places_in_json_are_those_of_its_keys() -> None:
    document = load('{\n\t"a": 1,\n\t"b": {"c/d": [true,\n null]}\n}')
    assert document.value == {"a": 1, "b": {"c/d": [True, None]}}
    assert document.locate("/b/c~1d") == Position(3, 8)
    assert document.locate("/b/c~1d/1") == Position(4, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: {one: x}", {"on": {"one": "x"}}),
        ("a: yes", {"a": "yes"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 012", {"a": 12}),
        ("a: 0o17", {"a": 15}),
        ("a: 0x1F", {"a": 31}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 1.5e3", {"a": 1500.0}),
        ("a:", {"a": None}),
        ("a: ~", {"a": None}),
        ('a: "1"', {"a": "1"}),
        ("404: x", {"404": "x"}),
        ("true: x", {"true": "x"}),
        ("a: !!str 3", {"a": "3"}),
        ("%YAML 1.1\n---\non: yes", {"on": "yes"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("{name: x, tags: [a, b]}", {"name": "x", "tags": ["a", "b"]}),
        ("[]", []),
        ("{}", {}),
        ('\ufeff{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    ],
)
def test_yaml_is_yaml_1_2(text: str, value: object) -> None:
    assert load(text).value == value


@pytest.mark.parametrize(
    ("text", "reason", "line", "column"),
    [
        ('{"a": 1,\n "a": 2}', "duplicate_key", 2, 2),
        ("a: 1\nb: 2\na: 3", "duplicate_key", 3, 1),
        ('{"a": [1, 2,]}', "syntax", 1, 13),
        ('{"a" 1}', "syntax", 1, 6),
        ('{"a": NaN}', "syntax", 1, 7),
        ('{"a": tru}', "syntax", 1, 7),
        ('{"a": 1}}', "syntax", 1, 9),
        ('{"a": "x', "syntax", 1, 7),
        ('{"a":\n  {"b": 1', "syntax", 2, 10),
        ("a: b: c", "syntax", 1, 5),
        ("a:\n  - b\n c: d", "syntax", 3, 2),
        ("a: [1, 2", "syntax", 1, 9),
        ("a: &x 1\nb: *x", "alias", 1, 4),
        ("b: *x", "alias", 1, 4),
        ("a: !!python/object x", "tag", 1, 4),
        ("a: !!timestamp 2026-01-01", "tag", 1, 4),
        ("? [a]\n: 1", "bad_key", 1, 3),
        ("a: 1\n---\nb: 2", "syntax", 2, 1),
        ("a: .nan", "bad_value", 1, 4),
        ("a: 1e999", "bad_value", 1, 4),
        ('{"a": 1e999}', "bad_value", 1, 7),
        ("a: 99999999999999999999", "bad_value", 1, 4),
        ("a: " + "9" * 5000, "bad_value", 1, 4),
        ('{"a": ' + "9" * 5000 + "}", "bad_value", 1, 7),
        ('{"a": "\\ud800"}', "bad_value", 1, 7),
        ('a: "\\0"', "bad_value", 1, 4),
        ("a: x\x00y", "syntax", 1, 5),
        ("a: 1\nb: \ud800", "syntax", 2, 4),
        ("a: \x01", "syntax", 1, 4),
        ("", "syntax", 1, 1),
        ("# nothing\n", "syntax", 1, 1),
        ("[" * 100_000, "too_deep", 1, 65),
        ("- " * 100_000, "too_deep", 1, 129),
        ('{"a":' * 10_000, "too_deep", 1, 321),
        ("x" * 300_000, "definition_too_large", 1, 1),
    ],
)
def test_errors_name_their_line_and_column(text: str, reason: str, line: int, column: int) -> None:
    with pytest.raises(Unreadable) as refusal:
        load(text)
    assert (refusal.value.reason, refusal.value.position) == (reason, (line, column)), refusal.value.message
    assert refusal.value.problems[0].message.startswith(f"Line {line}, column {column}: ")
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize(
    "text",
    [
        "- |\n" * 40_000,
        "!" * 200_000,
        "? " * 100_000,
        '"\\u0041' * 30_000,
        "a:\n" * 60_000,
        "{a: b, c: " * 20_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(Unreadable):
        load(text)
    assert time.process_time() - began < 8


@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner
            )
        ),
        max_leaves=20,
    ).map(lambda value: {"k": value})
)
def test_every_json_text_is_read_as_json_reads_it(value: object) -> None:
    assert load(json.dumps(value)).value == value
    assert load(json.dumps(value, ensure_ascii=False, indent=1)).value == value


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("{}[]:,-&*!?|>'\"#% \n\tab1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable):
        load(text)
