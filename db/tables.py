"""Every table of Perdure, gathered so that migrations and tests see all of them."""

from db import (
    clients,
    definitions,
    effects,
    executions,
    identity,
    outbox,
    tasks,
    tenants,
)
from db.base import Base

metadata = Base.metadata

#: Tables that app_system may read across organizations: what the relay, key loading and the definer
#: functions of a request that has not entered yet need. A test holds the policies to this list.
SYSTEM_TABLES = frozenset(
    {
        "api_keys",
        "encryption_keys",
        "idempotency_keys",
        "organizations",
        "outbox",
        "roles",
        "sessions",
        "user_organizations",
        "users",
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
    "effects",
    "executions",
    "identity",
    "metadata",
    "outbox",
    "tasks",
    "tenants",
]
