"""What PostgreSQL's own catalogue says about every table, policy, role and function of ours."""

import re
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Text, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.tables import SHARED_TABLES, SYSTEM_TABLES, metadata
from db.tenants import SHIPPED_ROLES
from domain.permissions import RoleName
from tests.db.doors import LISTED

APPLICATION = ["app_api", "app_worker", "app_system"]
TENANT_TABLES = sorted(metadata.tables.keys() - SHARED_TABLES)
#: Functions that run with more rights than their caller. A new one needs a reason to stand here.
DEFINERS = {
    "add_api_calls": "app_system",
    "audit_kept_from": "app_system",
    "audit_trigger": "app_system",
    "awaiting_client": "app_system",
    "barred_from_task": "app_system",
    "counted_at": "app_system",
    "decide_task": "app_system",
    "organization_stats": "app_system",
    "retire_activities": "app_owner",
    "stray_activities": "app_owner",
    "accept_invitation": "app_system",
    "add_registration": "app_system",
    "anonymise_user": "app_owner",
    "attempt": "app_system",
    "attempt_token": "app_system",
    "change_email": "app_system",
    "change_password": "app_system",
    "close_organization": "app_system",
    "code_of": "app_system",
    "complete_registration": "app_system",
    "confirm_phone": "app_system",
    "consume_token": "app_system",
    "create_organization": "app_system",
    "email_change_of": "app_system",
    "erase_rows": "app_owner",
    "find_documents": "app_system",
    "find_hook": "app_system",
    "find_invitation": "app_system",
    "find_session": "app_system",
    "find_task_link": "app_system",
    "find_token": "app_system",
    "forgive": "app_system",
    "identify_api_key": "app_system",
    "identify_session": "app_system",
    "issue_token": "app_system",
    "keeps_password": "app_system",
    "leave_for_good": "app_system",
    "login": "app_system",
    "loosen_rows": "app_owner",
    "make_partitions": "app_owner",
    "may_enter": "app_system",
    "mfa_required": "app_system",
    "my_deleted_organizations": "app_system",
    "my_organizations": "app_system",
    "my_tasks": "app_system",
    "newest_registration": "app_system",
    "open_session": "app_system",
    "project_mfa_policy": "app_system",
    "register": "app_system",
    "register_invited": "app_system",
    "registration_of": "app_system",
    "release_clients": "app_system",
    "remaining_rows": "app_owner",
    "renew_session": "app_system",
    "reset_of": "app_system",
    "reset_password": "app_system",
    "restore_organization": "app_system",
    "revoke_session_family": "app_system",
    "rotate_session": "app_system",
    "search_clients": "app_system",
    "search_contacts": "app_system",
    "set_password": "app_system",
    "stop_organization": "app_owner",
}
#: What app_system may add to across organizations and never read.
APPENDED = {"activity_logs"}
#: Not even the superuser's absent-mindedness may change these through the application.
NEVER = {
    ("workflow_versions", "UPDATE"),
    ("workflow_versions", "DELETE"),
    ("activity_logs", "UPDATE"),
    ("activity_logs", "DELETE"),
    ("users", "DELETE"),
    ("effects", "DELETE"),
    ("outbox", "DELETE"),
}
#: Columns that app_api and app_worker never read: definer functions compare or return them.
UNREADABLE = {
    ("users", "password"),
    ("users", "national_id"),
    ("users", "email_verification_token"),
    ("users", "password_reset_token"),
    ("sessions", "refresh_sha256"),
    ("api_keys", "secret_sha256"),
    ("invitations", "token_sha256"),
    ("task_links", "token_sha256"),
}
#: What one's own hand may not raise.
UNCHANGEABLE = {
    ("users", "role_id"),
    ("users", "is_active"),
    ("users", "kyc_status"),
    ("users", "email_verified"),
    ("users", "password"),
    ("organizations", "is_verified"),
    ("organizations", "verification_level"),
    ("organizations", "is_active"),
    ("organizations", "deleted_at"),
    ("api_keys", "user_id"),
    ("api_keys", "secret_sha256"),
}


