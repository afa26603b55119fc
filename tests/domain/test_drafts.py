"""The text of a draft stays its author's, whoever changes the draft by other ways."""

from typing import Any

import pytest

from domain.definitions import files
from domain.definitions.drafts import LONGEST, TEXT, text_of, values_of
from domain.errors import Invalid

WHOLE = """\
# At the top.
name: Onboarding  # how we call it
variables:
  firm: {schema: {type: string}, default: Ours}
  within:
    schema: {type: string}
    default: 14 days  # two weeks
definition:
  do:
    # Before the step.
    - Zeta:
        set: {b: 1, a: 'two'}
    - Alpha:
        set:
          letter: |
            Dear you,
            goodbye.
"""


def draft(text: str, **changed: Any) -> dict[str, Any]:
    """The columns of a workflow as storing the text writes them, then changed by others."""
    row = {**files.FIELDS, "name": "Stored", **values_of(text, {"Zeta": [1, 2]})}
    return {**row, **changed}


def test_it_is_as_it_was_written() -> None:
    assert text_of(draft(WHOLE)) == WHOLE
    assert draft(WHOLE)["layout"]["Zeta"] == [1, 2]


def test_changes_by_other_ways_leave_the_rest_alone() -> None:
    variables = {"firm": {"schema": {"type": "string"}, "default": "Theirs"}}
    row = draft(WHOLE)
    row |= {"name": "Taking on", "variables": {**row["variables"], **variables}}
    row["definition"] = {"do": [*row["definition"]["do"][:1], {"New": {"set": {"c": 3}}}]}
    text = text_of(row)
    for kept in (
        "# At the top.",
        "# how we call it",
        "# two weeks",
        "# Before the step.",
        "{b: 1, a: 'two'}",
    ):
        assert kept in text, text
    found = files.read(text)
    assert {name: found.parts[name] for name in ("name", "variables", "definition")} == {
        name: row[name] for name in ("name", "variables", "definition")
    }
    assert "goodbye" not in text


@pytest.mark.parametrize(
    "changed",
    [
        {
            "definition": {
                "do": [{"x": {"set": {"t": "a: b\n\n c", "u": "yes", "v": "1", "w": [], "x": None}}}]
            }
        },
        {"definition": {"do": []}, "triggers": [{"type": "manual"}]},
        {"definition": {"do": [{"~/ \u2028": {"set": {"": True, "1": 1.5, "#": "#", "a\tb": "\u0085"}}}]}},
        {"variables": {}, "actions": [{"name": "a", "uses": "email.send"}]},
    ],
)
@pytest.mark.parametrize(
    "text", [WHOLE, "do:\n  - a: {set: {b: 1}}  # why\n", '{"do": [{"a": {"set": {"b": 1}}}]}']
)
def test_whatever_is_shown_says_what_is_stored(text: str, changed: dict[str, Any]) -> None:
    row = draft(text, **changed)
    found = files.read(text_of(row))
    assert not found.problems
    for name in ("definition", "triggers", "variables", "actions"):
        assert found.parts.get(name, files.FIELDS[name]) == row[name]


def test_what_its_author_takes_out_is_gone_and_what_others_say_stays() -> None:
    kept = values_of(f"description: Ours\n{WHOLE}", {"Zeta": [1, 2]})["layout"]
    said = values_of(WHOLE, kept)
    assert said["description"] is None
    assert "category" not in said
    assert "description" not in values_of("do: []", kept), "a bare document says nothing of it"
    assert "description" not in values_of(WHOLE, {TEXT: "do: ["})


def test_a_very_long_text_is_not_kept() -> None:
    text = "do:\n  - a: {set: {b: 1}}\n" + "# long\n" * (LONGEST // 6)
    assert TEXT not in values_of(text, {})["layout"]


def test_what_is_no_workflow_is_refused() -> None:
    for text in ("do: [", "name: x\ncolour: red\ndefinition: {do: []}\n"):
        with pytest.raises(Invalid) as refused:
            values_of(text, {})
        assert "Line" in refused.value.problems[0].message
