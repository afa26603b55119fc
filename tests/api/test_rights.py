"""Every role by every operation of OpenAPI: allowed, or 403. A new route fails here until the table names it.

An operation stands under the permission it needs; `*` after it: a person alone, never an API key.
"""

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.permissions import DESCRIPTIONS, ROLES, Permission, RoleName
from tests.api.conftest import World
from tests.api.people import People, people

__all__ = ["people"]

P = Permission
METHODS = ("get", "put", "post", "patch", "delete")

NEEDS = {
    P.ORGANIZATION_EXPORT: "exports_start* exports_list exports_get exports_content* exports_remove*",
    P.AUDIT_READ: "audit_list audit_export_start audit_export_get audit_export_file",
    P.STATISTICS_READ: "statistics_get statistics_usage",
    P.API_KEYS_READ: """
        identity_list_api_keys
    """,
    P.API_KEYS_WRITE: """
        identity_create_api_key* identity_rotate_api_key* identity_revoke_api_key*
    """,
    P.ORGANIZATION_READ: """
        organizations_get settings_get erasure_get
    """,
    P.ORGANIZATION_WRITE: """
        organizations_update settings_replace*
    """,
    P.ORGANIZATION_DELETE: """
        organizations_remove* organizations_transfer* erasure_plan* erasure_cancel*
    """,
    P.MEMBERS_READ: """
        members_list members_get invitations_list invitations_get
    """,
    P.MEMBERS_WRITE: """
        members_change* members_suspend members_resume members_remove* invitations_create
        invitations_resend invitations_revoke
    """,
    P.ROLES_READ: """
        roles_list roles_get
    """,
    P.ROLES_WRITE: """
        roles_create* roles_change* roles_remove*
    """,
    P.WORKFLOWS_READ: """
        workflows_list workflows_get workflows_diff workflows_explain workflows_graph
        workflows_preview workflows_source workflows_test_unsaved workflows_test workflows_validate
        workflows_versions workflows_version
        actions_list expressions_evaluate templates_list templates_get
    """,
    P.WORKFLOWS_WRITE: """
        workflows_create workflows_replace workflows_change templates_instantiate workflows_write_source
    """,
    P.WORKFLOWS_PUBLISH: """
        workflows_publish workflows_pause workflows_resume workflows_archive
    """,
    P.SECRETS_READ: """
        secrets_list
    """,
    P.SECRETS_WRITE: """
        secrets_put secrets_remove
    """,
    P.EXECUTIONS_START: """
        executions_start executions_rerun bulk_rerun schedules_run
    """,
    P.EXECUTIONS_READ: """
        executions_list executions_get executions_steps executions_log mirror_health executions_events
        executions_rerun_plan executions_explain bulk_count bulk_list bulk_get bulk_items
    """,
    P.EXECUTIONS_CANCEL: """
        executions_cancel bulk_cancel bulk_stop
    """,
    P.EXECUTIONS_CONTROL: """
        executions_pause executions_resume executions_signal
    """,
    P.TASKS_READ: """
        tasks_list tasks_get tasks_comments tasks_events
    """,
    P.TASKS_DECIDE: """
        tasks_decide tasks_claim tasks_release tasks_delegate tasks_comment
    """,
    P.CLIENTS_IMPORT: """
        clients_imports_start clients_imports_list clients_imports_get clients_imports_cancel
        contacts_imports_start contacts_imports_list contacts_imports_get contacts_imports_cancel
        clients_imports_errors clients_imports_errors_csv contacts_imports_errors
        contacts_imports_errors_csv
    """,
    P.CLIENTS_EXPORT: """
        clients_exports_start clients_exports_list clients_exports_get clients_exports_file
        clients_exports_cancel contacts_exports_start contacts_exports_list contacts_exports_get
        contacts_exports_file contacts_exports_cancel
    """,
    P.CLIENTS_READ: """
        clients_list clients_get contacts_list contacts_get
    """,
    P.CLIENTS_WRITE: """
        clients_create clients_change clients_remove contacts_create contacts_change contacts_remove
    """,
    P.TRIGGERS_READ: """
        triggers_list triggers_get
        schedules_list schedules_get schedules_occurrences schedules_backfill_plan
    """,
    P.TRIGGERS_WRITE: """
        triggers_rotate_secret triggers_test
        schedules_pause schedules_resume schedules_backfill schedules_withdraw_backfill
    """,
    P.DELIVERIES_READ: """
        triggers_sample deliveries_list deliveries_get
    """,
    P.DELIVERIES_REPLAY: """
        deliveries_replay
    """,
    P.EVENTS_READ: """
        events_list events_get
    """,
    P.EVENTS_WRITE: """
        events_send events_replay
    """,
}
#: What these operations need besides.
ALSO = {"executions_rerun": P.EXECUTIONS_READ, "bulk_rerun": P.EXECUTIONS_READ}
PUBLIC = """
    identity_login identity_mfa identity_refresh identity_logout identity_register identity_verify_email
    identity_resend_verification identity_forgot_password identity_reset_password identity_confirm_email
    invitations_look invitations_register hooks_receive codec_decode codec_encode operations_health
    operations_ready operations_metrics
"""
ANYBODY = """
    identity_me organizations_list permissions_list
"""
PERSON = """
    identity_logout_everywhere identity_list_sessions identity_end_session identity_step_up
    identity_change_password mfa_get mfa_begin mfa_enable mfa_disable mfa_renew_backup_codes
    devices_list devices_forget devices_forget_all identity_change_me identity_prefer_organization
    identity_change_email identity_change_phone identity_verify_phone organizations_create
    organizations_restore members_leave erasure_mine erasure_me invitations_accept
"""
#: Each of these ends the caller, or their login: asked here only of who is refused.
ENDING = {"identity_logout_everywhere", "erasure_me"}
ROLES_AND_NONE = [*RoleName, None]


