"""The definer functions: what can be done before an organization is entered, and not one row more."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.identity import Session, User
from db.session import Access, Database, Role
from db.tenants import SHIPPED_ROLES, Membership, Organization
from domain.permissions import RoleName
from tests.factories import rows

NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def call(database: Database, function: str, *arguments: Any) -> Any:
    """The scalar a function of schema app answers to somebody who has not entered."""
    async with database.transaction(Access(Role.API)) as tx:
        places = ", ".join(f":a{number}" for number in range(len(arguments)))
        values = {f"a{number}": argument for number, argument in enumerate(arguments)}
        return await tx.scalar(text(f"SELECT app.{function}({places})"), values)


async def register(
    database: Database, email: str = "Ada@Example.test", slug: str = "acme"
) -> tuple[UUID, UUID]:
    user_id, organization_id = uuid4(), uuid4()
    async with database.transaction(Access(Role.API)) as tx:
        await tx.execute(
            text("SELECT app.register(cast(:user AS jsonb), cast(:organization AS jsonb))"),
            {
                "user": json.dumps(
                    {"id": str(user_id), "username": email, "email": email, "password": "hash"}
                ),
                "organization": json.dumps({"id": str(organization_id), "name": "Acme", "slug": slug}),
            },
        )
    return user_id, organization_id


async def test_registration_makes_an_owner_who_can_enter(narrow: Database) -> None:
    user_id, organization_id = await register(narrow)
    async with narrow.transaction(Access(Role.API, organization_id, user_id)) as tx:
        membership = (await tx.execute(select(Membership))).mappings().one()
        organization = (await tx.execute(select(Organization))).mappings().one()
    assert membership["role_id"] == SHIPPED_ROLES[RoleName.OWNER]
    assert (organization["created_by"], organization["country"], organization["timezone"]) == (
        user_id,
        "US",
        "UTC",
    )


@pytest.mark.parametrize(
    ("email", "slug", "constraint"),
    [
        ("ADA@example.TEST", "other", "uq_users_email_lower"),
        ("bob@example.test", "acme", "uq_organizations_slug"),
    ],
)
async def test_registration_is_whole_or_not_at_all(
    narrow: Database, admin: AsyncEngine, email: str, slug: str, constraint: str
) -> None:
    await register(narrow)
    with pytest.raises(IntegrityError, match=constraint):
        await register(narrow, email, slug)
    async with admin.connect() as connection:
        for table in (User, Membership):
            assert await connection.scalar(select(func.count()).select_from(table)) == 1
        assert set(await connection.scalars(select(Organization.slug))) == {"perdure", "acme"}


async def test_login_finds_one_account_whatever_the_case(narrow: Database) -> None:
    user_id, organization_id = await register(narrow)
    async with narrow.transaction(Access(Role.API)) as tx:
        found = (await tx.execute(text("SELECT * FROM app.login('aDA@EXAMPLE.test')"))).mappings().all()
        none = (await tx.execute(text("SELECT * FROM app.login('ada@example.tes_')"))).all()
    assert [dict(row) for row in found] == [
        {
            "user_id": user_id,
            "password": "hash",
            "is_active": True,
            "email_verified": False,
            "default_organization_id": organization_id,
        }
    ]
    assert none == []


async def test_a_password_is_replaced_only_by_who_knows_its_hash(narrow: Database) -> None:
    user_id, _ = await register(narrow)
    assert await call(narrow, "set_password", user_id, "other", "new") is False
    assert await call(narrow, "set_password", user_id, "hash", "new") is True
    assert await call(narrow, "set_password", user_id, "hash", "newer") is False


def a_session(user_id: UUID, sha256: str, **changes: Any) -> dict[str, Any]:
    values = {
        "id": uuid4(),
        "user_id": user_id,
        "family_id": uuid4(),
        "refresh_sha256": sha256,
        "expires_at": NOW + timedelta(days=30),
    }
    return {name: str(value) for name, value in {**values, **changes}.items()}


async def rotate(database: Database, old: str, new: str, moment: datetime = NOW) -> str:
    session = {"refresh_sha256": new, "expires_at": (NOW + timedelta(days=30)).isoformat()}
    async with database.transaction(Access(Role.API)) as tx:
        return str(
            await tx.scalar(
                text("SELECT app.rotate_session(:old, cast(:session AS jsonb), :moment)"),
                {"old": old, "session": json.dumps(session), "moment": moment},
            )
        )


async def open_session(database: Database, session: dict[str, Any]) -> None:
    async with database.transaction(Access(Role.API)) as tx:
        await tx.execute(text("SELECT app.open_session(cast(:s AS jsonb))"), {"s": json.dumps(session)})


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(
    narrow: Database, admin: AsyncEngine
) -> None:
    user_id, _ = await register(narrow)
    await open_session(narrow, a_session(user_id, "one"))
    assert await rotate(narrow, "nothing", "x") == "unknown"
    assert await rotate(narrow, "one", "two") == "rotated"
    assert await rotate(narrow, "one", "stolen") == "reused"
    assert await rotate(narrow, "two", "three") == "reused"
    async with admin.connect() as connection:
        sessions = (await connection.execute(select(Session))).mappings().all()
    assert {session["refresh_sha256"] for session in sessions} == {"one", "two"}
    assert all(session["revoked_at"] == NOW for session in sessions)
    assert len({session["family_id"] for session in sessions}) == 1


async def test_two_refreshes_at_once_take_turns(database_url: str, narrow: Database) -> None:
    user_id, _ = await register(narrow)
    await open_session(narrow, a_session(user_id, "one"))
    wide = Database(database_url, pool_size=4)
    answers = await asyncio.gather(*(rotate(wide, "one", f"new-{number}") for number in range(4)))
    await wide.close()
    assert sorted(answers) == ["reused", "reused", "reused", "rotated"]


async def test_an_expired_session_or_a_closed_account_does_not_rotate(
    narrow: Database, admin: AsyncEngine
) -> None:
    user_id, _ = await register(narrow)
    await open_session(narrow, a_session(user_id, "one"))
    assert await rotate(narrow, "one", "two", NOW + timedelta(days=30)) == "expired"
    async with admin.begin() as connection:
        await connection.execute(update(User).values(is_active=False))
    assert await rotate(narrow, "one", "two") == "inactive"


async def test_people_see_themselves_and_colleagues_only(narrow: Database, admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme, other = await rows.organization(connection), await rows.organization(connection)
        ada = await rows.member(connection, acme["id"])
        gone = await rows.member(connection, acme["id"], status="suspended")
        invited = await rows.member(connection, acme["id"], status="pending")
    async with narrow.transaction(Access(Role.API, acme["id"], ada["user_id"])) as tx:
        seen = set((await tx.scalars(select(User.id))).all())
        changed = await tx.execute(update(User).values(first_name="Ada"))
    assert seen == {ada["user_id"], acme["created_by"], gone["user_id"]}
    assert invited["user_id"] not in seen, "whoever has not agreed to be a colleague is none"
    assert other["created_by"] not in seen
    assert changed.rowcount == 1, "an update reaches nobody but oneself"


async def test_a_role_of_another_organization_cannot_be_given(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme, other = await rows.organization(connection), await rows.organization(connection)
        foreign = await rows.row(connection, "roles", other["id"])
        own = await rows.row(connection, "roles", acme["id"])
        await rows.member(connection, acme["id"], role_id=own["id"])
    for table, given in (("user_organizations", acme["id"]), ("users", None)):
        with pytest.raises(IntegrityError, match="shipped one"):
            async with admin.begin() as connection:
                await rows.row(connection, table, given, role_id=foreign["id"])


async def test_a_reference_to_another_organizations_row_cannot_be_stored(admin: AsyncEngine) -> None:
    """Also not by a superuser: the foreign keys say it, without any policy."""
    async with admin.begin() as connection:
        acme, other = await rows.organization(connection), await rows.organization(connection)
        theirs = await rows.client(connection, other["id"])
    with pytest.raises(IntegrityError, match="fk_contacts_client_id"):
        async with admin.begin() as connection:
            await rows.row(connection, "contacts", acme["id"], client_id=theirs["id"])
