"""What the customer's billing, agent and document tables accept, refuse and show."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.documents import Document
from db.session import Access, Database, Role
from domain.permissions import RoleName
from tests.factories import rows

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)


@dataclass
class Acme:
    """An organization, on a connection that no policy restricts, in a transaction that is rolled back."""

    connection: AsyncConnection
    id: UUID
    owner: UUID

    async def row(self, table: str, **given: Any) -> Mapping[str, Any]:
        return await rows.row(self.connection, table, self.id, **given)

    async def refuses(self, constraint: str, table: str, **given: Any) -> None:
        with pytest.raises(IntegrityError, match=constraint):
            async with self.connection.begin_nested():
                await self.row(table, **given)


@pytest.fixture
async def acme(admin: AsyncEngine) -> AsyncIterator[Acme]:
    async with admin.connect() as connection:
        made = await rows.organization(connection)
        yield Acme(connection, made["id"], made["created_by"])
        await connection.rollback()


async def test_an_organization_has_one_live_subscription(acme: Acme) -> None:
    await acme.row("platform_subscriptions", status="active")
    await acme.refuses("uq_platform_subscriptions_live", "platform_subscriptions", status="trial")
    for over in ("cancelled", "expired", "suspended"):
        await acme.row("platform_subscriptions", status=over)


async def test_a_period_ends_after_it_begins(acme: Acme) -> None:
    period = {"current_period_start": NOW, "current_period_end": NOW - MONTH}
    await acme.refuses("ck_platform_subscriptions_period", "platform_subscriptions", **period)
    period["current_period_end"] = NOW
    await acme.refuses("ck_platform_subscriptions_period", "platform_subscriptions", **period)
    await acme.refuses("valid_billing_cycle", "platform_subscriptions", billing_cycle="weekly")
    await acme.refuses("ck_platform_subscriptions_usage", "platform_subscriptions", users_count=-1)


async def test_one_gateway_is_the_default_and_works(acme: Acme) -> None:
    first = await acme.row("payment_gateway_configs", is_default=True)
    await acme.refuses("uq_payment_gateway_configs_default", "payment_gateway_configs", is_default=True)
    await acme.refuses(
        "ck_payment_gateway_configs_default_is_active",
        "payment_gateway_configs",
        is_default=True,
        is_active=False,
    )
    await acme.connection.execute(
        text("UPDATE payment_gateway_configs SET is_default = false WHERE id = :id"), {"id": first["id"]}
    )
    await acme.row("payment_gateway_configs", is_default=True)
    await acme.refuses("ck_payment_gateway_configs_gateway", "payment_gateway_configs", gateway="paypal")


async def test_one_version_of_a_document_is_current(acme: Acme) -> None:
    first = await acme.row("documents")
    second = {"parent_document_id": first["id"], "version": 2}
    await acme.refuses("uq_documents_current_version", "documents", **second)
    newer = await acme.row("documents", **second, is_current_version=False)
    await acme.refuses("uq_documents_parent_document_id", "documents", **second, is_current_version=False)
    # The first version is everybody's parent: a chain would have two heads.
    chained = {"parent_document_id": newer["id"], "version": 3, "is_current_version": False}
    await acme.refuses("fk_documents_parent_document_id", "documents", **chained)
    await acme.refuses("ck_documents_version", "documents", version=2)
    await acme.refuses("ck_documents_version", "documents", parent_document_id=first["id"], version=1)


async def test_a_file_has_a_size_beyond_two_gigabytes_too(acme: Acme) -> None:
    await acme.refuses("positive_file_size", "documents", file_size=0)
    assert (await acme.row("documents", file_size=5 * 2**30))["file_size"] == 5 * 2**30
    await acme.refuses("ck_documents_file_hash", "documents", file_hash="ABC")


async def test_a_permission_names_exactly_one_and_one_of_the_organization(
    acme: Acme, admin: AsyncEngine
) -> None:
    document = await acme.row("documents")
    client = await acme.row("clients")
    nobody: dict[str, Any] = {"document_id": document["id"], "user_id": None, "client_id": None}
    await acme.refuses("one_grantee", "document_permissions", **nobody)
    both = {**nobody, "user_id": acme.owner, "client_id": client["id"]}
    await acme.refuses("one_grantee", "document_permissions", **both)
    await acme.row("document_permissions", **{**nobody, "client_id": client["id"]})
    await acme.refuses(
        "uq_document_permissions_grant", "document_permissions", **{**nobody, "client_id": client["id"]}
    )
    stranger = await rows.user(acme.connection)
    await acme.refuses(
        "is a member of the same organization",
        "document_permissions",
        **{**nobody, "user_id": stranger["id"]},
    )
    other = await rows.organization(acme.connection)
    theirs = await rows.row(acme.connection, "roles", other["id"], organization_id=other["id"])
    await acme.refuses(
        "a shipped one or one of the same organization",
        "document_permissions",
        **{**nobody, "role_id": theirs["id"]},
    )
    foreign = await rows.client(acme.connection, other["id"])
    await acme.refuses(
        "fk_document_permissions_client_id", "document_permissions", **{**nobody, "client_id": foreign["id"]}
    )


async def test_a_folder_has_one_entry_of_a_name(acme: Acme) -> None:
    top = await acme.row("folders", name="2026", parent_id=None)
    await acme.refuses("uq_folders_parent_id_name", "folders", name="2026", parent_id=None)
    await acme.row("folders", name="2026", parent_id=top["id"])
    id = uuid4()
    await acme.refuses("ck_folders_parent_id", "folders", id=id, parent_id=id)


async def test_messages_have_an_order_and_one_of_four_roles(acme: Acme) -> None:
    session = (await acme.row("agent_sessions"))["session_id"]
    for seq, role in enumerate(("system", "user", "assistant", "tool"), start=1):
        await acme.row("agent_messages", session_id=session, seq=seq, role=role)
    await acme.refuses("uq_agent_messages_session_id_seq", "agent_messages", session_id=session, seq=4)
    await acme.refuses("ck_agent_messages_role", "agent_messages", session_id=session, seq=5, role="root")
    await acme.refuses("ck_agent_messages_seq", "agent_messages", session_id=session, seq=0)


async def test_a_conversation_is_a_members_with_an_agent_that_exists(acme: Acme) -> None:
    agent = (await rows.row(acme.connection, "ai_agents"))["slug"]
    stranger = await rows.user(acme.connection)
    await acme.refuses(
        "is a member of the same organization", "agent_sessions", agent_slug=agent, user_id=stranger["id"]
    )
    await acme.refuses("fk_agent_sessions_agent_slug", "agent_sessions", agent_slug="nobody")
    # Session ids are an organization's own: nobody can occupy another's.
    mine = await acme.row("agent_sessions", agent_slug=agent, session_id="today")
    other = await rows.organization(acme.connection)
    assert await rows.row(acme.connection, "agent_sessions", other["id"], session_id=mine["session_id"])


async def test_access_to_an_agent_needs_it_installed_and_a_membership(acme: Acme) -> None:
    installed = (await acme.row("organization_agents"))["agent_slug"]
    elsewhere = (await rows.row(acme.connection, "ai_agents"))["slug"]
    await acme.refuses("fk_user_agent_access_agent_slug", "user_agent_access", agent_slug=elsewhere)
    stranger = await rows.user(acme.connection)
    await acme.refuses(
        "fk_user_agent_access_user_id", "user_agent_access", agent_slug=installed, user_id=stranger["id"]
    )
    given = {"agent_slug": installed, "user_id": acme.owner}
    await acme.refuses(
        "ck_user_agent_access_expires_at",
        "user_agent_access",
        **given,
        granted_at=NOW,
        expires_at=NOW,
    )


async def test_an_agent_that_costs_nothing_asks_for_no_plan(acme: Acme) -> None:
    plan = (await rows.row(acme.connection, "subscription_plans"))["slug"]
    await acme.refuses("ck_ai_agents_free_of_charge", "ai_agents", subscription_min_plan=plan)
    await rows.row(acme.connection, "ai_agents", subscription_min_plan=plan, pricing_model="included")
    await acme.refuses("ck_ai_agents_backend_entry", "ai_agents", backend_entry="../../etc/passwd")
    await acme.refuses("ck_ai_agents_frontend_entry", "ai_agents", frontend_entry="javascript:alert(1)")


@dataclass
class House:
    """Documents and workflows of an organization with several members, as the API shows them."""

    database: Database
    admin: AsyncEngine
    id: UUID
    people: dict[str, UUID]
    documents: dict[str, UUID]

    async def sees(self, person: str, role: Role = Role.API) -> set[str]:
        async with self.database.transaction(Access(role, self.id, self.people[person])) as tx:
            found = set(await tx.scalars(select(Document.id)))
        return {name for name, id in self.documents.items() if id in found}


@pytest.fixture
async def house(admin: AsyncEngine, narrow: Database) -> House:
    async with admin.begin() as connection:
        made = await rows.organization(connection)
        people = {"owner": made["created_by"]}
        for name, role in (
            ("author", RoleName.MEMBER),
            ("reader", RoleName.MEMBER),
            ("auditor", RoleName.AUDITOR),
            ("client", RoleName.CLIENT),
        ):
            people[name] = (await rows.member(connection, made["id"], role=role))["user_id"]
        documents = {}
        for level in ("private", "team", "client", "public"):
            stored = await rows.row(
                connection,
                "documents",
                made["id"],
                visibility=level,
                uploaded_by=people["author"],
                metadata={"case": level, "year": 2026},
            )
            documents[level] = stored["id"]
    return House(narrow, admin, made["id"], people, documents)


async def test_visibility_says_who_sees_a_document(house: House) -> None:
    everything = {"private", "team", "client", "public"}
    for person in ("owner", "author", "auditor"):
        assert await house.sees(person) == everything, person
    assert await house.sees("reader") == everything - {"private"}
    assert await house.sees("client") == {"public"}
    assert await house.sees("client", Role.WORKER) == everything, "a worker acts for the organization"


async def test_a_permission_shows_a_private_document_until_it_expires(house: House) -> None:
    async with house.admin.begin() as connection:
        given = await rows.row(
            connection,
            "document_permissions",
            house.id,
            document_id=house.documents["private"],
            user_id=house.people["client"],
        )
    assert await house.sees("client") == {"private", "public"}
    async with house.admin.begin() as connection:
        await connection.execute(
            text("UPDATE document_permissions SET expires_at = now() - interval '1 s' WHERE id = :id"),
            {"id": given["id"]},
        )
    assert await house.sees("client") == {"public"}


async def test_an_override_decides_who_audits(house: House) -> None:
    async def override(person: str, said: str) -> None:
        async with house.admin.begin() as connection:
            await connection.execute(
                text(
                    "UPDATE user_organizations SET permissions_override = CAST(:o AS jsonb) WHERE user_id = :u"
                ),
                {"o": said, "u": house.people[person]},
            )

    await override("reader", '{"grant": ["audit:read"]}')
    assert "private" in await house.sees("reader")
    await override("reader", '{"grant": ["audit:read"], "deny": ["audit:read"]}')
    assert "private" not in await house.sees("reader")
    await override("auditor", '{"deny": ["audit:read"]}')
    assert "private" not in await house.sees("auditor")


async def test_documents_are_found_by_metadata_within_the_organization(house: House) -> None:
    async with house.admin.begin() as connection:
        other = await rows.organization(connection)
        await rows.row(connection, "documents", other["id"], metadata={"case": "team", "year": 2026})
    finding = text("SELECT app.find_documents(CAST(:wanted AS jsonb), 100)")
    async with house.database.transaction(Access(Role.API, house.id, house.people["reader"])) as tx:
        assert set(await tx.scalars(finding, {"wanted": '{"case": "team"}'})) == {house.documents["team"]}
        # It finds ids; what a member may see of them, the policies say when they are read.
        found = select(Document.id).where(
            Document.id.in_(text("SELECT app.find_documents('{\"year\": 2026}', 100)"))
        )
        assert set(await tx.scalars(found)) == set(house.documents.values()) - {house.documents["private"]}


async def test_the_customers_index_on_metadata_is_used(house: House) -> None:
    async with house.admin.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO documents (organization_id, filename, original_filename, file_path, file_size, "
                "mime_type, uploaded_by, metadata) SELECT :org, 'f', 'f', 'p', 1, 'text/plain', :user, "
                "jsonb_build_object('number', n) FROM generate_series(1, 10000) AS n"
            ),
            {"org": house.id, "user": house.people["owner"]},
        )
        await connection.execute(text("SELECT gin_clean_pending_list('documents_metadata_gin_idx')"))
        await connection.execute(text("ANALYZE documents"))
    async with house.admin.connect() as connection:
        body = str(
            await connection.scalar(text("SELECT prosrc FROM pg_proc WHERE proname = 'find_documents'"))
        )
        query = (
            re.sub("--.*", "", body)
            .replace("wanted", "'{\"number\": 77}'")
            .replace("at_most", "10")
            .replace(":", "\\:")
        )
        plans = {}
        for role in ("app_system", "app_api"):
            await connection.execute(
                text(
                    "SELECT set_config('role', :role, true), set_config('app.org_id', :org, true), "
                    "set_config('app.user_id', :user, true)"
                ),
                {"role": role, "org": str(house.id), "user": str(house.people["owner"])},
            )
            lines = await connection.scalars(text("EXPLAIN " + query))
            plans[role] = "\n".join(lines)
            await connection.rollback()
    assert "documents_metadata_gin_idx" in plans["app_system"], plans["app_system"]
    assert "documents_metadata_gin_idx" not in plans["app_api"], "then the function is not needed any more"


async def test_an_update_tells_its_moment(acme: Acme) -> None:
    made = await acme.row("documents", updated_at=NOW - MONTH)
    changed = (
        update(Document).where(Document.id == made["id"]).values(filename="b").returning(Document.updated_at)
    )
    assert await acme.connection.scalar(changed) > NOW - timedelta(hours=1)
