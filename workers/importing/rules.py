"""What is particular about each table of the earlier layout, beyond its columns."""

import re
from typing import Any, Final
from zoneinfo import available_timezones

from pydantic import ValidationError

from db.tenants import SHIPPED_ROLES
from domain.executions import TERMINAL, ExecutionStatus
from domain.permissions import Permission, RoleName
from domain.tenants import MembershipStatus, OrganizationSettings
from workers.importing.rows import Converter, Misfit
from workers.importing.scope import Scope
from workers.importing.source import Row
from workers.importing.values import SYNONYMS, Unfit, parsed, whole

#: bcrypt as other libraries write it; what stands before it says that our digest and pepper are not in it.
_BCRYPT: Final = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}\Z")
LEGACY: Final = "v0$"
#: Of what nobody knows the password.
NO_PASSWORD: Final = "!"  # noqa: S105
#: Checking one takes 4 times as long as ours; a dearer one would let a login stall a thread.
DEAREST: Final = 14
_BASE32: Final = re.compile(r"[A-Z2-7]{16,128}=*\Z")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+\Z")
_ADDRESS_OF_NOBODY: Final = "import.invalid"


async def user(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """Nobody gets platform rights, no token stays, and whoever cannot sign in is told how to mend that."""
    id = str(row["id"])
    values["role_id"] = SHIPPED_ROLES[RoleName.MEMBER]
    values["username"] = str(row.get("username") or "").strip() or f"user-{values['id'].hex[:8]}"
    values["email"] = str(row.get("email") or "").strip()
    if not _EMAIL.match(values["email"]):
        scope.report.change("users", id, "email", "this is no e-mail address", "Give the person one; until then "
                            "nobody can sign in with this account.")  # fmt: skip
        withdraw(values)
    values["password"] = _password(scope, id, str(row.get("password") or ""))
    if not values.get("email_verified"):
        values["email_verified_at"] = None
    for column in ("email_verification_token", "password_reset_token"):
        if row.get(column):
            scope.notes[column] = scope.notes.get(column, 0) + 1


def withdraw(values: dict[str, Any]) -> None:
    """The account stays, for what refers to it, but nobody signs in with it."""
    values["email"] = f"{values['id']}@{_ADDRESS_OF_NOBODY}"
    values["is_active"] = False
    values["email_verified"] = False
    values["email_verified_at"] = None


def _password(scope: Scope, id: str, stored: str) -> str:
    match = _BCRYPT.match(stored)
    if match is None:
        reason = "the stored password is no bcrypt hash; it was not taken over"
    elif int(match[1]) > DEAREST:
        reason = f"checking the password hash of cost {match[1]} would take minutes; it was not taken over"
    else:
        return LEGACY + stored
    scope.report.change("users", id, "password", reason, "The person sets a new one by forgot-password.")
    return NO_PASSWORD


async def user_mfa(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    id, secret = str(row["id"]), str(row.get("totp_secret") or "").replace(" ", "").upper()
    values.pop("mfa_enforced", None)  # a projection of what organizations demand; a trigger keeps it
    values["totp_secret"] = None
    if secret and not _BASE32.match(secret):
        scope.report.change("user_mfa", id, "totp_secret", "the secret is sealed by a key of the earlier platform",
                            "The person enrols anew; until then a password is all that is asked. Let the "
                            "organization demand a second factor if that is too little.")  # fmt: skip
    elif secret:
        values["totp_secret"] = secret
    values["mfa_enabled"] = bool(row.get("mfa_enabled")) and values["totp_secret"] is not None
    values["enrolled_at"] = values.get("created_at") if values["mfa_enabled"] else None
    if row.get("backup_codes"):
        scope.notes["backup_codes"] = scope.notes.get("backup_codes", 0) + 1


async def organization(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    id = str(row["id"])
    values["id"] = scope.organization_id
    zone = values.get("timezone")
    if zone is not None and zone not in available_timezones():
        scope.report.change("organizations", id, "timezone", "this is no time zone; UTC stands for it",
                            "Set one of the IANA names, such as Europe/Berlin.")  # fmt: skip
        values["timezone"] = "UTC"
    values["settings"] = _settings(scope, id, values.get("settings") or {})


def _settings(scope: Scope, id: str, stored: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in stored.items():
        try:
            OrganizationSettings.model_validate({name: value})
            kept[name] = value
        except ValidationError:
            scope.report.change("organizations", id, f"settings.{name}", "this setting means nothing here",
                                "See the settings of an organization for what there is.")  # fmt: skip
    return kept


async def membership(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    override = values.get("permissions_override") or {}
    values["permissions_override"] = {}
    try:
        asked = {side: [Permission(each) for each in override.get(side, [])] for side in ("grant", "deny")}
        known = set(override) <= {"grant", "deny"}
    except (ValueError, TypeError, AttributeError):
        asked, known = {}, False
    if known and any(asked.values()):
        values["permissions_override"] = {
            side: [str(each) for each in found] for side, found in asked.items()
        }
    elif override and not known:
        scope.report.change("user_organizations", str(row["id"]), "permissions_override",
                            "the override names no permissions of ours; nothing is granted or denied",
                            "Grant or deny the permissions that are meant.")  # fmt: skip
    if values.get("status") != MembershipStatus.PENDING and values.get("joined_at") is None:
        values["joined_at"] = values.get("created_at")


async def client(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    manager = values.get("assigned_manager")
    if manager is not None and manager not in scope.members:
        scope.report.change("clients", str(row["id"]), "assigned_manager",
                            "the manager is no member of the organization; nobody is assigned",
                            "Assign a member.")  # fmt: skip
        values["assigned_manager"] = None
    if values.get("tax_id"):
        content = values["tax_id"].encode()
        values["tax_id_index"] = await scope.keys.fingerprint(
            scope.organization_id, content, "clients.tax_id"
        )


async def contact(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """One primary contact per client: the oldest that says so."""
    if values.get("is_primary"):
        taken = scope.notes.setdefault("primary", set())
        if values.get("client_id") in taken or values.get("client_id") is None:
            values["is_primary"] = False
            scope.report.change("contacts", str(row["id"]), "is_primary",
                                "a client has one primary contact, and a contact without a client is none",
                                "Make it the primary one if the other is not.")  # fmt: skip
        else:
            taken.add(values["client_id"])


async def document(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """A version names the first one, whichever it named before."""
    if values.get("parent_document_id") is not None:
        root = scope.here("documents").get(str(row["root"]))
        if root is None:
            raise Misfit(
                "parent_document_id", "the first version of the document was refused", "Mend that one."
            )
        values["parent_document_id"] = root
    if values.get("file_hash") is not None:
        values["file_hash"] = values["file_hash"].strip().lower()
        if not re.fullmatch(r"[0-9a-f]{64}", values["file_hash"]):
            scope.report.change("documents", str(row["id"]), "file_hash", "this is no SHA-256; it is left out",
                                "It is computed again when the file is next stored.")  # fmt: skip
            values["file_hash"] = None


async def workflow(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """Everything comes as a draft: what it says is drawn for another engine."""
    id, status = str(row["id"]), values.get("status")
    if status in ("active", "paused"):
        scope.report.change("workflows", id, "status", f"it was {status}; it is a draft now",
                            "Write its definition in the language of docs/language.md and publish it.")  # fmt: skip
        values["status"] = "draft"
    people = []
    for each in values.get("assigned_users") or []:
        if (found := scope.users.get(each)) is None or found not in scope.members:
            scope.report.change("workflows", id, "assigned_users", "somebody assigned is no member; left out",
                                "Assign members.")  # fmt: skip
        else:
            people.append(str(found))
    values["assigned_users"] = people
    values["version"] = 1


async def execution(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """History only: nothing of another engine can go on here."""
    id = str(row["id"])
    status = str(row.get("status") or "running").strip().lower()
    status = SYNONYMS.get(status, status)
    if status not in set(TERMINAL):
        if status not in (*ExecutionStatus, "pending"):
            raise Misfit(
                "status", "the value is no status of an execution", "Set completed, failed or cancelled."
            )
        scope.report.change("workflow_executions", id, "status", f"it was {status}; it is failed now",
                            "Start it again here if what it did is still wanted.")  # fmt: skip
        values["error_message"] = values.get("error_message") or (
            f"It was {status} on the earlier platform when it was imported."
        )
        status = ExecutionStatus.FAILED
    values["status"] = str(status)
    try:
        progress = whole(row["progress"], 31) if row.get("progress") is not None else 0
    except Unfit as unfit:
        raise Misfit("progress", unfit.reason, unfit.mend) from None
    values["progress"] = min(100, max(0, progress))
    if values["progress"] != progress:
        scope.report.change("workflow_executions", id, "progress", "progress is a percentage; it is bounded now",
                            "Nothing: it has ended.")  # fmt: skip
    values["workflow_version_id"] = scope.notes["versions"].get(values["workflow_id"])
    values["temporal_workflow_id"] = f"imported:{values['id']}"
    values["completed_at"] = values.get("completed_at") or values.get("started_at")


async def gateway(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """Credentials are sealed anew; those sealed by the earlier platform open nothing here."""
    id = str(row["id"])
    try:
        credentials = parsed(row.get("credentials"), Converter("payment_gateway_configs").table.c.config)
    except Unfit as unfit:
        raise Misfit("credentials", unfit.reason, unfit.mend) from None
    values["credentials"] = credentials
    if (
        not isinstance(credentials, dict)
        or {"iv", "tag", "authTag", "ciphertext", "encrypted"} & credentials.keys()
    ):
        scope.report.change("payment_gateway_configs", id, "credentials",
                            "they are sealed by a key of the earlier platform; the gateway is switched off",
                            "Enter the credentials anew.")  # fmt: skip
        values["is_active"] = values["is_default"] = False
    if values.get("is_default"):
        if values.get("is_active") is False or scope.notes.get("default_gateway"):
            scope.report.change("payment_gateway_configs", id, "is_default",
                                "one active gateway is the default one; this is none any more",
                                "Make it the default if the other is not.")  # fmt: skip
            values["is_default"] = False
        else:
            scope.notes["default_gateway"] = True


async def message(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    values["seq"] = row["seq"]
    if str(row["session_id"]) not in scope.notes.get("sessions", set()):
        raise Misfit("session_id", "the session it belongs to was refused", "Mend the session.")


async def session(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    if values.get("user_id") not in scope.members:
        raise Misfit("user_id", "the user is no member of the organization", "Make the user a member, or remove "
                     "the session.")  # fmt: skip
    scope.notes.setdefault("sessions", set()).add(str(row["session_id"]))


async def agent(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    """Entry points were files of the earlier platform; here they are names."""
    slug = values["slug"] = str(row["slug"]).strip()
    name = re.sub(r"[^a-z0-9_.-]+", "-", slug.lower()).strip("-.")
    values["backend_entry"] = name if re.match(r"[a-z]", name) else f"agent-{name}"
    values["frontend_entry"] = f"/agents/{values['backend_entry']}"
    if values.get("pricing_model") == "free":
        values["subscription_min_plan"] = "free"
    values["is_published"] = False


async def plan(scope: Scope, row: Row, values: dict[str, Any]) -> None:
    name = str(row.get("name") or row["id"])
    slug = str(row.get("slug") or name).strip().lower()
    values["name"] = name
    values["slug"] = re.sub(r"[^a-z0-9]+", "-", slug).strip("-") or f"plan-{values['id'].hex[:8]}"
    values["rank"] = scope.notes["rank"] = scope.notes.get("rank", 0) + 1
    values["is_published"] = False
