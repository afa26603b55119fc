"""Clients and contacts as people work with them: found, sorted, assigned, told of, and one primary contact each."""

import asyncio
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, text

from db.keys import DataKeys
from db.sealed import place
from db.session import Access, Role
from db.tenants import Membership
from tests.api.house import House, house, problems
from workers.secret_values import MasterKey

__all__ = ["house"]


async def create(house: House, path: str = "clients", **fields: Any) -> dict[str, Any]:
    base = {"name": "Ann"} if path == "clients" else {"first_name": "Ada", "last_name": "L"}
    made = await house.owner.post(f"/v1/{path}", {**base, **fields})
    assert made.status_code == 201, made.text
    return {**made.json(), "etag": made.headers["etag"]}


async def names(house: House, **query: Any) -> list[str]:
    answer = await house.owner.get("/v1/clients", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def told(house: House) -> list[dict[str, Any]]:
    """Every event of the organization, in order, opened."""
    keys = DataKeys(house.database, [MasterKey("test", b"m" * 32)])
    found = []
    for row in sorted(await house.everything("events"), key=lambda row: row["number"]):
        where = place("events", "content", row["id"])
        found.append(orjson.loads(await keys.open(row["organization_id"], row["content"], where)))
    return found


async def test_what_people_write_is_kept_in_one_form(house: House) -> None:
    made = await create(
        house,
        country="germany",
        phone="030 901820",
        website="Example.com/x",
        email="mailto:ann@a.example",
        tags=["b", "a", "b"],
        credit_limit=1500,
    )
    shown = {name: made[name] for name in ("country", "phone", "website", "email", "tags", "credit_limit")}
    assert shown == {
        "country": "DE",
        "phone": "+49 30 901820",
        "website": "https://example.com/x",
        "email": "ann@a.example",
        "tags": ["b", "a"],
        "credit_limit": "1500.00",
    }


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("country", "Atlantis", "ISO 3166-1"),
        ("phone", "call me", "+49 30 901820"),
        ("phone", "+49 1", "+49 30 901820"),
        ("website", "ftp://a.example", "https://"),
        ("email", "a@b", "name@example.com"),
        ("communication_preferences", {"emial": False}, "email"),
        ("communication_preferences", {"language": "klingon-"}, ""),
        ("tags", ["x" * 101], "100"),
        ("tags", [str(n) for n in range(51)], "50"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_the_mend(
    house: House, field: str, value: Any, mend: str
) -> None:
    answer = await house.owner.post("/v1/clients", {"name": "A", field: value})
    assert answer.status_code == 422
    [place_] = [p for p in problems(answer) if p.startswith(f"#/{field}")]
    assert place_
    assert mend in answer.text
    assert await house.everything("events") == []


async def test_a_list_is_narrowed_and_sorted(house: House) -> None:
    await create(house, name="beta", tags=["vip"], client_type="business", country="DE")
    await create(house, name="Alpha", assigned_manager=str(house.member.id))
    await create(house, name="gamma", tags=["vip", "old"], status="inactive")
    assert await names(house, sort="name") == ["Alpha", "beta", "gamma"]
    assert await names(house, sort="-name") == ["gamma", "beta", "Alpha"]
    assert await names(house, sort="created_at") == ["beta", "Alpha", "gamma"]
    assert await names(house) == ["gamma", "Alpha", "beta"]
    assert await names(house, tag="vip", sort="name") == ["beta", "gamma"]
    assert await names(house, tag="vip", status="inactive") == ["gamma"]
    assert await names(house, client_type="business") == await names(house, country="de") == ["beta"]
    assert await names(house, assigned_manager=str(house.member.id)) == ["Alpha"]
    assert await names(house, assigned_manager="none", sort="name") == ["beta", "gamma"]
    assert [
        c["name"] for c in (await house.member.get("/v1/clients?assigned_manager=me")).json()["items"]
    ] == ["Alpha"]
    assert await names(house, q="ALPH") == ["Alpha"]
    for query in ("sort=size", "assigned_manager=you", "client_type=alien", "country=DEU", "tag="):
        assert (await house.owner.get(f"/v1/clients?{query}")).status_code == 422


@pytest.mark.parametrize("sort", ["name", "-name", "created_at", "-updated_at"])
async def test_pages_of_a_sorted_list_leave_nothing_out(house: House, sort: str) -> None:
    for name in ("b", "a", "A", "b", "ß", "\U0001f600"):
        await create(house, name=name)
    whole = [c["id"] for c in (await house.owner.get(f"/v1/clients?sort={sort}")).json()["items"]]
    found, cursor = [], None
    while True:
        query = {"sort": sort, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await house.owner.get("/v1/clients", params=query)).json()
        found += [c["id"] for c in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        other = "name" if sort != "name" else "-name"
        wrong = await house.owner.get("/v1/clients", params={"sort": other, "cursor": cursor})
        assert (wrong.status_code, list(problems(wrong))) == (422, ["query/cursor"])
    assert found == whole
    assert len(found) == 6


async def test_every_change_is_told_in_its_own_transaction(house: House) -> None:
    client = await create(house, tax_id="12-345", city="Bonn")
    path = f"/v1/clients/{client['id']}"
    changed = await house.owner.change(path, {"city": "Ulm", "tax_id": "9"}, client["etag"])
    refused = await house.owner.change(path, {"city": "Rome"}, client["etag"])
    assert refused.status_code == 412
    person = await create(house, "contacts", client_id=client["id"])
    gone = await house.owner.change(f"/v1/contacts/{person['id']}", None, person["etag"], "DELETE")
    assert gone.status_code == 204
    assert (await house.owner.change(path, None, changed.headers["etag"], "DELETE")).status_code == 204
    events = await told(house)
    assert [(e["type"], e["source"]) for e in events] == [
        ("client.created", "/perdure/clients"),
        ("client.changed", "/perdure/clients"),
        ("contact.created", "/perdure/contacts"),
        ("contact.removed", "/perdure/contacts"),
        ("client.removed", "/perdure/clients"),
    ]
    assert {e["subject"] for e in events} == {client["id"], person["id"]}
    assert events[1]["data"]["changed"] == ["city", "tax_id"]
    assert events[1]["data"]["city"] == "Ulm"
    assert "12-345" not in str(events)
    assert "tax_id" not in events[0]["data"]


async def test_an_idempotency_key_tells_of_one_client(house: House) -> None:
    for _ in range(3):
        await house.owner.post("/v1/clients", {"name": "Once"}, Idempotency_Key="k")
    assert len(await house.everything("events")) == 1


async def test_an_event_too_large_leaves_out_what_makes_it_so(house: House) -> None:
    half = {"x": "y" * 70_000}
    await create(house, service_preferences=half, billing_address=half)
    [event] = await told(house)
    assert event["data"]["name"] == "Ann"
    assert "service_preferences" not in event["data"]


async def test_setting_another_primary_contact_moves_it(house: House) -> None:
    client = (await create(house))["id"]
    ada = await create(house, "contacts", client_id=client, is_primary=True)
    eve = await create(house, "contacts", client_id=client, first_name="Eve", is_primary=True)
    shown = (await house.owner.get(f"/v1/contacts?client_id={client}&is_primary=true")).json()["items"]
    assert [c["id"] for c in shown] == [eve["id"]]
    stale = await house.owner.change(f"/v1/contacts/{ada['id']}", {"is_primary": True}, ada["etag"])
    assert stale.status_code == 412, "it changed when it stepped back"
    back = (await house.owner.get(f"/v1/contacts/{ada['id']}")).headers["etag"]
    moved = await house.owner.change(f"/v1/contacts/{ada['id']}", {"is_primary": True}, back)
    assert moved.json()["is_primary"] is True
    kinds = [(e["type"], e["subject"], e["data"].get("changed")) for e in await told(house)]
    assert kinds[2:] == [
        ("contact.changed", ada["id"], ["is_primary"]),
        ("contact.created", eve["id"], None),
        ("contact.changed", eve["id"], ["is_primary"]),
        ("contact.changed", ada["id"], ["is_primary"]),
    ]
    tag = moved.headers["etag"]
    went = await house.owner.change(f"/v1/contacts/{ada['id']}", {"client_id": None}, tag)
    assert (went.json()["client_id"], went.json()["is_primary"]) == (None, False)
    refused = await house.owner.post(
        "/v1/contacts", {"first_name": "A", "last_name": "B", "is_primary": True}
    )
    assert (refused.status_code, list(problems(refused))) == (422, ["#/is_primary"])


async def test_many_who_want_to_be_primary_at_once_end_with_one(house: House) -> None:
    client = (await create(house))["id"]
    people = [await create(house, "contacts", client_id=client, first_name=f"P{n}") for n in range(6)]
    await house.warm()
    answers = await asyncio.gather(
        *(house.owner.change(f"/v1/contacts/{p['id']}", {"is_primary": True}, p["etag"]) for p in people),
        *(
            house.owner.post(
                "/v1/contacts",
                {"first_name": "New", "last_name": str(n), "client_id": client, "is_primary": True},
            )
            for n in range(4)
        ),
    )
    assert {answer.status_code for answer in answers} <= {200, 201}, [a.text for a in answers]
    primary = [c for c in await house.everything("contacts") if c["is_primary"]]
    assert len(primary) == 1


async def test_who_is_removed_manages_nobody(house: House) -> None:
    made = await create(house, assigned_manager=str(house.member.id))
    assert await names(house, assigned_manager="none") == []
    async with house.admin.begin() as connection:
        await connection.execute(
            text("UPDATE user_organizations SET status = 'suspended' WHERE user_id = :id"),
            {"id": house.member.id},
        )
    assert (await house.owner.get(f"/v1/clients/{made['id']}")).json()["assigned_manager"] is not None
    refused = await house.owner.post("/v1/clients", {"name": "B", "assigned_manager": str(house.member.id)})
    assert (refused.status_code, list(problems(refused))) == (422, ["#/assigned_manager"])
    owner = Access(Role.API, house.owner.organization_id, house.owner.id)
    async with house.database.transaction(owner) as tx:
        await tx.execute(delete(Membership).where(Membership.user_id == house.member.id))
    assert (await house.owner.get(f"/v1/clients/{made['id']}")).json()["assigned_manager"] is None
    assert await names(house, assigned_manager="none") == ["Ann"]
