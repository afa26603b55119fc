"""A house whose clock stands still until somebody moves it, and a firing loop that looks when it is told to."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from db.outbox import OutboxEntry
from tests.api.house import House
from workers.firing import Firing


@dataclass
class Stack:
    """One organization's house whose clock stands still until somebody moves it."""

    house: House
    now: datetime
    sent: list[OutboxEntry] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    async def dispatch(self, entry: OutboxEntry) -> None:
        self.sent.append(entry)

    def firing(self) -> Firing:
        return Firing(self.house.database, self, self.clock)

    async def sweep(self, times: int = 1) -> int:
        taken = 0
        for _ in range(times):
            taken += await self.firing().sweep()
        return taken

    async def until(self, moment: datetime, step: timedelta) -> None:
        """Let time go by, and look after each step."""
        while self.now < moment:
            self.now += step
            await self.sweep()

    async def publish(self, configuration: dict[str, Any], definition: Any = None, **trigger: Any) -> UUID:
        """A workflow started by one schedule; the schedule's id, once it counts."""
        scheduled = {"type": "schedule", "name": "clock", "configuration": configuration, **trigger}
        workflow_id = await self.house.published(definition, triggers=[scheduled])
        await self.sweep()
        listed = (await self.house.owner.get(f"/v1/workflows/{workflow_id}/triggers")).json()["items"]
        return UUID(listed[0]["id"])

    async def ledger(self, schedule_id: UUID) -> list[Any]:
        lines = [
            row
            for row in await self.house.everything("schedule_occurrences")
            if row["schedule_id"] == schedule_id
        ]
        return sorted(lines, key=lambda row: row["nominal_at"])

    async def told(self, schedule_id: UUID) -> list[tuple[str, str | None]]:
        return [(row["status"], row["reason"]) for row in await self.ledger(schedule_id)]

    async def schedule(self, schedule_id: UUID) -> Any:
        return next(row for row in await self.house.everything("schedules") if row["id"] == schedule_id)

    async def executions(self) -> list[Any]:
        rows = [
            row for row in await self.house.everything("workflow_executions") if row["kind"] == "workflow"
        ]
        return sorted(rows, key=lambda row: row["trigger_key"] or "")

    async def end(self, execution_id: UUID | None = None) -> None:
        """An execution, or all of them, has ended at this moment."""
        which = "completed_at IS NULL AND id = coalesce(CAST(:id AS uuid), id)"
        statement = f"UPDATE workflow_executions SET status = 'completed', completed_at = :now WHERE {which}"
        async with self.house.admin.begin() as connection:
            await connection.execute(text(statement), {"now": self.now, "id": execution_id})


START = datetime(2026, 11, 23, 3, 0, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def stack(house: House) -> Stack:
    made = Stack(house, START)
    house.app.state.collaborators = replace(house.app.state.collaborators, clock=made.clock)
    return made
