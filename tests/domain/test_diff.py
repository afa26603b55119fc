"""Versions compared: each kind of change is found, named and explained; equal versions differ in nothing."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from domain.definitions import documents
from domain.definitions.diff import ChangeKind, Side, as_text, compare
from domain.definitions.publishing import publish
from tests.domain.sample_definitions import JSON, SOUND, steps
from tests.domain.test_graph import EVERYTHING, HOSTILE
from tests.factories.driver import ACTIONS

BEFORE = """
- first: {set: {a: 1, b: [1, 2]}}
- second: {call: email.send, with: {to: x, subject: Hello}, timeout: {after: PT1H}}
- outer: {do: [{inner: {wait: PT1S}}, {other: {wait: PT2S}}]}
- third: {set: {c: 3}}
- fourth: {set: {d: 4}}
- old: {do: [{deep: {set: {x: 1}}}]}
"""
AFTER = """
- fourth: {set: {d: 4}}
- first: {set: {a: 2, b: [1, 3]}, if: .go}
- second: {call: email.send, with: {to: x, subject: Hi, cc: y}, timeout: {after: PT2H}, then: end}
- outer: {do: [{other: {wait: PT2S}}]}
- inner: {wait: PT1S}
- renamed: {set: {c: 3}}
- new: {do: [{fresh: {set: {x: 2}}}, {fresher: {set: {}}}]}
"""


def between(before: str, after: str, **more: Any) -> dict[str, Any]:
    found = compare(Side(steps(before)), Side(steps(after), **more))
    return {change.name: change for change in found.changes}


def test_every_kind_of_change() -> None:
    found = between(BEFORE, AFTER)
    kinds = {name: change.kind.value for name, change in found.items()}
    assert kinds == {
        "old": "removed",
        "new": "added",
        "fourth": "moved",
        "first": "changed",
        "second": "changed",
        "inner": "moved",
        "renamed": "renamed",
    }
    assert (found["inner"].before, found["inner"].after) == ("/do/2/outer/do/0/inner", "/do/4/inner")
    assert found["renamed"].notes == ("It was called “third”.",)
    assert (found["new"].inside, found["old"].inside) == (2, 1)
    assert {(f.pointer, f.before, f.after) for f in found["first"].fields} == {
        ("/set/a", 1, 2),
        ("/set/b/1", 2, 3),
        ("/if", None, ".go"),
    }
    assert found["first"].notes == ("It happens only if .go.",)
    assert found["second"].notes == (
        "It leads to the end of the workflow instead of the next step.",
        "It may take at most 2 hours instead of 1 hour.",
    )


def test_as_text() -> None:
    told = as_text(compare(Side(steps(BEFORE)), Side(steps(AFTER))))
    assert "- step “old” removed with 1 step inside (/do/5/old)\n" in told
    assert "> step “fourth” moved (/do/4/fourth → /do/0/fourth)\n" in told
    assert '    with/subject: "Hello" → "Hi"\n    with/cc: "y" (new)\n' in told
    assert as_text(compare(Side({"do": []}), Side({"do": []}))) == "No difference.\n"


@pytest.mark.parametrize("text", [BEFORE, AFTER, EVERYTHING, SOUND])
def test_nothing_differs_from_itself(text: str) -> None:
    definition = steps(text)
    assert compare(Side(definition), Side(copy.deepcopy(definition))).is_empty


def test_what_a_call_is_pinned_to() -> None:
    """Two versions of one document, between which the catalogue has grown."""
    pins = publish({"do": [{"go": {"call": "look"}}]}, name="x", namespace="y", catalogue=ACTIONS).compiled[
        "calls"
    ]
    newer = copy.deepcopy(pins)
    newer["look"] |= {"version": "1.1.0", "effect": "irreversible"}
    document = {"do": [{"go": {"call": "look"}}]}
    [change] = compare(Side(document, calls=pins), Side(document, calls=newer)).changes
    assert change.notes == (
        "It calls look 1.1.0 instead of 1.0.0.",
        "What it does cannot be repeated safely any more: it gets one attempt.",
    )
    assert change.kind is ChangeKind.CHANGED


def test_around_the_steps() -> None:
    before = Side(
        {"input": {"schema": {"document": {"required": ["a"]}}}, "do": []},
        [{"type": "manual"}, {"type": "webhook", "name": "hook"}],
        [{"name": "mail", "uses": "email.send"}],
        {"v": {"default": 1}},
    )
    after = Side(
        {"input": {"schema": {"document": {"required": ["b"]}}}, "do": []},
        [{"type": "webhook", "name": "hook", "is_active": False}],
        [{"name": "mail", "uses": "email.send", "with": {"to": 1}}],
        {"v": {"default": True}, "w": {}},
    )
    found = compare(before, after)
    assert [(change.part, change.name, change.kind.value) for change in found.changes] == [
        ("document", "the document", "changed"),
        ("trigger", "manual", "removed"),
        ("trigger", "hook", "changed"),
        ("action", "mail", "changed"),
        ("variable", "v", "changed"),
        ("variable", "w", "added"),
    ]
    assert found.changes[0].notes == (
        "Starts must bring `b` now; those that do not are refused.",
        "Starts need not bring `a` any more.",
    )


def test_try_and_fork() -> None:
    before = documents.load(
        "- t: {try: [{a: {set: {}}}], catch: {retry: {limit: {attempt: {count: 2}}}, do: [{b: {set: {}}}]}}\n"
        "- f: {fork: {branches: [{x: {set: {}}}]}}"
    ).value
    after = documents.load(
        "- t: {try: [{a: {set: {}}}], catch: {do: [{b: {set: {k: 1}}}]}}\n"
        "- f: {fork: {compete: true, branches: [{x: {set: {}}}, {y: {set: {}}}]}}"
    ).value
    found = {c.name: c for c in compare(Side({"do": before}), Side({"do": after})).changes}
    assert found["t"].notes == ("It is not tried again any more.",)
    assert [f.pointer for f in found["b"].fields] == ["/set/k"], "the step inside tells its own change"
    assert found["f"].notes == ("The first branch to be done wins.",)
    assert [f.pointer for f in found["f"].fields] == ["/fork/compete"]
    assert found["y"].kind is ChangeKind.ADDED


def test_a_renamed_step_does_not_move_what_is_inside() -> None:
    found = between("- a: {do: [{x: {set: {k: 1}}}]}", "- b: {do: [{x: {set: {k: 1}}}]}")
    assert {name: change.kind.value for name, change in found.items()} == {"b": "renamed"}


def test_one_entry_that_moves_far_is_one_change() -> None:
    many = [{f"s{i}": {"set": {"n": i}}} for i in range(300)]
    found = compare(Side({"do": many}), Side({"do": [*many[1:], many[0]]}))
    assert [(change.name, change.kind.value) for change in found.changes] == [("s0", "moved")]


def test_hostile_names_stay_on_their_line() -> None:
    told = as_text(compare(Side({"do": []}), Side(HOSTILE)))
    assert len(told.splitlines()) == 5
    assert "\u202e" not in told
    assert "\x1b" not in told


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON)
def test_anything_can_be_compared(one: Any, other: Any) -> None:
    def wrapped(value: Any) -> Any:
        words = ("call", "switch", "for", "try", "fork", "listen", "do")
        return {
            "do": [{f"s{i}": {word: value, "catch": value, "then": value}} for i, word in enumerate(words)]
        }

    found = compare(Side(wrapped(one), one, one, one), Side(wrapped(other), other, other, other))
    json.dumps(found.as_json())
    as_text(found)
    assert compare(Side(one), Side(one)).is_empty
