"""Which tables `audit_trigger()` watches, what it may quote of them, and why the others need no watching.

A row's change becomes one line of `activity_logs`: who, when, which columns, and the old and new values of those
columns that stand in `shown`. Everything else is told by name only: free text by or about people, tenants' data,
secrets, hashes and sealed values. A table that stands in neither list fails `tests/db/test_audit.py`.

The triggers themselves are made by migrations, with these very lists as arguments; the same test compares them. The
migration that makes a new table ends with `CREATE TRIGGER audit …` as 0019 does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Concerns(StrEnum):
    """Whose log a row's change belongs into: `owner` names an organization, or a user and so all of theirs."""

    ORGANIZATION = "organization"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Audited:
    """How the rows of one table are told about."""

    #: Columns whose values may stand in the log: ids, moments, numbers, flags, words of closed sets.
    shown: tuple[str, ...] = ()
    #: What names the row; several are joined by "/".
    key: tuple[str, ...] = ("id",)
    owner: str = "organization_id"
    concerns: Concerns = Concerns.ORGANIZATION
    #: Bookkeeping: a change of these alone is none.
    silent: tuple[str, ...] = ()
    #: Sealed anew by a rotation of keys, which changes no value; that alone is none either.
    sealed: tuple[str, ...] = ()

    def arguments(self) -> tuple[str, ...]:
        """What the trigger is created with, in the order in which `audit_trigger()` reads it."""
        lists = (self.key, self.shown, ("updated_at", *self.silent), self.sealed)
        return (self.concerns.value, self.owner, *("{" + ",".join(names) + "}" for names in lists))


AUDITED: Final[Mapping[str, Audited]] = {
    # Organizations, people, and what they may do
    "organizations": Audited(
        shown=(
            "slug",
            "domain",
            "timezone",
            "country",
            "company_size",
            "settings",
            "is_verified",
            "verification_level",
            "is_active",
            "deleted_at",
        ),
        owner="id",
        sealed=("tax_id",),
    ),
    "users": Audited(
        shown=(
            "is_active",
            "email_verified",
            "email_verified_at",
            "phone_verified",
            "phone_verified_at",
            "kyc_status",
            "kyc_verified_at",
            "role_id",
        ),
        owner="id",
        concerns=Concerns.USER,
        # Which organization somebody enters first is nobody else's business.
        silent=("default_organization_id",),
        sealed=("national_id",),
    ),
    "user_mfa": Audited(
        shown=("mfa_enabled", "mfa_enforced", "enrolled_at"),
        owner="user_id",
        concerns=Concerns.USER,
        silent=("last_timecode", "last_verified", "pending_secret", "pending_until"),
        sealed=("totp_secret", "pending_secret"),
    ),
    "trusted_devices": Audited(
        shown=("expires_at",), owner="user_id", concerns=Concerns.USER, silent=("last_used",)
    ),
    "user_organizations": Audited(
        shown=("user_id", "role_id", "status", "invited_by", "joined_at", "permissions_override"),
        silent=("last_active_at",),
    ),
    "roles": Audited(shown=("name", "permissions")),
    "invitations": Audited(
        shown=(
            "role_id",
            "invited_by",
            "mails",
            "sent_at",
            "expires_at",
            "accepted_by",
            "accepted_at",
            "revoked_at",
        )
    ),
    "api_keys": Audited(
        shown=("user_id", "key_id", "scopes", "expires_at", "revoked_at", "replaces"),
        silent=("last_used_at",),
    ),
    # Keys and secrets
    "encryption_keys": Audited(shown=("status", "master_key_id", "retired_at")),
    "secrets": Audited(shown=("version", "created_by", "updated_by")),
    "trigger_secrets": Audited(shown=("trigger_id", "kind", "expires_at"), sealed=("sealed",)),
    "payment_gateway_configs": Audited(
        shown=("gateway", "is_active", "is_default", "is_test_mode", "created_by"), sealed=("credentials",)
    ),
    # Definitions, and the tasks that people are given
    "workflows": Audited(
        shown=(
            "status",
            "version",
            "published_version_id",
            "revision",
            "visibility",
            "is_template",
            "template_id",
            "process",
            "created_by",
        )
    ),
    "workflow_versions": Audited(shown=("workflow_id", "number", "published_by")),
    "triggers": Audited(shown=("workflow_id", "type", "is_active")),
    "tasks": Audited(
        shown=(
            "execution_id",
            "kind",
            "status",
            "outcome",
            "decided_by",
            "decided_by_client",
            "decided_at",
            "due_at",
            "on_overdue",
            "four_eyes",
            "quorum",
            "claimed_by",
            "claimed_at",
            "escalated_at",
            "overdue_at",
        ),
        silent=("next_due", "remind_at", "announced_at"),
    ),
    # What an organization looks after
    "clients": Audited(
        shown=("client_type", "status", "assigned_manager", "credit_limit", "created_by"),
        sealed=("tax_id", "tax_id_index"),
    ),
    "contacts": Audited(
        shown=("client_id", "is_primary", "can_authorize", "receives_communications", "created_by")
    ),
    "transfers": Audited(
        shown=(
            "direction",
            "kind",
            "mode",
            "match_by",
            "dry_run",
            "total",
            "execution_id",
            "created_by",
            "completed_at",
        )
    ),
    "folders": Audited(shown=("parent_id", "created_by")),
    "documents": Audited(
        shown=(
            "folder_id",
            "client_id",
            "file_size",
            "visibility",
            "version",
            "parent_document_id",
            "is_current_version",
            "is_encrypted",
            "signature_status",
            "uploaded_by",
        )
    ),
    "document_permissions": Audited(
        shown=(
            "document_id",
            "user_id",
            "client_id",
            "role_id",
            "permission_type",
            "granted_by",
            "expires_at",
        )
    ),
    # Subscriptions and agents
    "platform_subscriptions": Audited(
        shown=(
            "plan_id",
            "monthly_price",
            "yearly_price",
            "billing_cycle",
            "status",
            "trial_end",
            "current_period_start",
            "current_period_end",
            "next_billing_date",
            "cancelled_at",
        ),
        silent=("users_count", "storage_used_gb", "api_calls_count"),
    ),
    "organization_agents": Audited(
        shown=("agent_slug", "is_enabled", "installed_by"), silent=("last_used_at",)
    ),
    "user_agent_access": Audited(shown=("user_id", "agent_slug", "is_granted", "granted_by", "expires_at")),
    "agent_sessions": Audited(shown=("agent_slug", "user_id")),
}

