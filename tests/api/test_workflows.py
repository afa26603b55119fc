"""Workflows over HTTP: drafts with problems, publishing, versions, and who may see them."""

import asyncio
from uuid import uuid4

import pytest

from tests.api.house import GREETING, House, house, problems

__all__ = ["house"]
BROKEN = {"do": [{"greet": {"set": {"text": "hello"}, "then": "nowhere"}}]}
TEXT = """\
do:
  - greet:
      set:
        text: hello
      then: nowhere
"""


async def test_a_draft_is_stored_with_its_problems(house: House) -> None:
    created = await house.owner.post("/v1/workflows", {"name": "Greeting", "definition": BROKEN})
    assert created.status_code == 201
    body = created.json()
    assert (body["status"], body["version"], body["revision"]) == ("draft", 1, 1)
    assert [each["pointer"] for each in body["problems"]] == ["/do/0/greet/then"]
    assert body["problems"][0]["suggestion"]
    read = await house.member.get(created.headers["location"])
    assert read.headers["etag"] == created.headers["etag"] == '"1"'
    assert read.json()["definition"] == BROKEN


async def test_a_definition_may_come_as_text(house: House) -> None:
    created = await house.owner.post("/v1/workflows", {"name": "Greeting", "definition": TEXT})
    assert created.json()["definition"] == BROKEN
    for text in ("do: [", "- 1", "just words", "", "a: &x 1\nb: *x", "x" * 300_000):
        refused = await house.owner.post("/v1/workflows", {"name": "Greeting", "definition": text})
        assert refused.status_code == 422, text[:20]
        assert list(problems(refused)) == ["#/definition"]
    assert len(await house.everything("workflows")) == 1


@pytest.mark.parametrize("number", [1e19, 1e20, -1e300])
async def test_a_number_beyond_64_bit_is_told_back_as_it_was_sent(house: House, number: float) -> None:
    definition = {"do": [{"greet": {"set": {"far": number}}}]}
    created = await house.owner.post("/v1/workflows", {"name": "Far", "definition": definition})
    assert created.status_code == 201
    assert created.json()["definition"] == definition
    path, tag = created.headers["location"], created.headers["etag"]
    changed = await house.owner.change(path, {"layout": {"x": number}}, tag)
    assert changed.status_code == 200
    assert changed.json()["layout"] == {"x": number}
    assert (await house.owner.get(path)).json()["definition"] == definition


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"definition": {}}, "#/name"),
        ({"name": "A"}, "#/definition"),
        ({"name": "A", "definition": 7}, "#/definition"),
        ({"name": "A", "definition": {}, "triggers": {}}, "#/triggers"),
        ({"name": "A", "definition": {}, "layouts": {}}, "#/layouts"),
        ({"name": "A", "definition": {}, "status": "active"}, "#/status"),
        ({"name": "A", "definition": {"x": "y" * 270_000}}, "#/definition"),
    ],
)
async def test_a_malformed_workflow_is_refused_and_leaves_nothing(
    house: House, body: dict[str, object], place: str
) -> None:
    answer = await house.owner.post("/v1/workflows", body)
    assert answer.status_code == 422
    assert place in problems(answer)
    assert await house.everything("workflows") == []


async def test_validation_tells_every_problem_with_its_line_and_stores_nothing(house: House) -> None:
    good = await house.member.post("/v1/workflows/validate", {"definition": GREETING})
    assert good.json() == {"valid": True, "problems": []}
    bad = await house.member.post("/v1/workflows/validate", {"definition": TEXT + "doo: 1\n"})
    assert bad.status_code == 200
    found = {each["pointer"]: each for each in bad.json()["problems"]}
    assert bad.json()["valid"] is False
    assert found["/do/0/greet/then"]["line"] == 5
    assert found["/doo"]["line"] == 6
    assert found["/doo"]["suggestion"]
    unreadable = await house.member.post("/v1/workflows/validate", {"definition": "do:\n  - [\n"})
    assert unreadable.json()["valid"] is False
    assert unreadable.json()["problems"][0]["line"] >= 2
    assert await house.everything("workflows") == []


