"""The firing loop on a real database, with a clock of its own: every nominal fire is accounted for, once."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from db.definitions import Workflows
from db.outbox import OutboxEntry
from db.schedules import Schedules
from db.session import Access, Role
from db.triggers import Triggers
from tests.api.house import GREETING, house
from tests.factories.clockwork import DAY, HOUR, MINUTE, START, Stack, stack
from workers import schedule_turn
from workers.firing import Firing

__all__ = ["house", "stack"]


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


async def test_a_buffered_fire_starts_when_the_one_before_has_ended(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "buffer_one"})
    await stack.until(START + 30 * MINUTE, 10 * MINUTE)
    assert await stack.told(id) == [("ran", None), ("buffered", None), ("skipped", "overlap")]
    first = (await stack.ledger(id))[0]["execution_id"]
    await stack.end(first)
    stack.now += timedelta(seconds=1)
    await stack.sweep()
    assert await stack.told(id) == [("ran", None), ("ran", None), ("skipped", "overlap")]
    assert (await stack.ledger(id))[1]["nominal_at"] == START + 20 * MINUTE
    await stack.until(START + 40 * MINUTE, MINUTE)
    assert (await stack.told(id))[-1] == ("buffered", None)
    assert len(await stack.executions()) == 2


async def test_cancel_other_ends_the_one_that_runs_before_the_next_begins(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "cancel_other"})
    await stack.until(START + 10 * MINUTE, 10 * MINUTE)
    [running] = await stack.executions()
    async with stack.house.admin.begin() as connection:  # it has reached the engine
        await connection.execute(text("UPDATE workflow_executions SET status = 'running'"))
    await stack.until(START + 30 * MINUTE, 10 * MINUTE)
    assert await stack.told(id) == [("ran", None), ("skipped", "superseded"), ("buffered", None)]
    assert [(entry.kind, entry.execution_id) for entry in stack.sent[1:]] == [("cancel", running["id"])]
    await stack.end(running["id"])
    await stack.sweep()
    assert await stack.told(id) == [("ran", None), ("skipped", "superseded"), ("ran", None)]
    assert stack.sent[-1].kind == "start"


async def test_after_begins_again_when_the_one_before_has_ended(stack: Stack) -> None:
    id = await stack.publish({"after": "1 hour"})
    await stack.until(START + 3 * HOUR, 10 * MINUTE)
    assert [row["nominal_at"] for row in await stack.ledger(id)] == [START + HOUR]
    assert (await stack.schedule(id))["next_at"] is None
    await stack.end()
    await stack.sweep()
    assert (await stack.schedule(id))["next_at"] == START + 4 * HOUR
    stack.now += 9 * HOUR  # late, but there is no other one it could be missed for
    await stack.sweep()
    assert await stack.told(id) == [("ran", None)] * 2
    assert (await stack.ledger(id))[1]["nominal_at"] == START + 4 * HOUR


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE workflows SET status = 'paused'", [("skipped", "workflow_paused")] * 2),
        # For good: one line says why there are no more.
        ("UPDATE workflows SET status = 'archived'", [("skipped", "workflow_archived")]),
        ("UPDATE workflows SET published_version_id = NULL", [("skipped", "not_published")] * 2),
        ("UPDATE organizations SET is_active = false", [("skipped", "organization")] * 2),
        ("UPDATE organizations SET deleted_at = now(), is_active = false", [("skipped", "organization")] * 2),
    ],
)
async def test_what_hinders_a_fire_is_told(stack: Stack, change: str, told: list[Any]) -> None:
    id = await stack.publish({"every": "10 minutes"})
    async with stack.house.admin.begin() as connection:
        await connection.execute(text(change))
    await stack.until(START + 20 * MINUTE, 5 * MINUTE)
    assert await stack.told(id) == told
    assert await stack.executions() == stack.sent == []


@pytest.mark.parametrize(
    ("further", "paused", "looked"),
    [
        ({}, 10 * MINUTE, 11 * MINUTE),  # nobody looked in time
        ({"jitter": "1 hour"}, MINUTE, HOUR + 2 * MINUTE),  # put off beyond the beginning of the pause
    ],
)
async def test_a_pause_holds_what_was_due_before_and_has_not_started(
    stack: Stack, further: dict[str, Any], paused: timedelta, looked: timedelta
) -> None:
    id, due = await stack.publish({"cron": "0 4 * * *", **further}), datetime(2026, 11, 23, 4, tzinfo=UTC)
    stack.now = due + paused
    assert (await stack.house.owner.post(f"/v1/schedules/{id}/pause")).status_code == 200
    stack.now = due + looked
    await stack.sweep()
    assert await stack.told(id) == [("skipped", "paused")]
    assert await stack.executions() == stack.sent == []


async def test_an_input_that_fits_no_more_is_told_with_the_fire(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes"})
    async with (
        stack.house.admin.begin() as connection
    ):  # validation refuses it; an imported row could have it
        schema = '{"schema": {"document": {"type": "object", "required": ["client"]}}}'
        await connection.execute(
            text("UPDATE workflow_versions SET compiled = jsonb_set(compiled, '{document,input}', :schema)"),
            {"schema": schema},
        )
    await stack.until(START + 10 * MINUTE, 5 * MINUTE)
    assert await stack.told(id) == [("skipped", "input")]
    assert "input.schema" in (await stack.ledger(id))[0]["detail"]


async def changed(stack: Stack, id: UUID, configuration: Any) -> None:
    """Publish the workflow anew with another schedule, or none."""
    workflow_id = (await stack.house.owner.get(f"/v1/triggers/{id}")).json()["workflow_id"]
    read = await stack.house.owner.get(f"/v1/workflows/{workflow_id}")
    triggers = (
        [{"type": "schedule", "name": "clock", "configuration": configuration}] if configuration else []
    )
    done = await stack.house.owner.change(
        f"/v1/workflows/{workflow_id}", {"triggers": triggers}, read.headers["etag"]
    )
    assert done.status_code == 200, done.text
    published = await stack.house.owner.post(f"/v1/workflows/{workflow_id}/publish")
    assert published.status_code in (200, 201), published.text


async def test_what_was_due_before_a_change_is_settled_by_the_plan_of_then(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "allow"})
    stack.now += 25 * MINUTE  # nobody looked at two fires
    await changed(stack, id, {"every": "1 hour", "overlap": "allow"})
    stack.now += MINUTE
    await stack.sweep()
    assert [row["nominal_at"] - START for row in await stack.ledger(id)] == [10 * MINUTE, 20 * MINUTE]
    assert (await stack.schedule(id))["next_at"] == START + 85 * MINUTE


async def test_another_input_does_not_shift_the_rhythm(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "allow"})
    stack.now += 5 * MINUTE
    await changed(stack, id, {"every": "10 minutes", "overlap": "allow", "input": {"name": "Ada"}})
    await stack.until(START + 20 * MINUTE, MINUTE)
    assert [row["nominal_at"] - START for row in await stack.ledger(id)] == [10 * MINUTE, 20 * MINUTE]
    assert {str(row["trigger_data"]) for row in await stack.executions()} == {"{'input': {'name': 'Ada'}}"}


async def test_a_schedule_that_is_removed_fires_no_more_and_comes_back_without_a_past(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "buffer_one"})
    await stack.until(START + 20 * MINUTE, 10 * MINUTE)
    await changed(stack, id, None)
    await stack.until(START + 60 * MINUTE, 10 * MINUTE)
    assert await stack.told(id) == [("ran", None), ("skipped", "withdrawn")]
    await changed(stack, id, {"every": "10 minutes"})
    await stack.end()
    await stack.until(START + 70 * MINUTE, 10 * MINUTE)
    assert await stack.told(id) == [("ran", None), ("skipped", "withdrawn"), ("ran", None)]


async def test_it_follows_its_organizations_time_zone_unless_it_has_one(stack: Stack) -> None:
    follows = await stack.publish({"cron": "0 9 * * *"})
    fixed = await stack.publish({"cron": "0 9 * * *", "time_zone": "Asia/Kolkata"})
    moved = await stack.house.owner.http.get(f"/v1/organizations/{stack.house.owner.organization_id}")
    done = await stack.house.owner.change(
        f"/v1/organizations/{stack.house.owner.organization_id}",
        {"timezone": "America/New_York"},
        moved.headers["etag"],
    )
    assert done.status_code == 200, done.text
    stack.now = START + 2 * DAY  # the trigger of the database knows no clock of tests
    await stack.sweep()
    assert (await stack.schedule(follows))["next_at"].hour == 14
    assert (await stack.schedule(fixed))["next_at"] == datetime(2026, 11, 25, 3, 30, tzinfo=UTC)


async def test_a_schedule_nobody_can_read_stands_in_nobodys_way(stack: Stack) -> None:
    broken, sound = [await stack.publish({"every": "10 minutes"}) for _ in range(2)]
    async with stack.house.admin.begin() as connection:
        await connection.execute(
            text("""UPDATE schedules SET plan = '{"cron": 3}' WHERE id = :id"""), {"id": broken}
        )
        await connection.execute(
            text("""UPDATE triggers SET configuration = '{"cron": 3}' WHERE id = :id"""), {"id": broken}
        )
    await stack.until(START + 10 * MINUTE, 5 * MINUTE)
    assert await stack.told(sound) == [("ran", None)]
    view = (await stack.house.owner.get(f"/v1/schedules/{broken}")).json()
    assert (view["state"], view["next_at"]) == ("broken", None)
    assert view["problem"].endswith(".")
    assert (await stack.schedule(broken))["problem"] == view["problem"]


async def test_a_long_absence_is_worked_off_in_several_turns(stack: Stack) -> None:
    id = await stack.publish({"cron": "* * * * *", "overlap": "allow"})
    stack.now += 8 * HOUR
    await stack.sweep()
    assert len(await stack.ledger(id)) == schedule_turn.MANY
    await stack.sweep(10)
    told = await stack.told(id)
    assert told == [("missed", "late")] * 419 + [("ran", None)] * 61
    assert await stack.sweep() == 0


async def test_publishing_and_firing_wait_for_each_other_in_one_order(stack: Stack) -> None:
    id = await stack.publish({"every": "1 minute", "overlap": "allow"})
    organization_id = stack.house.owner.organization_id
    stack.now += MINUTE
    async with stack.house.database.transaction(
        Access(Role.API, organization_id, stack.house.owner.id)
    ) as tx:
        workflow_id = (await Triggers(tx).get(id))["workflow_id"]
        await Workflows(tx).lock(workflow_id)  # as publishing begins
        firing = asyncio.create_task(stack.sweep())
        await asyncio.sleep(0.3)
        assert not firing.done()
        await Schedules(tx).wake(organization_id, id, stack.now)  # as it ends: nobody holds this row
    assert await firing == 1
    assert await stack.told(id) == [("ran", None)]
    for count in range(1, 6):
        stack.now += MINUTE
        configuration = {"every": "1 minute", "overlap": "allow", "input": {"n": count}}
        await asyncio.gather(changed(stack, id, configuration), stack.sweep())
    await stack.sweep(3)
    assert await stack.told(id) == [("ran", None)] * 6


async def test_two_organizations_have_clocks_of_their_own(stack: Stack) -> None:
    id = await stack.publish({"every": "1 minute", "overlap": "allow"})
    body = {
        "name": "Theirs",
        "definition": {**GREETING, "schedule": {"every": "1 minute"}},
    }
    created = (await stack.house.stranger.post("/v1/workflows", body)).json()
    assert (await stack.house.stranger.post(f"/v1/workflows/{created['id']}/publish")).status_code == 201
    await stack.sweep()
    await stack.until(START + MINUTE, MINUTE)
    lines = await stack.house.everything("schedule_occurrences")
    assert {row["organization_id"] for row in lines} == {
        stack.house.owner.organization_id,
        stack.house.stranger.organization_id,
    }
    assert len(await stack.ledger(id)) == 1


async def test_a_turn_that_fails_is_put_off_although_what_it_waits_for_has_ended(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "buffer_one"})
    await stack.until(START + 20 * MINUTE, 10 * MINUTE)
    assert await stack.told(id) == [("ran", None), ("buffered", None)]
    stack.now += MINUTE
    await stack.end()
    turns = []

    async def trips(turn: Any) -> None:
        turns.append(stack.now)
        raise KeyError("nobody expected this")

    with monkeypatch.context() as patched:
        patched.setattr(schedule_turn.Turn, "take", trips)
        for _ in range(12):
            await stack.sweep()
            stack.now += timedelta(seconds=1)
    assert len(turns) == 3, "every five seconds, not with every sweep"
    stack.now += timedelta(seconds=5)
    await stack.sweep()
    assert await stack.told(id) == [("ran", None), ("ran", None)]


async def test_the_end_of_what_it_waits_for_gives_a_turn_at_once(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "buffer_one"})
    await stack.until(START + 20 * MINUTE, 10 * MINUTE)
    await stack.end()
    assert await stack.sweep() == 1
    assert await stack.told(id) == [("ran", None), ("ran", None)]


async def test_a_turn_that_goes_wrong_as_nobody_expected_is_put_off_and_costs_no_other(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = [await stack.publish({"every": "10 minutes", "overlap": "allow"}) for _ in range(2)]
    accept = schedule_turn.accept
    workflow_id = (await stack.house.owner.get(f"/v1/schedules/{broken}")).json()["workflow_id"]

    async def trips(tx: Any, organization_id: UUID, id: UUID, **named: Any) -> Any:
        if str(id) == workflow_id:
            raise KeyError("nobody expected this")
        return await accept(tx, organization_id, id, **named)

    stack.now += 10 * MINUTE
    with monkeypatch.context() as patched:
        patched.setattr(schedule_turn, "accept", trips)
        assert await stack.sweep() == 1
        assert await stack.sweep() == 0  # put off
    assert (await stack.told(broken), await stack.told(sound)) == ([], [("ran", None)])
    stack.now += timedelta(seconds=5)
    await stack.sweep()
    assert await stack.told(broken) == [("ran", None)]


async def test_a_zone_that_a_release_does_not_know_is_caught_up_with_once_one_does(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = {
        "cron": "*/10 * * * *",
        "time_zone": "Europe/London",
        "overlap": "allow",
        "catch_up": "15 minutes",
    }
    id = await stack.publish(cron)
    with monkeypatch.context() as patched:
        patched.setattr("domain.schedules.walls.ZoneInfo", lambda name: ZoneInfo(f"Nowhere/{name}"))
        await stack.until(START + 40 * MINUTE, MINUTE)
        assert await stack.told(id) == []
        assert "Europe/London" in (await stack.schedule(id))["problem"]
    await stack.until(START + 46 * MINUTE, MINUTE)
    assert await stack.told(id) == [("missed", "late")] * 2 + [("ran", None)] * 2
    assert (await stack.schedule(id))["problem"] is None


async def test_what_jitter_had_put_off_does_not_fire_after_the_schedule_was_removed(stack: Stack) -> None:
    id = await stack.publish({"every": "1 hour", "jitter": "1 hour"})
    while (due := (await stack.schedule(id))["due_at"]) - (nominal := await next_of(stack, id)) < 10 * MINUTE:
        stack.now = due
        await stack.sweep()
    told = await stack.told(id)
    stack.now = nominal + MINUTE
    await changed(stack, id, None)
    await stack.until(due + HOUR, 10 * MINUTE)
    assert await stack.told(id) == [*told, ("skipped", "withdrawn")]


async def next_of(stack: Stack, id: UUID) -> datetime:
    nominal: datetime = (await stack.schedule(id))["next_at"]
    return nominal