@pytest.fixture
async def catalogue(admin: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with admin.connect() as connection:
        yield connection


async def names(catalogue: AsyncConnection, query: str, **values: object) -> set[str]:
    return set(await catalogue.scalars(text(query), values))


async def test_every_table_and_partition_forces_row_security(catalogue: AsyncConnection) -> None:
    unsafe = await names(
        catalogue,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)",
    )
    assert unsafe == set()


def test_every_tenant_row_names_its_organization() -> None:
    for name in TENANT_TABLES:
        column = metadata.tables[name].c.get("organization_id")
        assert column is not None, f"{name} has no organization_id: make it a Tenant or list it as shared"
        assert not column.nullable, name


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_tenant_table_is_read_through_an_index_of_its_organization(
    catalogue: AsyncConnection, table: str
) -> None:
    leading = await names(
        catalogue,
        "SELECT a.attname FROM pg_index i "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "WHERE i.indrelid = to_regclass('public.' || :table) AND i.indpred IS NULL",
        table=table,
    )
    assert "organization_id" in leading


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_a_reference_between_tenant_tables_carries_the_organization(table: str) -> None:
    for constraint in metadata.tables[table].foreign_key_constraints:
        if constraint.referred_table.name in TENANT_TABLES:
            assert constraint.column_keys[0] == "organization_id", (
                f"{constraint.name} would accept a row of another organization: write it with within(…)"
            )


@pytest.mark.parametrize("table", TENANT_TABLES)
def test_a_reference_between_tenant_tables_is_indexed(table: str) -> None:
    found = metadata.tables[table]
    keys = [[c.name for c in index.columns] for index in found.indexes]
    keys += [
        [c.name for c in it.columns]
        for it in found.constraints
        if type(it).__name__ in ("PrimaryKeyConstraint", "UniqueConstraint")
    ]
    for constraint in found.foreign_key_constraints:
        columns = list(constraint.column_keys)
        if constraint.referred_table.name in TENANT_TABLES and not constraint.use_alter:
            assert any(key[: len(columns)] == columns for key in keys), f"no index for {constraint.name}"


async def test_policies_read_the_settings_once_per_statement(catalogue: AsyncConnection) -> None:
    """`(SELECT app.org())` is an initplan; a bare call would run for every row."""
    policies = (
        await catalogue.execute(text("SELECT * FROM pg_policies WHERE schemaname = 'public'"))
    ).mappings()
    for policy in policies:
        for clause in filter(None, (policy["qual"], policy["with_check"])):
            bare = re.sub(r"\( ?SELECT app\.(\w+)\(\) AS \1\)", "", clause)
            # It asks about the row, and is reached only for whoever does not see every task.
            bare = bare.replace("app.sees_task(task_id)", "")
            assert "app." not in bare, f"{policy['policyname']} on {policy['tablename']}: {clause}"
            assert "current_setting" not in bare


async def test_only_the_listed_tables_are_open_to_the_system(catalogue: AsyncConnection) -> None:
    policies = await catalogue.execute(
        text(
            "SELECT tablename, policyname, roles::text[] AS roles, cmd, qual, with_check "
            "FROM pg_policies WHERE schemaname = 'public' AND permissive = 'PERMISSIVE'"
        )
    )
    opened = set()
    for policy in policies.mappings():
        if policy["policyname"] == "append":
            assert (policy["roles"], policy["cmd"]) == (["app_system"], "INSERT"), policy
            assert policy["tablename"] in APPENDED, policy
        elif policy["qual"] == "true" or policy["with_check"] == "true":
            assert policy["roles"] == ["app_system"], policy
            opened.add(policy["tablename"])
        elif policy["policyname"] == "erasure":
            assert policy["roles"] == ["app_owner"], policy
            assert "app.erased()" in policy["qual"], policy
        else:
            assert set(policy["roles"]) <= {"app_api", "app_worker"}, policy
    assert opened == SYSTEM_TABLES


