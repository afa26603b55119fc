"""The loop that sees to tasks: one about which something goes wrong is put off, and the others do not notice."""

from typing import Any
from uuid import UUID

import pytest

from db.outbox import OutboxEntry
from db.taskduties import Duties
from tests.db.taskworld import NOW, PROCESSES, SECRET, TaskWorld, hours, tasks
from workers.deadlines import Deadlines

__all__ = ["tasks"]


class Told:
    async def dispatch(self, entry: OutboxEntry) -> None:
        return None


async def test_a_task_that_goes_wrong_as_nobody_expected_costs_no_other(
    tasks: TaskWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    overdue = {"due_at": NOW, "next_due": NOW, "on_overdue": "fail"}
    broken, sound = [await tasks.open(**overdue) for _ in range(2)]
    see_to = Duties.see_to

    async def trips(duties: Duties, id: UUID) -> Any:
        if id == broken:
            raise KeyError("nobody expected this")
        return await see_to(duties, id)

    monkeypatch.setattr(Duties, "see_to", trips)
    loop = Deadlines(tasks.database, PROCESSES, Told(), SECRET, lambda: NOW + hours(1))
    assert await loop.sweep() == 2
    assert (await tasks.row(sound))["status"] == "expired"
    row = await tasks.row(broken)
    assert row["status"] == "open"
    assert row["next_due"] > NOW + hours(1)
    assert await loop.sweep() == 0