async def test_a_lost_update_is_refused(house: House) -> None:
    created = await house.owner.post("/v1/workflows", {"name": "A", "definition": GREETING})
    path, tag = created.headers["location"], created.headers["etag"]
    assert (await house.owner.change(path, {"name": "B"}, None)).status_code == 428
    assert (await house.owner.change(path, {"name": "B"}, '"999999999999999999"')).status_code == 412
    await house.warm()
    for method, body in (("PATCH", {"name": "B"}), ("PUT", {"name": "B", "definition": GREETING})):
        answers = await asyncio.gather(*(house.owner.change(path, body, tag, method) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
        tag = next(answer.headers["etag"] for answer in answers if answer.status_code == 200)
    assert (await house.owner.get(path)).json()["revision"] == 3


async def test_put_replaces_and_patch_keeps(house: House) -> None:
    body = {"name": "A", "definition": GREETING, "category": "tax", "layout": {"greet": [1, 2]}}
    created = await house.owner.post("/v1/workflows", body)
    path = created.headers["location"]
    patched = await house.owner.change(path, {"name": "B"}, created.headers["etag"])
    assert (patched.json()["category"], patched.json()["layout"]) == ("tax", {"greet": [1, 2]})
    assert patched.json()["problems"] == []
    put = await house.owner.change(path, {"name": "C", "definition": TEXT}, patched.headers["etag"], "PUT")
    assert (put.json()["category"], put.json()["layout"]) == (None, {})
    assert [each["pointer"] for each in put.json()["problems"]] == ["/do/0/greet/then"]


async def test_publishing_freezes_versions(house: House) -> None:
    created = await house.owner.post("/v1/workflows", {"name": "My Greeting", "definition": GREETING})
    path = created.headers["location"]
    first = await house.owner.post(f"{path}/publish")
    assert (first.status_code, first.json()["number"]) == (201, 1)
    again = await house.owner.post(f"{path}/publish")
    assert (again.status_code, again.json()) == (200, first.json())

    read = await house.owner.get(path)
    assert (read.json()["status"], read.json()["version"]) == ("active", 2)
    new = {"do": [{"greet": {"set": {"text": "hello again"}}}]}
    changed = await house.owner.change(path, {"definition": new}, read.headers["etag"])
    assert changed.status_code == 200
    await house.warm()
    answers = await asyncio.gather(*(house.owner.post(f"{path}/publish") for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert {answer.json()["number"] for answer in answers} == {2}

    listed = (await house.member.get(f"{path}/versions")).json()
    assert [each["number"] for each in listed["items"]] == [2, 1]
    frozen = (await house.member.get(f"{path}/versions/1")).json()
    assert frozen["document"]["do"] == GREETING["do"]
    assert frozen["document"]["document"]["name"] == "my-greeting"
    assert (await house.member.get(first.headers["location"])).json() == frozen
    for number in ("3", "0", "-1", "99999999999999", "one"):
        assert (await house.member.get(f"{path}/versions/{number}")).status_code == 404, number


async def test_a_broken_draft_is_not_published(house: House) -> None:
    created = await house.owner.post("/v1/workflows", {"name": "A", "definition": BROKEN})
    path = created.headers["location"]
    refused = await house.owner.post(f"{path}/publish", Idempotency_Key="k")
    assert refused.status_code == 422
    assert list(problems(refused)) == ["/do/0/greet/then"]
    assert await house.everything("workflow_versions") == []
    assert (await house.owner.get(path)).json()["status"] == "draft"
    assert (await house.owner.change(path, {"definition": GREETING}, '"1"')).status_code == 200
    mended = await house.owner.post(f"{path}/publish", Idempotency_Key="k")
    assert mended.status_code == 201


async def test_pausing_resuming_and_archiving(house: House) -> None:
    draft = (await house.owner.post("/v1/workflows", {"name": "A", "definition": GREETING})).json()
    early = await house.owner.post(f"/v1/workflows/{draft['id']}/pause")
    assert (early.status_code, early.json()["code"]) == (409, "wrong_status")
    path = f"/v1/workflows/{await house.published()}"
    for verb, status in (
        ("pause", "paused"),
        ("pause", "paused"),
        ("resume", "active"),
        ("resume", "active"),
        ("archive", "archived"),
        ("archive", "archived"),
    ):
        moved = await house.owner.post(f"{path}/{verb}")
        assert (moved.status_code, moved.json()["status"]) == (200, status)
    for verb in ("pause", "resume", "publish"):
        assert (await house.owner.post(f"{path}/{verb}")).status_code == 409
    archived = await house.owner.get(path)
    edit = await house.owner.change(path, {"name": "B"}, archived.headers["etag"])
    assert (edit.status_code, edit.json()["code"]) == (409, "wrong_status")
    assert (await house.owner.get(path)).json() == archived.json()


async def test_publishing_a_paused_workflow_leaves_it_paused(house: House) -> None:
    path = f"/v1/workflows/{await house.published()}"
    await house.owner.post(f"{path}/pause")
    read = await house.owner.get(path)
    await house.owner.change(path, {"name": "Renamed"}, read.headers["etag"])
    assert (await house.owner.post(f"{path}/publish")).json()["number"] == 2
    assert (await house.owner.get(path)).json()["status"] == "paused"


async def test_a_list_is_filtered_and_paged(house: House) -> None:
    for name, category in (("Tax return", "tax"), ("Tax reminder", "tax"), ("Onboarding", None)):
        body = {"name": name, "definition": GREETING, "category": category}
        assert (await house.owner.post("/v1/workflows", body)).status_code == 201
    await house.published()

    async def names(**query: str) -> list[str]:
        answer = await house.member.get("/v1/workflows", params=query)
        return [each["name"] for each in answer.json()["items"]]

    assert await names() == ["Greeting", "Onboarding", "Tax reminder", "Tax return"]
    assert await names(status="active") == ["Greeting"]
    assert await names(category="tax", q="REMIND") == ["Tax reminder"]
    assert await names(q="%") == []
    page = (await house.member.get("/v1/workflows", params={"limit": "3"})).json()
    rest = await house.member.get("/v1/workflows", params={"cursor": page["next_cursor"]})
    assert [each["name"] for each in rest.json()["items"]] == ["Tax return"]
    elsewhere = await house.member.get("/v1/clients", params={"cursor": page["next_cursor"]})
    assert (elsewhere.status_code, list(problems(elsewhere))) == (422, ["query/cursor"])


async def test_strangers_see_nothing(house: House) -> None:
    id = await house.published()
    unknown = (await house.stranger.get(f"/v1/workflows/{uuid4()}")).content
    path = f"/v1/workflows/{id}"
    for answer in (
        await house.stranger.get(path),
        await house.stranger.change(path, {"name": "Mine"}, '"2"'),
        await house.stranger.post(f"{path}/publish"),
        await house.stranger.post(f"{path}/pause"),
        await house.stranger.get(f"{path}/versions"),
        await house.stranger.get(f"{path}/versions/1"),
        await house.stranger.get("/v1/workflows/no-uuid"),
    ):
        assert (answer.status_code, answer.content) == (404, unknown)
    assert (await house.stranger.get("/v1/workflows")).json()["items"] == []


async def test_members_neither_write_nor_publish(house: House) -> None:
    refused = await house.member.post("/v1/workflows", {"name": "A", "definition": GREETING})
    assert refused.status_code == 403
    id = await house.published()
    assert (await house.member.post(f"/v1/workflows/{id}/publish")).status_code == 403


async def test_the_catalogue_is_listed(house: House) -> None:
    listed = (await house.member.get("/v1/actions")).json()["items"]
    assert [each["name"] for each in listed] == ["approve", "data.template", "email.send"]
    assert listed[0]["lane"] == "task"
