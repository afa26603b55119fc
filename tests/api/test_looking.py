"""Workflows looked at: drawn, compared, explained; by version, by execution, and only by those who may."""

from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import pytest

from tests.api.house import House, house, problems

__all__ = ["house"]

DEFINITION = {
    "do": [
        {"greet": {"call": "email.send", "with": {"to": "${ .email }"}, "timeout": {"after": "1 hour"}}},
        {"decide": {"switch": [{"yes": {"when": ".ok", "then": "end"}}, {"no": {"then": "last"}}]}},
        {"last": {"set": {"done": True}}},
    ]
}


async def drawn(house: House, id: str, **query: Any) -> ElementTree.Element:
    answer = await house.owner.get(f"/v1/workflows/{id}/graph", params={"format": "svg", **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("image/svg+xml")
    return ElementTree.fromstring(answer.text)


def texts(root: ElementTree.Element) -> set[str | None]:
    return {each.text for each in root.iter() if each.tag.endswith("}text")}


async def test_a_draft_and_its_versions_are_drawn(house: House) -> None:
    id = await house.published(DEFINITION, layout={"greet": [500, 300]})
    path = f"/v1/workflows/{id}"
    tag = (await house.owner.get(path)).headers["etag"]
    changed = {"definition": {"do": [{"only": {"set": {"a": 1}}}]}}
    assert (await house.owner.change(path, changed, tag)).status_code == 200

    assert {"only", "Start", "End"} <= texts(await drawn(house, id))
    assert {"greet", "decide", "last", "yes", "at most 1 hour"} <= texts(await drawn(house, id, version=1))
    answer = await house.owner.get(path + "/graph", params={"version": 1})
    graph = answer.json()
    assert {edge["kind"] for edge in graph["edges"]} == {"next", "case"}
    greet, last = (next(n for n in graph["nodes"] if n["name"] == name) for name in ("greet", "last"))
    assert greet["id"] == "/do/0/greet"
    assert greet["x"] > last["x"], "the chosen position wins"
    assert (await house.owner.get(path + "/graph", params={"version": 2})).status_code == 404


async def test_a_page_that_shows_the_drawing_runs_nothing_and_loads_nothing(house: House) -> None:
    id = await house.published(DEFINITION)
    answer = await house.owner.get(f"/v1/workflows/{id}/graph?format=svg")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert "<style" not in (await house.owner.get(f"/v1/workflows/{id}/graph?format=svg&style=false")).text
    assert (
        "sha256"
        not in (await house.owner.get(f"/v1/workflows/{id}/graph")).headers["content-security-policy"]
    )


async def test_an_execution_is_shown_in_its_version(house: House) -> None:
    id = await house.published(DEFINITION)
    [version] = await house.everything("workflow_versions")
    execution = await house.put("workflow_executions", workflow_id=id, workflow_version_id=version["id"])
    for visit, status in ((1, "failed"), (2, "completed")):
        await house.put(
            "execution_steps",
            execution_id=execution["id"],
            occurrence=f"/do/0/greet#{visit}",
            pointer="/do/0/greet",
            position=visit,
            visit=visit,
            status=status,
        )
    assert "completed, 2 times" in texts(await drawn(house, id, execution=str(execution["id"])))
    other = await house.published(DEFINITION)
    for path in (
        f"/v1/workflows/{other}/graph?execution={execution['id']}",
        f"/v1/workflows/{id}/graph?execution={uuid4()}",
    ):
        assert (await house.owner.get(path)).status_code == 404
    wrong = await house.owner.get(f"/v1/workflows/{id}/graph?execution={execution['id']}&version=7")
    assert problems(wrong) == {"query/version": "invalid"}


async def test_hostile_names_arrive_as_text(house: House) -> None:
    name = "<script>alert(1)</script>"
    id = await house.published({"do": [{name: {"set": {"</text>": 1}}}]}, name='"><img src=x>')
    root = await drawn(house, id)
    assert name in texts(root)
    assert not [each for each in root.iter() if each.tag.endswith(("script", "img"))]


async def test_versions_are_compared(house: House) -> None:
    id = await house.published(DEFINITION)
    path = f"/v1/workflows/{id}"
    tag = (await house.owner.get(path)).headers["etag"]
    again: dict[str, Any] = {"do": [{}, {"new": {"set": {"a": 1}}}, *DEFINITION["do"][1:]]}
    again["do"][0] = {
        "greet": {"call": "email.send", "with": {"to": "x@y.example"}, "timeout": {"after": "PT2H"}}
    }
    assert (
        await house.owner.change(path, {"definition": again, "layout": {"new": [1, 1]}}, tag)
    ).status_code == 200

    draft = await house.owner.get(path + "/versions/diff")
    assert [(c["name"], c["kind"]) for c in draft.json()["changes"]] == [
        ("new", "added"),
        ("greet", "changed"),
    ]
    assert draft.json()["changes"][1]["notes"] == ["It may take at most 2 hours instead of 1 hour."]
    assert (await house.owner.post(path + "/publish")).status_code == 201
    text = await house.owner.get(path + "/versions/diff", params={"from": 2, "to": 1, "format": "text"})
    assert text.headers["content-type"].startswith("text/plain")
    assert "- step “new” removed (/do/1/new)" in text.text
    assert (await house.owner.get(path + "/versions/diff?from=2&format=text")).text == "No difference.\n"
    assert (await house.owner.get(path + "/versions/diff?from=3")).status_code == 404
    assert (await house.owner.get(path + "/versions/1")).status_code == 200


async def test_what_was_never_published_has_nothing_to_compare(house: House) -> None:
    made = await house.owner.post("/v1/workflows", {"name": "A", "definition": DEFINITION})
    answer = await house.owner.get(f"/v1/workflows/{made.json()['id']}/versions/diff")
    assert problems(answer) == {"query/from": "not_published"}


async def test_a_workflow_explains_itself(house: House) -> None:
    triggers = [{"type": "webhook", "name": "orders", "configuration": {"scheme": "github"}}]
    id = await house.published(DEFINITION, name="Welcome", triggers=triggers)
    told = (await house.owner.get(f"/v1/workflows/{id}/explain")).json()
    assert told["title"] == "Welcome"
    assert "another system calls its webhook “orders”" in told["beginning"]
    assert [step["pointer"] for step in told["steps"]] == ["/do/0/greet", "/do/1/decide", "/do/2/last"]
    text = await house.owner.get(f"/v1/workflows/{id}/explain", params={"format": "text", "version": 1})
    assert "1. First, “greet” carries out “email.send”. This may take at most 1 hour." in text.text


@pytest.mark.parametrize("path", ["graph", "explain", "versions/diff"])
async def test_drafts_that_could_not_be_published_are_looked_at_too(house: House, path: str) -> None:
    id = await house.published(DEFINITION)
    tag = (await house.owner.get(f"/v1/workflows/{id}")).headers["etag"]
    broken = {"do": [{"a": {"call": "nothing", "then": "nowhere"}}, 7, {"b": []}, {"c": {"fork": 1}}]}
    assert (await house.owner.change(f"/v1/workflows/{id}", {"definition": broken}, tag)).status_code == 200
    answer = await house.owner.get(f"/v1/workflows/{id}/{path}")
    assert answer.status_code == 200, answer.text
