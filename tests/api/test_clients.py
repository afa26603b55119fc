"""Clients and contacts over HTTP: complete, hidden from others, and never silently overwritten."""

import asyncio
from uuid import uuid4

import pytest

from tests.api.house import House, house, problems

__all__ = ["house"]


async def test_a_client_is_created_read_changed_and_removed(house: House) -> None:
    body = {"name": " Lovelace & Co ", "client_type": "business", "credit_limit": "1500.00"}
    created = await house.owner.post("/v1/clients", body)
    assert created.status_code == 201
    path = created.headers["location"]
    assert created.json()["name"] == "Lovelace & Co"
    assert created.json()["payment_terms"] == "net_30"
    assert created.json()["created_by"] == str(house.owner.id)

    read = await house.member.get(path)
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"]

    changed = await house.owner.change(path, {"city": "London", "email": None}, read.headers["etag"])
    assert changed.status_code == 200
    assert (changed.json()["city"], changed.json()["credit_limit"]) == ("London", "1500.00")
    assert changed.headers["etag"] != read.headers["etag"]

    removed = await house.owner.change(path, None, changed.headers["etag"], "DELETE")
    assert removed.status_code == 204
    assert (await house.owner.get(path)).status_code == 404


@pytest.mark.parametrize("number", [1e19, 1e20, -1e300])
async def test_a_number_beyond_64_bit_is_told_back_as_it_was_sent(house: House, number: float) -> None:
    body = {"name": "Far", "service_preferences": {"limit": number}}
    created = await house.owner.post("/v1/clients", body, Idempotency_Key="far")
    assert created.status_code == 201
    assert created.json()["service_preferences"] == {"limit": number}
    again = await house.owner.post("/v1/clients", body, Idempotency_Key="far")
    assert again.json() == created.json()


async def test_a_lost_update_is_refused(house: House) -> None:
    created = await house.owner.post("/v1/clients", {"name": "Ada"})
    path, tag = created.headers["location"], created.headers["etag"]
    assert (await house.owner.change(path, {"name": "B"}, None)).status_code == 428
    await house.warm()
    answers = await asyncio.gather(*(house.owner.change(path, {"name": f"Ada {n}"}, tag) for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]
    assert (await house.owner.change(path, None, tag, "DELETE")).status_code == 412
    assert (await house.owner.change(path, {"name": "C"}, '"99999999999999999999"')).status_code == 412


async def test_a_client_number_is_unique_within_the_organization(house: House) -> None:
    first = await house.owner.post("/v1/clients", {"name": "One", "client_number": "C-1"})
    assert first.status_code == 201
    again = await house.owner.post("/v1/clients", {"name": "Two", "client_number": "C-1"})
    assert again.status_code == 409
    assert again.json()["code"] == "client_number_taken"
    assert list(problems(again)) == ["#/client_number"]
    other = await house.stranger.post("/v1/clients", {"name": "Three", "client_number": "C-1"})
    assert other.status_code == 201
    second = await house.owner.post("/v1/clients", {"name": "Two", "client_number": "C-2"})
    path, tag = second.headers["location"], second.headers["etag"]
    taken = await house.owner.change(path, {"client_number": "C-1"}, tag)
    assert taken.status_code == 409


async def test_an_idempotency_key_creates_one_client(house: House) -> None:
    await house.warm()
    answers = await asyncio.gather(
        *(house.owner.post("/v1/clients", {"name": "Once"}, Idempotency_Key="k1") for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert len(await house.everything("clients")) == 1
    other = await house.owner.post("/v1/clients", {"name": "Other"}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"name": "x" * 201}, "#/name"),
        ({"name": None}, "#/name"),
        ({"name": "A", "client_type": "alien"}, "#/client_type"),
        ({"name": "A", "credit_limit": "-1"}, "#/credit_limit"),
        ({"name": "A", "credit_limit": "12345678901.00"}, "#/credit_limit"),
        ({"name": "A", "email": "nobody"}, "#/email"),
        ({"name": "A", "tax_id": 123456789}, "#/tax_id"),
        ({"name": "A", "assigned_manager": "me"}, "#/assigned_manager"),
        ({"name": "A", "billing_address": {"x": "y" * 140_000}}, "#/billing_address"),
        ({"name": "A", "organization_id": str(uuid4())}, "#/organization_id"),
    ],
)
async def test_a_malformed_client_is_refused_at_its_place(
    house: House, body: dict[str, object], place: str
) -> None:
    answer = await house.owner.post("/v1/clients", body)
    assert answer.status_code == 422
    assert place in problems(answer)
    assert await house.everything("clients") == []