#: Tables without the trigger, and why nobody misses it.
EXEMPT: Final[Mapping[str, str]] = {
    "activity_logs": "is the log",
    "agent_messages": "is only ever appended to: each line is its own record, with its moment and its role",
    "ai_agents": "belongs to no organization; releases and the platform's operators change it",
    "audit_exports": "is noted when it is asked for and when it is downloaded (audit.exported, audit.downloaded)",
    "audit_export_parts": "holds copies of the log",
    "auth_tokens": "belongs to no organization; what a token was for is noted (password.reset, email.changed)",
    "bulk_items": "is the report of a bulk operation",
    "bulk_operations": "is noted when it is asked for (executions.cancelled, executions.rerun), each execution as well",
    "backup_codes": "making and using them is noted (backup_codes.renewed, session.opened); rows hold hashes alone",
    "deliveries": "is a ledger of what arrived, which itself says when, from where and with which verdict",
    "effects": "is the ledger of an execution's effects, written with every step",
    "erasures": "stands in the platform's own organization and is itself the record of an erasure, step by step",
    "event_routings": "is the ledger of what events started, written with every event",
    "event_subscriptions": "is bookkeeping of executions that listen",
    "events": "is only ever appended to: each event is its own record",
    "execution_outcomes": "is a queue: ends of executions on their way to become events",
    "exports": "is noted when it is asked for, fetched and removed (export.…)",
    "execution_steps": "mirrors Temporal, several times a second",
    "idempotency_keys": "is bookkeeping of requests, forgotten after a day",
    "legacy_ids": "belongs to no organization: which row of an import became which of ours",
    "login_attempts": "counts, belongs to no organization, and is forgotten after hours",
    "outbox": "carries words to the engine, written and marked with every start",
    "reconciliations": "is itself a log, of what supervision found",
    "registrations": "belongs to nobody yet; what came of it is noted (a membership, an organization)",
    "schedule_occurrences": "is a ledger of nominal fires, which itself says when and what became of each",
    "schedules": "moves with every fire; what people do to one is noted (schedule.paused …), its plan is its trigger's",
    "secret_versions": "is written together with `secrets`, which tells version and person; its value is sealed",
    "sessions": "belongs to a person; logins and their ends are noted, refreshes only rotate a token",
    "task_events": "is only ever appended to: each line is its own record, of whom and when",
    "task_links": "is told by the task's history (announced, reminded, decided); rows hold hashes alone",
    "subscription_plans": "belongs to no organization; releases and the platform's operators change it",
    "transfer_parts": "holds rows on their way; what they change is told by the tables they change",
    "usage_counters": "counts",
    "webhook_inbox": "is bookkeeping of deliveries",
    "workflow_executions": "mirrors Temporal and says who started it; what people do to one is noted (execution.…)",
}
