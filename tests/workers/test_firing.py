"""The firing loop on a real database, with a clock of its own: every nominal fire is accounted for, once."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from db.outbox import OutboxEntry
from tests.api.house import GREETING, House, house
from workers import schedule_turn
from workers.firing import Firing

__all__ = ["house"]


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
        statement = f"UPDATE workflow_executions SET status = 'completed', completed_at = :now WHERE {which}"  # noqa: S608
        async with self.house.admin.begin() as connection:
            await connection.execute(text(statement), {"now": self.now, "id": execution_id})


START = datetime(2026, 11, 23, 3, 0, 20, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def stack(house: House) -> Stack:
    made = Stack(house, START)
    house.app.state.collaborators = replace(house.app.state.collaborators, clock=made.clock)
    return made


async def test_a_fire_is_a_line_an_execution_and_a_word_to_the_engine(stack: Stack) -> None:
    id = await stack.publish({"cron": "0 4 * * *", "input": {"name": "Ada"}})
    assert (await stack.schedule(id))["next_at"] == datetime(2026, 11, 23, 4, tzinfo=UTC)
    stack.now = datetime(2026, 11, 23, 3, 59, 59, tzinfo=UTC)
    assert await stack.sweep() == 0
    stack.now = datetime(2026, 11, 23, 4, 0, 1, tzinfo=UTC)
    assert await stack.sweep() == 1
    assert await stack.sweep() == 0
    [line], [execution], [entry] = await stack.ledger(id), await stack.executions(), stack.sent
    assert (line["status"], line["origin"], line["execution_id"]) == ("ran", "clock", execution["id"])
    assert execution["trigger_event"] == "schedule:clock"
    assert execution["trigger_data"] == {"input": {"name": "Ada"}}
    assert entry.execution_id == execution["id"]
    assert entry.payload["trigger"] == {
        "type": "schedule",
        "name": "clock",
        "nominal_time": "2026-11-23T04:00:00+00:00",
        "origin": "clock",
    }
    assert (await stack.schedule(id))["next_at"] == datetime(2026, 11, 24, 4, tzinfo=UTC)


async def test_what_the_definition_says_becomes_a_trigger(stack: Stack) -> None:
    await stack.house.published({**GREETING, "schedule": {"every": {"minutes": 10}}})
    await stack.sweep()
    [schedule] = await stack.house.everything("schedules")
    assert schedule["next_at"] == START.replace(microsecond=0) + 10 * MINUTE
    await stack.until(START + 25 * MINUTE, MINUTE)
    assert [row["nominal_at"] - START for row in await stack.ledger(schedule["id"])] == [
        10 * MINUTE,
        20 * MINUTE,
    ]


@pytest.mark.parametrize(
    ("where", "day", "expression", "local"),
    [
        # Clocks go forward, and back; then the control, on which they never move.
        ("Europe/London", "2026-03-29", "30 1 * * *", ["28 01:30+00:00", "29 02:00+01:00", "30 01:30+01:00"]),
        ("Europe/London", "2026-10-25", "30 1 * * *", ["24 01:30+01:00", "25 01:30+01:00", "26 01:30+00:00"]),
        (
            "Australia/Lord_Howe",
            "2026-10-04",
            "15 2 * * *",
            ["03 02:15+10:30", "04 02:30+11:00", "05 02:15+11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05",
            "45 1 * * *",
            ["04 01:45+11:00", "05 01:45+11:00", "06 01:45+10:30"],
        ),
        ("Asia/Kolkata", "2026-03-29", "30 1 * * *", ["28 01:30+05:30", "29 01:30+05:30", "30 01:30+05:30"]),
        ("Asia/Kolkata", "2026-10-25", "30 1 * * *", ["24 01:30+05:30", "25 01:30+05:30", "26 01:30+05:30"]),
    ],
)
async def test_across_a_change_of_the_clock_each_day_has_one_fire(
    stack: Stack, where: str, day: str, expression: str, local: list[str]
) -> None:
    there = ZoneInfo(where)
    stack.now = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=there).astimezone(UTC) - 2 * DAY
    id = await stack.publish({"cron": expression, "time_zone": where, "overlap": "allow"})
    await stack.until(stack.now + 3 * DAY, 30 * MINUTE)
    lines = await stack.ledger(id)
    assert {line["status"] for line in lines} == {"ran"}
    shown = [line["nominal_at"].astimezone(there).isoformat(sep=" ", timespec="minutes") for line in lines]
    assert [each[8:] for each in shown] == local
    assert len(await stack.executions()) == 3


async def test_a_rhythm_goes_on_evenly_through_the_hour_that_comes_twice(stack: Stack) -> None:
    stack.now = datetime(2026, 10, 24, 23, 20, tzinfo=UTC)
    id = await stack.publish({"cron": "*/30 * * * *", "time_zone": "Europe/London", "overlap": "allow"})
    await stack.until(datetime(2026, 10, 25, 2, 10, tzinfo=UTC), 10 * MINUTE)
    at = [line["nominal_at"] for line in await stack.ledger(id)]
    assert at == [datetime(2026, 10, 24, 23, 30, tzinfo=UTC) + n * 30 * MINUTE for n in range(6)]


@pytest.mark.parametrize(
    ("further", "expected"),
    [
        # Caught up, every one of them.
        ({"overlap": "allow"}, [("ran", None)] * 3),
        # All but the last are too old.
        (
            {"overlap": "allow", "catch_up": "2 minutes"},
            [("missed", "late"), ("missed", "late"), ("ran", None)],
        ),
        # One is caught up; the others would run beside it.
        ({}, [("ran", None), ("skipped", "overlap"), ("skipped", "overlap")]),
        ({"overlap": "buffer_one"}, [("ran", None), ("buffered", None), ("skipped", "overlap")]),
        ({"catch_up": "PT0S"}, [("missed", "late")] * 3),
    ],
)
async def test_a_stack_that_stood_still_for_three_fires_tells_each(
    stack: Stack, further: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    id = await stack.publish({"every": "10 minutes", **further})
    stack.now += 31 * MINUTE + 29 * timedelta(seconds=1)
    await stack.sweep()
    assert await stack.told(id) == expected
    nominal = [START + n * 10 * MINUTE for n in (1, 2, 3)]
    assert [row["nominal_at"] for row in await stack.ledger(id)] == nominal
    ran = sum(status == "ran" for status, _ in expected)
    assert len(await stack.executions()) == len(stack.sent) == ran
    assert (await stack.schedule(id))["next_at"] == START + 40 * MINUTE


async def test_two_loops_at_once_fire_each_schedule_once(stack: Stack) -> None:
    ids = [await stack.publish({"every": "1 minute", "overlap": "allow"}) for _ in range(6)]
    for _ in range(5):
        stack.now += MINUTE
        await asyncio.gather(*(stack.firing().sweep() for _ in range(4)))
        await stack.sweep()
    for id in ids:
        assert await stack.told(id) == [("ran", None)] * 5
    executions = await stack.executions()
    assert len(executions) == len({row["trigger_key"] for row in executions}) == len(stack.sent) == 30


@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_loop_that_dies_in_between_leaves_nothing_half_done(
    stack: Stack, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await stack.publish({"every": "1 minute"})
    stack.now += MINUTE
    accept = schedule_turn.accept

    async def dying(*arguments: Any, **named: Any) -> Any:
        if place == "after":
            await accept(*arguments, **named)
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(schedule_turn, "accept", dying)
        with pytest.raises(asyncio.CancelledError):
            await stack.sweep()
    assert await stack.ledger(id) == await stack.executions() == stack.sent == []
    assert await stack.sweep() == 1
    assert await stack.told(id) == [("ran", None)]
    assert len(await stack.executions()) == len(stack.sent) == 1


async def test_a_loop_that_dies_after_its_commit_leaves_the_start_to_the_relay(stack: Stack) -> None:
    id = await stack.publish({"every": "1 minute"})
    stack.now += MINUTE
    with pytest.raises(asyncio.CancelledError):
        await Firing(stack.house.database, _Dying(), stack.clock).sweep()
    assert await stack.sweep() == 0
    assert await stack.told(id) == [("ran", None)]
    [waiting] = await stack.house.everything("outbox")
    assert (waiting["kind"], waiting["dispatched_at"]) == ("start", None)


class _Dying:
    async def dispatch(self, entry: OutboxEntry) -> None:
        raise asyncio.CancelledError
