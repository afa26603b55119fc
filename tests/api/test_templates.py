"""The gallery over HTTP: what comes with the product, one's own, and drafts made from them."""

from typing import Any
from uuid import UUID

import pytest

from api.gallery import SLUGS, shipped
from tests.api.house import GREETING, House, house, problems

__all__ = ["house"]
APPROVAL = "/v1/templates/document-approval"


async def test_the_shipped_ones_come_first_and_one_s_own_after(house: House) -> None:
    own = {"name": "Greeting", "definition": GREETING, "is_template": True, "category": "letters"}
    made = (await house.owner.post("/v1/workflows", own)).json()
    await house.owner.post("/v1/workflows", {"name": "No template", "definition": GREETING})
    listed = (await house.member.get("/v1/templates")).json()
    assert [each["slug"] for each in listed["items"]] == [*SLUGS, made["id"]]
    assert {each["origin"] for each in listed["items"][:5]} == {"shipped"}
    assert listed["items"][5] == {
        "slug": made["id"],
        "origin": "organization",
        "name": "Greeting",
        "description": None,
        "category": "letters",
        "triggers": [],
        "variables": [],
    }


async def test_templates_are_looked_for_by_category_and_words(house: House) -> None:
    async def slugs(query: str) -> list[str]:
        return [each["slug"] for each in (await house.member.get(f"/v1/templates?{query}")).json()["items"]]

    assert await slugs("category=compliance") == ["kyc-follow-up"]
    assert await slugs("q=INVOICE") == ["invoice-reminder"]
    assert await slugs("q=nothing+like+that") == []


async def test_one_s_own_are_paged_and_the_shipped_ones_stand_on_the_first_page(house: House) -> None:
    for name in "ABC":
        body = {"name": name, "definition": GREETING, "is_template": True}
        await house.owner.post("/v1/workflows", body)
    first = (await house.owner.get("/v1/templates?limit=2")).json()
    assert [each["name"] for each in first["items"][5:]] == ["C", "B"]
    second = (await house.owner.get(f"/v1/templates?limit=2&cursor={first['next_cursor']}")).json()
    assert [each["name"] for each in second["items"]] == ["A"]
    assert second["next_cursor"] is None


async def test_a_template_tells_what_a_copy_can_be_made_with(house: House) -> None:
    found = (await house.member.get("/v1/templates/client-onboarding")).json()
    assert found["text"] == shipped()["client-onboarding"].text
    organization = (await house.member.get(f"/v1/organizations/{house.member.organization_id}")).json()
    assert found["form"]["properties"]["firm"]["default"] == organization["name"]
    assert found["form"]["properties"]["decide_within"]["default"] == "2 days"
    assert found["definition"]["input"]["schema"]["document"]["required"] == ["name", "email", "kind"]


async def test_a_copy_is_a_draft_with_the_given_variables(house: House) -> None:
    body = {"name": "Papers", "variables": {"approvals_needed": 2}}
    made = await house.owner.post(f"{APPROVAL}/instantiate", body)
    assert made.status_code == 201
    copy = made.json()
    assert (copy["status"], copy["is_template"]) == ("draft", False)
    assert copy["variables"]["approvals_needed"]["default"] == 2
    assert copy["variables"]["decide_within"]["default"] == "2 days"
    assert copy["category"] == "document_approval"
    assert made.headers["location"] == f"/v1/workflows/{copy['id']}"
    read = await house.member.get(made.headers["location"])
    assert read.headers["etag"] == made.headers["etag"]


async def test_the_row_that_stands_for_a_shipped_template_is_nobody_s_workflow(house: House) -> None:
    first = (await house.owner.post(f"{APPROVAL}/instantiate", {"name": "One"})).json()
    second = (await house.owner.post(f"{APPROVAL}/instantiate", {"name": "Two"})).json()
    assert first["template_id"] == second["template_id"]
    assert (await house.owner.get(f"/v1/workflows/{first['template_id']}")).status_code == 404
    assert (await house.owner.get(f"/v1/templates/{first['template_id']}")).status_code == 404
    listed = (await house.owner.get("/v1/workflows")).json()["items"]
    assert {each["name"] for each in listed} == {"One", "Two"}
    [row] = [each for each in await house.everything("workflows") if each["gallery"]]
    assert (row["gallery"], row["created_by"], row["is_template"]) == ("document-approval", None, True)