async def test_a_manager_must_be_a_member(house: House) -> None:
    ours = await house.owner.post("/v1/clients", {"name": "A", "assigned_manager": str(house.member.id)})
    assert ours.status_code == 201
    theirs = await house.owner.post("/v1/clients", {"name": "A", "assigned_manager": str(house.stranger.id)})
    nobodys = await house.owner.post("/v1/clients", {"name": "A", "assigned_manager": str(uuid4())})
    assert theirs.status_code == nobodys.status_code == 422
    assert theirs.content == nobodys.content
    assert list(problems(theirs)) == ["#/assigned_manager"]


async def test_strangers_see_nothing(house: House) -> None:
    created = await house.owner.post("/v1/clients", {"name": "Secret"})
    path, tag = created.headers["location"], created.headers["etag"]
    unknown = await house.stranger.get(f"/v1/clients/{uuid4()}")
    for answer in (
        await house.stranger.get(path),
        await house.stranger.change(path, {"name": "Mine"}, tag),
        await house.stranger.change(path, None, tag, "DELETE"),
        await house.stranger.get("/v1/clients/no-uuid"),
    ):
        assert (answer.status_code, answer.content) == (404, unknown.content)
    assert (await house.stranger.get("/v1/clients")).json() == {"items": [], "next_cursor": None}


async def test_a_list_is_paged_searched_and_filtered(house: House) -> None:
    for number in range(5):
        status = "prospect" if number % 2 else "active"
        body = {"name": f"Client {number}", "client_number": f"100%_{number}", "status": status}
        assert (await house.owner.post("/v1/clients", body)).status_code == 201
    names, cursor = [], None
    while True:
        page = (
            await house.owner.get(
                "/v1/clients", params={"limit": 2, "cursor": cursor} if cursor else {"limit": 2}
            )
        ).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == [f"Client {number}" for number in (4, 3, 2, 1, 0)]
    found = await house.owner.get("/v1/clients", params={"q": "%_3"})
    assert [item["name"] for item in found.json()["items"]] == ["Client 3"]
    prospects = await house.owner.get("/v1/clients", params={"status": "prospect"})
    assert [item["name"] for item in prospects.json()["items"]] == ["Client 3", "Client 1"]
    for query in ({"cursor": "nonsense"}, {"limit": "0"}, {"status": "alien"}, {"q": "x" * 201}):
        assert (await house.owner.get("/v1/clients", params=query)).status_code == 422


async def test_a_contact_belongs_to_a_client_of_the_same_organization(house: House) -> None:
    client = (await house.owner.post("/v1/clients", {"name": "Acme"})).json()
    body = {"first_name": "Ada", "last_name": "L", "client_id": client["id"], "tags": ["vip"]}
    created = await house.owner.post("/v1/contacts", body)
    assert created.status_code == 201
    path, tag = created.headers["location"], created.headers["etag"]
    for id in (str(uuid4()), client["id"]):
        person = house.stranger if id == client["id"] else house.owner
        answer = await person.post("/v1/contacts", {**body, "client_id": id})
        assert (answer.status_code, list(problems(answer))) == (422, ["#/client_id"])
    listed = await house.owner.get("/v1/contacts", params={"client_id": client["id"], "q": "ADA"})
    assert [item["id"] for item in listed.json()["items"]] == [created.json()["id"]]

    in_use = await house.owner.get(f"/v1/clients/{client['id']}")
    refused = await house.owner.change(f"/v1/clients/{client['id']}", None, in_use.headers["etag"], "DELETE")
    assert (refused.status_code, refused.json()["code"]) == (409, "client_in_use")

    changed = await house.owner.change(path, {"can_authorize": True}, tag)
    assert changed.json()["can_authorize"] is True
    assert (await house.owner.change(path, {"notes": "x"}, tag)).status_code == 412
    removed = await house.owner.change(path, None, changed.headers["etag"], "DELETE")
    assert removed.status_code == 204
    assert (await house.owner.get(path)).status_code == 404


async def test_reviewers_read_what_members_write(house: House) -> None:
    denied = await house.reviewer.post("/v1/clients", {"name": "A"})
    assert denied.status_code == 403
    assert "clients:write" in denied.json()["detail"]
