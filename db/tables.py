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

__all__ = [
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