async def test_what_a_later_release_says_is_written_into_the_row(house: House, monkeypatch: Any) -> None:
    first = (await house.owner.post(f"{APPROVAL}/instantiate", {"name": "One"})).json()
    new = {**shipped()["document-approval"].parts, "description": "Now better"}
    monkeypatch.setattr("api.templates.shipped", lambda: {"document-approval": _Release(new)})
    second = (await house.owner.post(f"{APPROVAL}/instantiate", {"name": "Two"})).json()
    assert second["template_id"] == first["template_id"]
    [row] = [each for each in await house.everything("workflows") if each["gallery"]]
    assert row["description"] == second["description"] == "Now better"


class _Release:
    slug, text = "document-approval", ""

    def __init__(self, parts: Any) -> None:
        self.parts = parts


async def test_one_s_own_template_is_copied_without_its_names(house: House) -> None:
    header = {"dsl": "1.0.3", "namespace": "harbour", "name": "greeting", "version": "2.0.0", "title": "Hi"}
    variables = {"whom": {"default": "Ada", "schema": {"type": "string"}}}
    own = {
        "name": "Greeting",
        "definition": {**GREETING, "document": header},
        "variables": variables,
        "is_template": True,
        "layout": {"greet": [1, 2]},
    }
    template = (await house.owner.post("/v1/workflows", own)).json()
    path = f"/v1/templates/{template['id']}"
    found = (await house.owner.get(path)).json()
    assert "name: Greeting" in found["text"]
    assert found["form"]["properties"] == {"whom": {"type": "string", "default": "Ada"}}
    copy = (await house.owner.post(f"{path}/instantiate", {"name": "B", "variables": {"whom": "Bo"}})).json()
    assert copy["template_id"] == template["id"]
    assert copy["definition"]["document"] == {"dsl": "1.0.3", "title": "Hi"}
    assert copy["variables"]["whom"]["default"] == "Bo"
    assert copy["layout"] == {"greet": [1, 2]}


async def test_variables_that_do_not_fit_are_all_told_and_nothing_is_stored(house: House) -> None:
    given = {
        "approvals_needed": 0,
        "approvers": [],
        "colour": "blue",
        "rounds": "three",
        "decide_within": "two days",
    }
    refused = await house.owner.post(f"{APPROVAL}/instantiate", {"name": "A", "variables": given})
    assert refused.status_code == 422
    assert set(problems(refused)) == {
        "#/variables/approvals_needed",
        "#/variables/approvers",
        "#/variables/colour",
        "#/variables/decide_within",
        "#/variables/rounds",
    }
    assert await house.everything("workflows") == []


@pytest.mark.parametrize("slug", ["nothing", "document_approval", "0", "%00"])
async def test_an_unknown_slug_is_not_found(house: House, slug: str) -> None:
    assert (await house.owner.get(f"/v1/templates/{slug}")).status_code == 404


async def test_a_draft_that_is_broken_can_still_be_a_template(house: House) -> None:
    own = {"name": "X", "definition": {"do": 1}, "variables": {"a": 7}, "triggers": [3], "is_template": True}
    template = (await house.owner.post("/v1/workflows", own)).json()
    path = f"/v1/templates/{template['id']}"
    assert (await house.owner.get("/v1/templates")).status_code == 200
    assert (await house.owner.get(path)).json()["form"]["properties"] == {}
    copy = await house.owner.post(f"{path}/instantiate", {"name": "Y"})
    assert copy.status_code == 201
    assert copy.json()["problems"]
    refused = await house.owner.post(f"{path}/instantiate", {"name": "Y", "variables": {"a": 1}})
    assert refused.status_code == 422


async def test_an_archived_template_is_gone(house: House) -> None:
    own = {"name": "X", "definition": GREETING, "is_template": True}
    template = (await house.owner.post("/v1/workflows", own)).json()
    assert (await house.owner.post(f"/v1/workflows/{template['id']}/archive", {})).status_code == 200
    assert (await house.owner.get(f"/v1/templates/{template['id']}")).status_code == 404


async def test_a_repeated_request_makes_one_draft(house: House) -> None:
    answers = [
        await house.owner.post(f"{APPROVAL}/instantiate", {"name": "A"}, Idempotency_Key="once")
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert UUID(answers[0].json()["id"])
    assert len(await house.everything("workflows")) == 2  # the draft and the template's row
