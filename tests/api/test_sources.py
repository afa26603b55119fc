"""A workflow's draft as text: comments stay, problems have lines, and nobody's change is lost."""

import pytest

from tests.api.house import House, house

__all__ = ["house"]

TEXT = """\
# Greets whoever is named.
do:
  # The only step.
  - greet:
      set: {zeta: 1, alpha: 2}
"""
WHOLE = """\
name: Greeter
variables:
  tone: {schema: {type: string}, default: kind}  # what we sound like
definition:
  do:
    - greet: {set: {tone: "${ $context.tone }"}}
"""


async def created(house: House) -> str:
    made = await house.owner.post(
        "/v1/workflows", {"name": "Greeting", "definition": {"do": [{"a": {"set": {"b": 1}}}]}}
    )
    assert made.status_code == 201, made.text
    id: str = made.json()["id"]
    return f"/v1/workflows/{id}"


async def written(house: House, path: str, text: str, tag: str = '"1"') -> dict[str, object]:
    answer = await house.owner.change(f"{path}/source", {"text": text}, tag, "PUT")
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


@pytest.mark.parametrize("text", [TEXT, WHOLE])
async def test_comments_and_order_stay(house: House, text: str) -> None:
    path = await created(house)
    assert (await house.owner.get(f"{path}/source")).json()["is_written"] is False
    saved = await written(house, path, text)
    assert (saved["valid"], saved["is_written"]) == (True, True), saved
    shown = (await house.owner.get(f"{path}/source")).json()
    assert (shown["text"], shown["is_written"]) == (text, True)
    workflow = (await house.owner.get(path)).json()
    assert workflow["name"] == ("Greeter" if text is WHOLE else "Greeting")
    assert list(workflow["variables"]) == (["tone"] if text is WHOLE else [])


async def test_a_change_by_other_ways_is_shown_in_the_text(house: House) -> None:
    path = await created(house)
    await written(house, path, TEXT)
    changed = {"definition": {"do": [{"part": {"set": {"c": 3}}}]}}
    assert (await house.owner.change(path, changed, '"2"')).status_code == 200
    shown = (await house.owner.get(f"{path}/source")).json()["text"]
    assert "- part:" in shown
    assert "greet:" not in shown
    assert shown.startswith("# Greets whoever is named.")  # who wrote it keeps their notes


async def test_a_colleague_was_faster(house: House) -> None:
    path = await created(house)
    await written(house, path, TEXT)
    late = await house.owner.change(f"{path}/source", {"text": WHOLE}, '"1"', "PUT")
    assert late.status_code == 412
    assert (await house.owner.get(f"{path}/source")).json()["text"] == TEXT


async def test_what_is_no_workflow_is_refused_with_its_line(house: House) -> None:
    path = await created(house)
    for text, told in [
        ("do:\n  - a: {b\n", "Line 3"),
        ("name: x\ncolour: red\ndefinition: {do: []}\n", "Line 2"),
    ]:
        answer = await house.owner.change(f"{path}/source", {"text": text}, '"1"', "PUT")
        assert answer.status_code == 422
        assert told in answer.json()["errors"][0]["detail"]
    long = f"name: {'x' * 300}\ndefinition: {{do: []}}\n"
    assert (await house.owner.change(f"{path}/source", {"text": long}, '"1"', "PUT")).status_code == 422


async def test_a_draft_may_have_problems_and_the_preview_draws_it(house: House) -> None:
    path = await created(house)
    text = TEXT + "      then: Nowhere\n"
    saved = await written(house, path, text)
    assert saved["valid"] is False
    preview = (await house.owner.post("/v1/workflows/preview", {"text": text})).json()
    assert preview["problems"] == saved["problems"]
    assert preview["problems"][0]["line"] == 6
    assert preview["lines"] == {"/do/0/greet": 4}
    assert 'data-step="/do/0/greet"' in preview["svg"]
    assert "<style" not in preview["svg"]
    broken = (await house.owner.post("/v1/workflows/preview", {"text": "do: ["})).json()
    assert broken["svg"] is None
    assert broken["valid"] is False
