"""What changes in the database counts with the next request: nothing about a caller is remembered."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.identity import User
from db.tenants import Membership, Organization, Role
from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.factories.rows import member, row


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


async def membership(behind: AsyncConnection, account: Account, **values: Any) -> None:
    """Changes it behind everybody's back; somebody else stays an owner, which every organization needs."""
    if not {"status", "role_id"}.isdisjoint(values):
        await member(behind, UUID(account.organization_id), role=RoleName.OWNER)
    await behind.execute(update(Membership).where(Membership.user_id == UUID(account.user_id)).values(values))


async def test_a_suspended_membership_ends_keys_and_permissions_at_once(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    key = {"Authorization": f"Bearer {(await account.api_key('clients:read'))['key']}"}
    assert (await world.http.get("/v1/clients", headers=key)).status_code == 200
    await membership(behind, account, status="suspended")
    assert (await world.http.get("/v1/clients", headers=key)).status_code == 401
    assert (await account.get("/v1/clients")).status_code == 403
    me = (await account.get("/v1/me")).json()
    assert (me["organization_id"], me["role"], me["permissions"]) == (None, None, [])
    assert (await account.get("/v1/organizations")).json()["items"] == []
    await membership(behind, account, status="active")
    assert (await world.http.get("/v1/clients", headers=key)).status_code == 200


async def test_a_denial_beats_the_role_also_for_keys(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    key = {"Authorization": f"Bearer {(await account.api_key('clients:read', 'tasks:read'))['key']}"}
    await membership(
        behind, account, permissions_override={"deny": ["clients:read"], "grant": ["clients:read"]}
    )
    assert (await account.get("/v1/clients")).status_code == 403
    assert (await world.http.get("/v1/clients", headers=key)).status_code == 403
    assert (await world.http.get("/v1/tasks", headers=key)).status_code == 200


async def test_an_organizations_own_role_counts_by_its_stored_permissions(
    account: Account, behind: AsyncConnection
) -> None:
    # Named like a shipped role on purpose: the name of an own role must not lend it anything.
    own = uuid4()
    values = {"name": "admin", "permissions": ["clients:read", "made:up"]}
    await behind.execute(insert(Role).values(id=own, organization_id=UUID(account.organization_id), **values))
    await membership(behind, account, role_id=own)
    assert (await account.get("/v1/me")).json()["permissions"] == ["clients:read"]
    await behind.execute(update(Role).where(Role.id == own).values(permissions=[]))
    assert (await account.get("/v1/clients")).status_code == 403


async def test_a_closed_account_or_organization_is_out(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    await behind.execute(update(Organization).values(is_active=False))
    assert (await account.get("/v1/clients")).status_code == 403
    await behind.execute(update(Organization).values(is_active=True))
    await behind.execute(update(User).values(is_active=False))
    assert (await account.get("/v1/me")).status_code == 401
    refreshed = await world.http.post("/v1/auth/refresh", json={"refresh_token": account.refresh_token})
    assert refreshed.status_code == 401
    body = {"email": account.email, "password": "tidal ferns at dusk"}
    assert (await world.http.post("/v1/auth/login", json=body)).status_code == 401


async def test_an_old_hash_is_renewed_at_login(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    from api.passwords import Passwords

    cheaper = await Passwords(b"p" * 32, cost=5).hash("tidal ferns at dusk")
    await behind.execute(update(User).values(password=cheaper))
    body = {"email": account.email, "password": "tidal ferns at dusk"}
    assert (await world.http.post("/v1/auth/login", json=body)).status_code == 200
    kept = await behind.scalar(User.__table__.select().with_only_columns(User.password))
    assert kept.startswith("v1$$2b$04$")


async def test_two_organizations_are_chosen_by_header(
    world: World, account: Account, behind: AsyncConnection
) -> None:
    other = await world.account("Second")
    await row(
        behind,
        "user_organizations",
        UUID(other.organization_id),
        user_id=UUID(account.user_id),
        status="active",
    )
    chosen = {"X-Organization-Id": other.organization_id}
    me = (await account.get("/v1/me", headers=chosen)).json()
    assert (me["organization_id"], me["role"]) == (other.organization_id, "member")
    assert (await account.get("/v1/me")).json()["organization_id"] == account.organization_id
    assert len((await account.get("/v1/organizations")).json()["items"]) == 2
    wider = {"name": "k", "scopes": ["clients:read", "organization:write"]}
    refused = await account.post("/v1/me/api-keys", json=wider, headers=chosen)
    assert refused.status_code == 403
    assert "organization:write" in refused.json()["detail"]
    # The other one's address answers only from within it.
    path = f"/v1/organizations/{other.organization_id}"
    assert (await account.get(path)).status_code == 404
    assert (await account.get(path, headers=chosen)).status_code == 200