def table() -> dict[str, tuple[Permission | None, bool]]:
    """Operation → the permission it needs, and whether keys may ask for it."""
    found: dict[str, tuple[Permission | None, bool]] = {}
    for permission, listed in NEEDS.items():
        for name in listed.split():
            found[name.removesuffix("*")] = (permission, not name.endswith("*"))
    found |= dict.fromkeys(ANYBODY.split(), (None, True))
    found |= dict.fromkeys(PERSON.split(), (None, False))
    return found


def operations(world: World) -> dict[str, tuple[str, str]]:
    return {
        described["operationId"]: (method.upper(), path)
        for path, methods in world.app.openapi()["paths"].items()
        for method, described in methods.items()
        if method in METHODS
    }


async def ask(world: World, operation: tuple[str, str], headers: dict[str, str]) -> Any:
    """About something that does not exist: whoever is allowed gets as far as being told so."""
    method, path = operation
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = f"{before}{'1' if name == 'number' else uuid4()}{after}"
    body = {} if method in ("POST", "PUT", "PATCH") else None
    return await world.http.request(method, path, json=body, headers=headers)


def test_the_table_names_every_operation_once(world: World) -> None:
    listed = [*table(), *PUBLIC.split()]
    assert sorted(listed) == sorted(operations(world)), "say in the table which permission a new route needs"
    assert set(NEEDS) == set(Permission), "a permission nobody needs permits nothing"


def test_every_permission_is_described() -> None:
    assert set(DESCRIPTIONS) == set(Permission)
    assert all(text.endswith(".") for text in DESCRIPTIONS.values())


@pytest.mark.parametrize("role", ROLES_AND_NONE, ids=str)
async def test_a_role_may_do_what_it_says_and_nothing_else(people: People, role: RoleName | None) -> None:
    world = people.world
    if role is None:  # a role of the organization that permits nothing
        made = await people.owner.post(people.place("/roles"), json={"name": "Nobody", "permissions": []})
        who = await people.add(role_id=UUID(made.json()["id"]))
    else:
        who = await people.add(role)
    held = frozenset() if role is None else ROLES[role]
    known = operations(world)
    wrong = []
    for name, (permission, _) in table().items():
        if name in ENDING:
            continue
        answer = await ask(world, known[name], who.headers)
        expected = permission is None or permission in held
        if answer.status_code >= 500 or answer.status_code == 401 or (answer.status_code != 403) != expected:
            wrong.append(f"{name} ({permission}): {answer.status_code} {answer.text[:200]}")
    assert wrong == []


async def test_who_holds_but_one_of_two_permissions_is_refused(people: People) -> None:
    known, needed = operations(people.world), {name: permission for name, (permission, _) in table().items()}
    for name, further in ALSO.items():
        for held, status in ({needed[name]}, 403), ({further}, 403), ({needed[name], further}, 422):
            key = (await people.owner.api_key(*held))["key"]
            answer = await ask(people.world, known[name], {"Authorization": f"Bearer {key}"})
            assert answer.status_code == status, f"{name} with {held}: {answer.text}"


async def test_no_key_does_what_takes_a_person(people: People) -> None:
    """Not even the owner's with every scope; and a key without scopes that matter does nothing at all."""
    world = people.world
    known = operations(world)
    full = (await people.owner.api_key(*Permission))["key"]
    least = (await people.owner.api_key("tasks:read"))["key"]
    wrong = []
    for name, (permission, is_for_keys) in table().items():
        answer = await ask(world, known[name], {"Authorization": f"Bearer {full}"})
        if (answer.status_code != 403) != is_for_keys:
            wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
        narrow = await ask(world, known[name], {"Authorization": f"Bearer {least}"})
        may = is_for_keys and permission in (None, Permission.TASKS_READ)
        if (narrow.status_code != 403) != may:
            wrong.append(f"{name} with a narrow key: {narrow.status_code} {narrow.text[:200]}")
    assert wrong == []


async def test_nothing_but_the_public_operations_answers_strangers(world: World) -> None:
    known = operations(world)
    wrong = [
        f"{name}: {answer.status_code}"
        for name in table()
        if (answer := await ask(world, known[name], {})).status_code != 401
    ]
    assert wrong == []
    for name in PUBLIC.split():
        assert (await ask(world, known[name], {})).status_code < 500, name