async def test_roles_own_nothing_they_could_bypass(catalogue: AsyncConnection) -> None:
    privileged = await names(
        catalogue,
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'app\\_%' "
        "AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin)",
    )
    assert privileged == set()
    owners = await names(
        catalogue,
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relname NOT LIKE 'alembic_version%'",
    )
    assert owners == {"app_owner"}
    memberships = await names(
        catalogue,
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = 'perdure_app'::regrole",
    )
    assert memberships == set(APPLICATION)
    inherited = await names(
        catalogue,
        "SELECT roleid::regrole::text FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.member "
        "WHERE r.rolname = 'perdure_app' "
        "AND coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, r.rolinherit)",
    )
    assert inherited == set()


async def test_definer_functions_are_a_closed_list_with_a_pinned_search_path(
    catalogue: AsyncConnection,
) -> None:
    functions = await catalogue.execute(
        text(
            "SELECT proname, proowner::regrole::text AS owner, proconfig, "
            "has_function_privilege('public', oid, 'EXECUTE') AS everybody "
            "FROM pg_proc WHERE prosecdef AND pronamespace NOT IN "
            "('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        )
    )
    found = {}
    for function in functions.mappings():
        assert function["proconfig"] == ['search_path=""'], function
        assert not function["everybody"], function
        found[function["proname"]] = function["owner"]
    assert found == DEFINERS


async def test_every_definer_that_answers_by_the_entered_organization_is_probed(
    catalogue: AsyncConnection,
) -> None:
    asking = await names(
        catalogue, "SELECT proname FROM pg_proc WHERE prosecdef AND prosrc LIKE '%app.org()%'"
    )
    assert asking == LISTED, "say in tests/db/doors.py how it is asked, and what it may tell"


async def test_a_worker_calls_no_definer_but_the_door(catalogue: AsyncConnection) -> None:
    callable_ = await names(
        catalogue,
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'app'::regnamespace "
        "AND has_function_privilege('app_worker', oid, 'EXECUTE')",
    )
    assert callable_ == {
        "may_enter",
        "issue_token",
        # The platform's own mails; elsewhere these say nothing (tests/db/test_token_rows.py).
        "add_registration",
        "code_of",
        "email_change_of",
        "newest_registration",
        "registration_of",
        "reset_of",
        # Decisions of clients and deadlines; it asks app.org() and app.me() itself.
        "decide_task",
        # Whom four eyes keep away is looked up before a task is opened.
        "barred_from_task",
    }


@pytest.mark.parametrize("role", APPLICATION)
async def test_what_no_role_may_do(catalogue: AsyncConnection, role: str) -> None:
    granted = (
        await catalogue.execute(
            text(
                "SELECT table_name, privilege_type "
                "FROM information_schema.role_table_grants "
                "WHERE grantee = :role AND table_schema = 'public'"
            ),
            {"role": role},
        )
    ).all()
    never = NEVER if role == "app_system" else NEVER | {("sessions", "DELETE")}
    assert {tuple(grant) for grant in granted} & never == set()
    assert {grant.privilege_type for grant in granted} <= {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert not {grant.table_name for grant in granted if grant.table_name.startswith("activity_logs_")}


@pytest.mark.parametrize("role", ["app_api", "app_worker"])
async def test_hashes_and_verdicts_are_out_of_reach(catalogue: AsyncConnection, role: str) -> None:
    async def may(column: tuple[str, str], privilege: str) -> bool:
        answer = await catalogue.scalar(
            text("SELECT has_column_privilege(:role, 'public.' || :table, :column, :privilege)"),
            {"role": role, "table": column[0], "column": column[1], "privilege": privilege},
        )
        return bool(answer)

    assert [column for column in UNREADABLE if await may(column, "SELECT")] == []
    assert [column for column in UNCHANGEABLE if await may(column, "UPDATE")] == []


async def test_the_shipped_roles_are_there_under_their_fixed_ids(catalogue: AsyncConnection) -> None:
    stored = await catalogue.execute(text("SELECT name, id FROM roles WHERE organization_id IS NULL"))
    assert {RoleName(row.name): row.id for row in stored} == SHIPPED_ROLES


def test_text_is_text_and_moments_know_their_zone() -> None:
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Text):
                assert column.type.length is None, f"{table.name}.{column.name}"
            if str(column.type) in ("DATETIME", "TIMESTAMP"):
                assert getattr(column.type, "timezone", False), f"{table.name}.{column.name}"
