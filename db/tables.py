"""Every table of Perdure, gathered so that migrations and tests see all of them."""

from db import (
    agents,
    attempts,
    authtokens,
    clients,
    definitions,
    deliveries,
    documents,
    effects,
    erasure,
    events,
    executions,
    factors,
    gateways,
    identity,
    invitations,
    legacy,
    outbox,
    reconciliations,
    secrets,
    subscriptions,
    tasks,
    tenants,
    transfers,
    triggers,
)
from db.base import Base

metadata = Base.metadata

#: Tables that app_system may read across organizations: what the relay, key loading and the definer
#: functions of a request that has not entered yet need. A test holds the policies to this list.
SYSTEM_TABLES = frozenset(
    {
        "api_keys",
        "clients",
        "contacts",
        "auth_tokens",
        "deliveries",
        "documents",
        "encryption_keys",
        "event_subscriptions",
        "events",
        "idempotency_keys",
        "login_attempts",
        "invitations",
        "organizations",
        "outbox",
        "registrations",
        "roles",
        "sessions",
        "transfer_parts",
        "trigger_secrets",
        "trusted_devices",
        "triggers",
        "user_mfa",
        "user_organizations",
        "users",
        "webhook_inbox",
        "workflow_executions",
    }
)
#: Tables that are not a tenant's: a person belongs to several organizations, and shipped roles to all.
SHARED_TABLES = frozenset(
    {
        "ai_agents",
        "auth_tokens",
        "backup_codes",
        "legacy_ids",
        "login_attempts",
        "organizations",
        "registrations",
        "roles",
        "sessions",
        "subscription_plans",
        "trusted_devices",
        "user_mfa",
        "users",
    }
)

__all__ = [
    "SHARED_TABLES",
    "SYSTEM_TABLES",
    "agents",
    "attempts",
    "authtokens",
    "clients",
    "definitions",
    "deliveries",
    "documents",
    "effects",
    "erasure",
    "events",
    "executions",
    "factors",
    "gateways",
    "identity",
    "invitations",
    "legacy",
    "metadata",
    "outbox",
    "reconciliations",
    "secrets",
    "subscriptions",
    "tasks",
    "tenants",
    "transfers",
    "triggers",
]
