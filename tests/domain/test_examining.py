"""A workflow's text: every problem stands at the line a person has to look at."""

import pytest

from activities.actions.registry import built_in
from domain.definitions.examining import Examined, examine
from domain.definitions.files import FIELDS, as_text, read

CATALOGUE = built_in().specs()
BARE = """\
# A note of its author's.
do:
  - Greet:
      set:
        text: ${ "Hello " + .name }
  - Decide:
      switch:
        - friends:
            when: .name == "Ada"
            then: Nowhere
"""
WHOLE = "name: Greeting\ntriggers:\n  - type: webhoook\ndefinition:\n" + "".join(
    f"  {line}\n" for line in BARE.splitlines()
)


def told(found: Examined) -> list[tuple[int, str]]:
    return [(each.line, each.problem.code) for each in found.findings]


@pytest.mark.parametrize(("text", "shift"), [(BARE, 0), (WHOLE, 4)])
def test_a_problem_stands_at_its_line(text: str, shift: int) -> None:
    found = examine(text, catalogue=CATALOGUE)
    assert not found.is_sound
    assert (10 + shift, "unknown_target") in told(found)
    if shift:
        assert (3, "unknown_trigger") in told(found)
    assert [each.line for each in found.findings] == sorted(each.line for each in found.findings)
    assert found.lines == {"/do/0/Greet": 3 + shift, "/do/1/Decide": 6 + shift}


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("do:\n  - a: {set: {b: 1}\n", 3, "syntax"),
        ("do:\n  - a: {set: {b: 1}}\ndo: []\n", 3, "duplicate_key"),
        ('{"do": [,]}', 1, "syntax"),
        ("- one\n- two\n", 1, "wrong_type"),
        ("", 1, "syntax"),
        ("name: x\ncolour: red\ndefinition: {do: [{a: {set: {b: 1}}}]}\n", 2, "unknown_field"),
        ("name: x\ntriggers: {}\ndefinition: {do: [{a: {set: {b: 1}}}]}\n", 2, "wrong_type"),
        ("name: x\n", 1, "missing_field"),
        ("name: 7\ndefinition: {do: [{a: {set: {b: 1}}}]}\n", 1, "wrong_type"),
    ],
)
def test_what_is_no_workflow_is_told_too(text: str, line: int, code: str) -> None:
    found = examine(text, catalogue=CATALOGUE)
    assert (line, code) in told(found), found.findings
    assert not found.is_sound


def test_what_is_fine_has_no_problem() -> None:
    text = BARE.replace("Nowhere", "end")
    found = examine(text, catalogue=CATALOGUE)
    assert found.is_sound, found.findings
    assert found.workflow is not None
    assert found.workflow.is_bare


def test_writing_and_reading_are_each_others_reverse() -> None:
    parts = {**FIELDS, "name": "x: y", "definition": {"do": [{"a": {"set": {"t": "one\ntwo\n", "n": "1"}}}]}}
    found = read(as_text(parts))
    assert found.parts == parts
    assert not found.problems
