"""The log of what people and programs did in an organization; it is only ever appended to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.rows import Before, many, newest_first
from db.tenants import ActivityLog
from domain.tenants import ActorType


@dataclass(frozen=True, slots=True)
class Activity:
    """`actor_type` is user, api_key, worker or system, `action` one of `domain.activities.Act`.

    `metadata` never holds a tenant's values.
    """

    organization_id: UUID
    actor_type: str
    user_id: UUID | None
    action: str
    resource: str
    resource_id: str | None
    metadata: Mapping[str, Any]
    ip_address: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class ActivityFilters:
    """Which lines are asked for; `since` inclusive, `until` exclusive."""

    actor: ActorType | None = None
    user_id: UUID | None = None
    resource: str | None = None
    resource_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_json(self) -> dict[str, str]:
        """Only what was asked for."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in given.items()
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> "ActivityFilters":
        """What `as_json` wrote."""
        readers: dict[str, Any] = {
            "actor": ActorType,
            "user_id": UUID,
            "since": datetime.fromisoformat,
            "until": datetime.fromisoformat,
        }
        return cls(**{name: readers.get(name, str)(value) for name, value in stored.items()})

    def conditions(self) -> list[ColumnElement[bool]]:
        log = ActivityLog
        asked: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
            (self.actor, lambda value: log.actor_type == str(value)),
            (self.user_id, lambda value: log.user_id == value),
            (self.resource, lambda value: log.resource == value),
            (self.resource_id, lambda value: log.resource_id == value),
            (self.action, lambda value: log.action == value),
            (self.since, lambda value: log.created_at >= value),
            (self.until, lambda value: log.created_at < value),
        ]
        return [condition(value) for value, condition in asked if value is not None]


class Activities:
    """The log of the organization the transaction belongs to."""

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

    async def page(self, filters: ActivityFilters, before: Before | None, limit: int) -> Sequence[RowMapping]:
        """Newest first."""
        statement = select(ActivityLog).where(*filters.conditions())
        return await many(
            self._tx, newest_first(statement, ActivityLog.created_at, ActivityLog.id, before).limit(limit)
        )

    async def count(self, filters: ActivityFilters) -> int:
        statement = select(func.count()).select_from(ActivityLog).where(*filters.conditions())
        return await self._tx.scalar(statement) or 0

    async def after(
        self, filters: ActivityFilters, last: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[RowMapping]:
        """Oldest first, behind the line `last`."""
        place = tuple_(ActivityLog.created_at, ActivityLog.id)
        statement = select(ActivityLog).where(*filters.conditions()).order_by(place).limit(limit)
        return await many(self._tx, statement if last is None else statement.where(place > last))
