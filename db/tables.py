"""Every table of Perdure, gathered so that migrations and tests see all of them."""

from db import (
    clients,
    definitions,
    deliveries,
    effects,
    events,
    executions,
    identity,
    outbox,
    reconciliations,
    secrets,
    tasks,
    tenants,
    triggers,
)
from db.base import Base

metadata = Base.metadata

#: Tables that app_system may read across organizations: what the relay, key loading and the definer
#: functions of a request that has not entered yet need. A test holds the policies to this list.
SYSTEM_TABLES = frozenset(
    {
        "api_keys",
        "deliveries",
        "encryption_keys",
        "event_subscriptions",
        "events",
        "idempotency_keys",
        "organizations",
        "outbox",
        "roles",
        "sessions",
        "trigger_secrets",
        "triggers",
        "user_organizations",
        "users",
        "webhook_inbox",
        "workflow_executions",
    }
)
#: Tables that are not a tenant's: a person belongs to several organizations, and shipped roles to all.
SHARED_TABLES = frozenset({"organizations", "roles", "sessions", "users"})

__all__ = [
    "SHARED_TABLES",
    "SYSTEM_TABLES",
    "clients",
    "definitions",
    "deliveries",
    "effects",
    "events",
    "executions",
    "identity",
    "metadata",
    "outbox",
    "reconciliations",
    "secrets",
    "tasks",
    "tenants",
    "triggers",
]
