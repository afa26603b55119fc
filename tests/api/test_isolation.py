"""Every operation that names a row by id, replayed with another tenant's credentials: one byte-identical 404.

A new route with an id in its path fails here until it says, in SUBJECTS, which row it is about.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables import metadata
from db.tenants import PLATFORM, SHIPPED_ROLES
from domain.permissions import RoleName
from tests.api.conftest import Account, World
from tests.factories.rows import row

METHODS = ("get", "put", "post", "patch", "delete")
SEEN = {"If-Match": '"1"'}
DEFINITION = {"do": [{"note": {"set": {"a": 1}}}]}


WEBHOOK = {"type": "webhook", "configuration": {"scheme": "github"}}
IMPORT = {
    "direction": "import",
    "mode": "create",
    "match_by": "client_number",
    "settings": {"encoding": "utf-8", "delimiter": ",", "read_as": {}, "passed_over": []},
}
EXPORT = {"direction": "export", "settings": {"filters": {}, "delimiter": ",", "tax_ids": False}}
#: Public addresses hold a secret instead of an id; tests/api/test_hooks.py asks them.
PUBLIC = {"hooks_receive"}


@dataclass(frozen=True)
class Subject:
    """Whose id the path takes, and a request that is fine but for that id."""

    table: str
    #: Or what makes it from the account whose row it is.
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    #: Columns of the row, and further parts of the path.
    given: dict[str, Any] = field(default_factory=dict)
    path: dict[str, Any] = field(default_factory=dict)
    #: The column whose value the path takes.
    key: str = "id"


def invitation(_: Account) -> dict[str, str]:
    return {"email": f"{uuid4().hex}@lind.example", "role_id": str(SHIPPED_ROLES[RoleName.MEMBER])}


SUBJECTS = {
    "identity_end_session": Subject("sessions"),
    "identity_revoke_api_key": Subject("api_keys"),
    "identity_rotate_api_key": Subject("api_keys", {}),
    "devices_forget": Subject("trusted_devices"),
    "organizations_get": Subject("organizations"),
    "organizations_update": Subject("organizations", {"name": "Other"}, SEEN),
    "organizations_remove": Subject("organizations"),
    "organizations_restore": Subject("organizations"),
    "organizations_transfer": Subject("organizations", lambda owner: {"user_id": owner.user_id}),
    "members_leave": Subject("organizations"),
    "members_list": Subject("organizations"),
    "members_get": Subject("user_organizations", key="user_id"),
    "members_change": Subject("user_organizations", {"permissions_override": {}}, SEEN, key="user_id"),
    "members_suspend": Subject("user_organizations", key="user_id"),
    "members_resume": Subject("user_organizations", key="user_id"),
    "members_remove": Subject("user_organizations", key="user_id"),
    "invitations_list": Subject("organizations"),
    "invitations_create": Subject("organizations", invitation),
    "invitations_get": Subject("invitations"),
    "invitations_resend": Subject("invitations"),
    "invitations_revoke": Subject("invitations"),
    "roles_list": Subject("organizations"),
    "roles_create": Subject("organizations", {"name": "Bookkeeper", "permissions": []}),
    "roles_get": Subject("roles"),
    "roles_change": Subject("roles", {"name": "Bookkeeper"}, SEEN),
    "roles_remove": Subject("roles", None, SEEN),
    "settings_get": Subject("organizations"),
    "settings_replace": Subject("organizations", {}, SEEN),
    "exports_start": Subject("organizations"),
    "exports_list": Subject("organizations"),
    "exports_get": Subject("exports"),
    "exports_content": Subject("exports"),
    "exports_remove": Subject("exports"),
    "erasure_plan": Subject("organizations", {"name": "Other"}),
    "erasure_get": Subject("erasures", key="subject_id"),
    "erasure_cancel": Subject("erasures", key="subject_id"),
    "erasure_mine": Subject("erasures"),
    "clients_imports_get": Subject("transfers", given=IMPORT | {"kind": "clients"}),
    "clients_imports_errors": Subject("transfers", given=IMPORT | {"kind": "clients"}),
    "clients_imports_errors_csv": Subject("transfers", given=IMPORT | {"kind": "clients"}),
    "clients_imports_cancel": Subject("transfers", given=IMPORT | {"kind": "clients"}),
    "clients_exports_get": Subject("transfers", given=EXPORT | {"kind": "clients"}),
    "clients_exports_file": Subject("transfers", given=EXPORT | {"kind": "clients"}),
    "clients_exports_cancel": Subject("transfers", given=EXPORT | {"kind": "clients"}),
    "contacts_imports_get": Subject("transfers", given=IMPORT | {"kind": "contacts"}),
    "contacts_imports_errors": Subject("transfers", given=IMPORT | {"kind": "contacts"}),
    "contacts_imports_errors_csv": Subject("transfers", given=IMPORT | {"kind": "contacts"}),
    "contacts_imports_cancel": Subject("transfers", given=IMPORT | {"kind": "contacts"}),
    "contacts_exports_get": Subject("transfers", given=EXPORT | {"kind": "contacts"}),
    "contacts_exports_file": Subject("transfers", given=EXPORT | {"kind": "contacts"}),
    "contacts_exports_cancel": Subject("transfers", given=EXPORT | {"kind": "contacts"}),
    "audit_list": Subject("organizations"),
    "audit_export_start": Subject("organizations", {"format": "jsonl"}),
    "audit_export_get": Subject("audit_exports"),
    "audit_export_file": Subject("audit_exports"),
    "statistics_get": Subject("organizations"),
    "statistics_usage": Subject("organizations"),
    "clients_get": Subject("clients"),
    "clients_change": Subject("clients", {"name": "Other"}, SEEN),
    "clients_remove": Subject("clients", None, SEEN),
    "contacts_get": Subject("contacts"),
    "contacts_change": Subject("contacts", {"first_name": "Other"}, SEEN),
    "contacts_remove": Subject("contacts", None, SEEN),
    "workflows_get": Subject("workflows"),
    "workflows_replace": Subject("workflows", {"name": "Other", "definition": DEFINITION}, SEEN),
    "workflows_change": Subject("workflows", {"name": "Other"}, SEEN),
    "workflows_source": Subject("workflows"),
    "workflows_write_source": Subject("workflows", {"text": "do: [{note: {set: {a: 1}}}]"}, SEEN),
    "templates_get": Subject("workflows", given={"is_template": True}),
    "templates_instantiate": Subject("workflows", {"name": "Other"}, given={"is_template": True}),
    "workflows_publish": Subject("workflows"),
    "workflows_versions": Subject("workflows"),
    "workflows_version": Subject("workflow_versions", path={"number": 1}, given={"number": 1}),
    "workflows_graph": Subject("workflows"),
    "workflows_diff": Subject("workflows"),
    "workflows_explain": Subject("workflows"),
    "workflows_test": Subject("workflows", {"input": {}}),
    "workflows_pause": Subject("workflows"),
    "workflows_resume": Subject("workflows"),
    "workflows_archive": Subject("workflows"),
    "executions_start": Subject("workflows", {"input": {}}),
    "executions_get": Subject("workflow_executions"),
    "executions_steps": Subject("workflow_executions"),
    "executions_log": Subject("workflow_executions"),
    "executions_cancel": Subject("workflow_executions", {"reason": "no more"}),
    "executions_rerun_plan": Subject("workflow_executions", {}),
    "executions_explain": Subject("workflow_executions"),
    "bulk_get": Subject("bulk_operations"),
    "bulk_items": Subject("bulk_operations"),
    "bulk_stop": Subject("bulk_operations"),
    "executions_rerun": Subject("workflow_executions", {"confirm": "0" * 64}),
    "executions_events": Subject("workflow_executions", given={"status": "completed"}),
    "executions_pause": Subject("workflow_executions"),
    "executions_resume": Subject("workflow_executions"),
    "executions_signal": Subject("workflow_executions", {"type": "paid"}),
    "triggers_list": Subject("workflows"),
    "triggers_get": Subject("triggers"),
    "triggers_rotate_secret": Subject("triggers", given=WEBHOOK),
    "triggers_test": Subject("triggers", {"body": {}}, given=WEBHOOK),
    "triggers_sample": Subject("triggers", given=WEBHOOK),
    "schedules_get": Subject("schedules"),
    "schedules_occurrences": Subject("schedules"),
    "schedules_pause": Subject("schedules"),
    "schedules_resume": Subject("schedules"),
    "schedules_backfill_plan": Subject("schedules"),
    "schedules_backfill": Subject(
        "schedules", {"from": "2026-11-23T03:00:00Z", "to": "2026-11-23T03:00:00Z", "expected": 0}
    ),
    "schedules_withdraw_backfill": Subject("schedules"),
    "schedules_run": Subject("schedules"),
    "deliveries_get": Subject("deliveries"),
    "deliveries_replay": Subject("deliveries"),
    "events_get": Subject("events"),
    "events_replay": Subject("events"),
    "secrets_remove": Subject("secrets", key="name", given={"name": "partner"}),
    "tasks_get": Subject("tasks"),
    "tasks_decide": Subject("tasks", {"outcome": "approved"}),
    "tasks_claim": Subject("tasks"),
    "tasks_release": Subject("tasks"),
    "tasks_delegate": Subject("tasks", {"to": "ada@example.test"}),
    "tasks_comment": Subject("tasks", {"comment": "Well."}),
    "tasks_comments": Subject("tasks"),
    "tasks_events": Subject("tasks"),
}
#: Whose rows are found through a parent's id.
THROUGH = {"workflow_versions": "workflow_id"}
OWNED = ("sessions", "api_keys", "trusted_devices")
#: The path names what is to be made: a foreign name is as good as any, and the foreign row stays as it was.
MAKING = {"secrets_put"}


_DOCUMENTS: list[dict[str, Any]] = []


def document(world: World) -> dict[str, Any]:
    """The OpenAPI document, the same for every test; writing it takes a second."""
    if not _DOCUMENTS:
        _DOCUMENTS.append(world.app.openapi())
    return _DOCUMENTS[0]


def operations(world: World) -> dict[str, tuple[str, str]]:
    """Operation id → (method, path) of every operation with an id in its path."""
    found = {}
    for path, methods in document(world)["paths"].items():
        for method in METHODS:
            if method in methods and "{" in path:
                found[methods[method]["operationId"]] = (method.upper(), path)
    return {name: found[name] for name in found.keys() - PUBLIC}


async def snapshot(behind: AsyncConnection, owner: Account) -> dict[str, str]:
    """A hash of the rows of every tenant table that belong to the account's organization."""
    parts = " UNION ALL ".join(
        f"SELECT '{table.name}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table.name} AS t "
        "WHERE organization_id = :org"
        for table in metadata.sorted_tables
        if "organization_id" in table.c
    )
    found = await behind.execute(text(parts), {"org": owner.organization_id})
    return {row[0]: row[1] for row in found}


