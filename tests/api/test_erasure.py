"""Planning erasures: who may, what is asked for, what is refused, and how it is called off."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from tests.api.conftest import Account, World
from tests.factories import rows


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_engine(admin_url, pool_size=1)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


def path(account: Account) -> str:
    return f"/v1/organizations/{account.organization_id}/erasure"


async def plan(account: Account, **given: Any) -> Any:
    headers = given.pop("headers", {})
    return await account.post(path(account), json={"name": "Lindqvist Tax", **given}, headers=headers)


async def test_an_owner_plans_an_erasure_and_calls_it_off(world: World, account: Account) -> None:
    answer = await plan(account)
    assert answer.status_code == 202, answer.text
    planned = answer.json()
    assert (planned["status"], planned["subject"]) == ("scheduled", "organization")
    assert planned["subject_id"] == account.organization_id
    kinds = [entry.workflow_id.split("/")[1] for entry in world.dispatcher.entries]
    assert kinds == ["organization_erasure", "mail"]
    assert (await account.get(path(account))).json() == planned
    assert (await account.get(f"/v1/me/erasures/{planned['id']}")).json() == planned
    # Nothing has changed for anybody yet.
    assert (await account.get("/v1/clients")).status_code == 200

    cancelled = await account.request("DELETE", path(account))
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = await account.request("DELETE", path(account))
    assert (again.status_code, again.json()["code"]) == (409, "erasure_not_planned")
    assert (await plan(account)).status_code == 202


async def test_it_is_planned_once(account: Account) -> None:
    key = {"Idempotency-Key": "the-same"}
    first, second = await plan(account, headers=key), await plan(account, headers=key)
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replay"] == "true"
    other = await plan(account)
    assert (other.status_code, other.json()["code"]) == (409, "erasure_exists")


@pytest.mark.parametrize(
    "given",
    [{"name": "lindqvist tax"}, {"name": ""}, {"grace_days": 0}, {"grace_days": 366}, {"grace": 1}],
    ids=str,
)
async def test_what_is_typed_wrongly_plans_nothing(account: Account, given: dict[str, Any]) -> None:
    answer = await plan(account, **given)
    assert answer.status_code == 422, answer.text
    assert (await account.get(path(account))).status_code == 404


async def test_only_a_person_who_proved_lately_who_they_are(world: World, account: Account) -> None:
    key = await account.api_key("organization:read", "organization:delete")
    answer = await world.http.post(
        path(account), json={"name": "Lindqvist Tax"}, headers={"Authorization": f"Bearer {key['key']}"}
    )
    assert answer.status_code == 403
    world.clock.forward(minutes=8)  # the clock runs on meanwhile: two minutes are for a slow machine
    assert (await plan(account, name="Other")).status_code == 422
    world.clock.forward(minutes=2, seconds=1)
    for refused in (
        await world.http.post(path(account), json={"name": "Lindqvist Tax"}, headers=account.headers),
        await account.request("DELETE", "/v1/me"),
    ):
        # The access token lives as long as the proof: either word is a refusal.
        assert refused.status_code in (401, 403), refused.text


async def test_an_administrator_cannot_end_the_organization(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await world.account("Other Ltd")
    await rows.row(
        behind,
        "user_organizations",
        account.organization_id,  # type: ignore[arg-type]
        user_id=other.user_id,
        role_id="00000000-0000-7000-8000-000000000002",
        status="active",
    )
    answer = await other.post(
        path(account), json={"name": "Lindqvist Tax"}, headers={"X-Organization-Id": account.organization_id}
    )
    assert answer.status_code == 403
    assert "organization:delete" in answer.text


async def test_a_person_goes_at_once(world: World, account: Account, behind: AsyncConnection) -> None:
    answer = await account.request("DELETE", "/v1/me")
    assert answer.status_code == 202, answer.text
    assert answer.json()["subject"] == "user"
    assert (await account.get("/v1/me")).status_code == 401
    refreshed = await world.http.post("/v1/auth/refresh", json={"refresh_token": account.refresh_token})
    assert refreshed.status_code == 401
    login = await world.http.post(
        "/v1/auth/login", json={"email": account.email, "password": "tidal ferns at dusk"}
    )
    assert login.status_code in (401, 403)
    parts = await behind.execute(
        text("SELECT subject_id::text FROM erasures WHERE part_of = :id"), {"id": answer.json()["id"]}
    )
    assert parts.scalars().all() == [account.organization_id]


async def test_a_deleted_organization_keeps_nobody(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await world.account("Other Ltd")
    role = {"role_id": "00000000-0000-7000-8000-000000000004", "status": "active"}
    organization: Any = account.organization_id
    await rows.row(behind, "user_organizations", organization, user_id=other.user_id, **role)
    removed = await account.request("DELETE", f"/v1/organizations/{account.organization_id}")
    assert removed.status_code == 200, removed.text
    answer = await account.request("DELETE", "/v1/me")
    assert answer.status_code == 202, answer.text
    planned = await behind.execute(
        text("SELECT status, part_of::text FROM erasures WHERE subject_id = :id ORDER BY status"),
        {"id": account.organization_id},
    )
    assert planned.all() == [("cancelled", None), ("scheduled", answer.json()["id"])]


async def test_whoever_alone_owns_what_others_use_has_to_hand_it_over_first(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await world.account("Other Ltd")
    membership = await rows.row(
        behind,
        "user_organizations",
        account.organization_id,  # type: ignore[arg-type]
        user_id=other.user_id,
        role_id="00000000-0000-7000-8000-000000000004",
        status="active",
    )
    refused = await account.request("DELETE", "/v1/me")
    assert (refused.status_code, refused.json()["code"]) == (409, "sole_owner")
    assert "Lindqvist Tax" in refused.json()["detail"]
    assert (await account.get("/v1/me")).status_code == 200, "nothing happened"

    await behind.execute(
        text("UPDATE user_organizations SET role_id = :owner WHERE id = :id"),
        {"owner": "00000000-0000-7000-8000-000000000001", "id": membership["id"]},
    )
    assert (await account.request("DELETE", "/v1/me")).status_code == 202
    # The other owner is the last one now.
    third = await world.account("Third Ltd")
    await rows.row(
        behind,
        "user_organizations",
        account.organization_id,  # type: ignore[arg-type]
        user_id=third.user_id,
        role_id="00000000-0000-7000-8000-000000000004",
        status="active",
    )
    refused = await other.request("DELETE", "/v1/me")
    assert (refused.status_code, refused.json()["code"]) == (409, "sole_owner")
