"""The log of what people and programs did in an organization; it is only ever appended to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tenants import ActivityLog


@dataclass(frozen=True, slots=True)
class Activity:
    """`actor_type` is user, api_key, worker or system; `metadata` never holds a tenant's values."""

    organization_id: UUID
    actor_type: str
    user_id: UUID | None
    action: str
    resource: str
    resource_id: str | None
    metadata: Mapping[str, Any]
    ip_address: str | None = None
    user_agent: str | None = None


class Activities:
    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def note(self, activities: Sequence[Activity]) -> None:
        rows = [
            {
                "organization_id": activity.organization_id,
                "actor_type": activity.actor_type,
                "user_id": activity.user_id,
                "action": activity.action,
                "resource": activity.resource,
                "resource_id": activity.resource_id,
                "metadata": dict(activity.metadata),
                "ip_address": activity.ip_address,
                "user_agent": activity.user_agent,
            }
            for activity in activities
        ]
        if rows:
            await self._tx.execute(insert(ActivityLog), rows)