async def the_row(behind: AsyncConnection, subject: Subject, owner: Account) -> str:
    if subject.table == "organizations":
        return owner.organization_id
    given = dict(subject.given)
    if subject.table == "erasures":
        about = {"subject_id": owner.organization_id, "requested_by": owner.user_id}
        return str((await row(behind, "erasures", PLATFORM, **about))[subject.key])
    if subject.table in OWNED:
        given["user_id"] = owner.user_id
    made = await row(behind, subject.table, owner.organization_id, **given)  # type: ignore[arg-type]
    return str(made[THROUGH.get(subject.table, subject.key)])


async def replay(
    who: Account, method: str, path: str, subject: Subject, id: str, *, inside: str | None = None
) -> httpx2.Response:
    """`inside` is the organization that the path names besides the id: one's own, if it is not said."""
    if subject.table not in ("organizations", "erasures"):
        path = path.replace("{organization_id}", inside or who.organization_id)
    first, _, rest = path.partition("{")[2].partition("}")
    address = path.replace("{" + first + "}", id).replace("{number}", str(subject.path.get("number", "")))
    assert "{" not in address, rest
    headers = {**subject.headers, "X-Request-Id": "replayed"}
    body = subject.body(who) if callable(subject.body) else subject.body
    return await who.request(method, address, json=body, headers=headers)


def test_every_operation_with_an_id_is_covered(world: World) -> None:
    known = operations(world)
    assert set(known) - MAKING == set(SUBJECTS), "say in SUBJECTS which row a new route is about"


@pytest.mark.parametrize("operation", sorted(SUBJECTS))
async def test_a_foreign_id_answers_like_an_unknown_one(
    world: World, behind: AsyncConnection, operation: str
) -> None:
    ada, mallory = await world.account("Ada & Co"), await world.account("Mallory Ltd")
    method, path = operations(world)[operation]
    subject = SUBJECTS[operation]
    id = await the_row(behind, subject, ada)

    before = await snapshot(behind, ada)
    foreign = await replay(mallory, method, path, subject, id)
    unknown = await replay(mallory, method, path, subject, str(uuid4()))
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content
    assert foreign.headers.raw == unknown.headers.raw

    if "{organization_id}" in path:
        there = await replay(mallory, method, path, subject, id, inside=ada.organization_id)
        assert (there.status_code, there.content) == (404, unknown.content)
    assert await snapshot(behind, ada) == before, "a refused request changed somebody else's rows"

    mine = await replay(ada, method, path, subject, id)
    assert mine.status_code != 404, "the request must reach the row when its owner sends it"
    assert mine.status_code < 500
