"""Schedules through the API: what is told of them, pausing, starting afterwards and at once, and bad input."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.api.house import GREETING, House, house, problems
from tests.factories.clockwork import DAY, MINUTE, START, Stack, stack

__all__ = ["house", "stack"]


async def shown(stack: Stack, id: UUID) -> dict[str, Any]:
    answer = await stack.house.owner.get(f"/v1/schedules/{id}")
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_what_is_told_of_a_schedule(stack: Stack) -> None:
    id = await stack.publish({"cron": "0 9 * * 1-5", "time_zone": "Europe/London"})
    view = await shown(stack, id)
    assert view["state"] == "active"
    assert view["in_words"] == "at 09:00 from Monday to Friday"
    assert view["time_zone"] == "Europe/London"
    assert view["next_at"] == "2026-11-23T09:00:00Z"
    assert view["upcoming"] == [f"2026-11-{day}T09:00:00Z" for day in (23, 24, 25, 26, 27)]
    assert (view["last"], view["last_missed"], view["waits_for"], view["backfilling"]) == (
        None,
        None,
        None,
        0,
    )
    stack.now += DAY
    await stack.sweep()
    view = await shown(stack, id)
    assert (view["last"]["status"], view["last"]["reason"]) == ("missed", "late")
    assert view["last"]["because"] == "nobody was there to start it in time"
    assert view["last_missed"] == view["last"]
    listed = (await stack.house.member.get("/v1/schedules")).json()
    assert [each["id"] for each in listed["items"]] == [str(id)]
    assert (await stack.house.stranger.get("/v1/schedules")).json()["items"] == []
    assert (await stack.house.stranger.get(f"/v1/schedules/{id}")).status_code == 404


async def test_what_comes_next_is_told_before_the_loop_has_looked(stack: Stack) -> None:
    await stack.house.published({**GREETING, "schedule": {"every": "1 hour"}})
    [view] = (await stack.house.owner.get("/v1/schedules")).json()["items"]
    assert (view["state"], view["next_at"]) == ("active", "2026-11-23T04:00:20Z")
    assert view["in_words"] == "every hour"


async def test_what_is_put_off_by_its_jitter_still_comes_next(stack: Stack) -> None:
    id = await stack.publish({"cron": "0 * * * *", "jitter": "1 hour"})
    due = (await stack.schedule(id))["due_at"]
    stack.now = due - timedelta(seconds=1)
    assert due.minute > 0
    assert (await shown(stack, id))["next_at"] == "2026-11-23T04:00:00Z"
    stack.now = due
    assert (await shown(stack, id))["next_at"] == "2026-11-23T05:00:00Z"
    await stack.sweep()
    [line] = await stack.ledger(id)
    assert (line["nominal_at"].hour, line["decided_at"]) == (4, due)
    assert (await shown(stack, id))["last"]["caught_up"] is False


async def test_a_pause_is_told_fire_by_fire(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "overlap": "allow"})
    await stack.until(START + 12 * MINUTE, MINUTE)
    paused = await stack.house.owner.post(f"/v1/schedules/{id}/pause", {"reason": "audit"})
    assert paused.status_code == 200, paused.text
    told = paused.json()
    assert (told["state"], told["pause_reason"], told["next_at"], told["upcoming"]) == (
        "paused",
        "audit",
        None,
        [],
    )
    again = await stack.house.owner.post(f"/v1/schedules/{id}/pause", {"reason": "other"})
    assert (again.json()["paused_at"], again.json()["pause_reason"]) == (told["paused_at"], "audit")
    await stack.until(START + 25 * MINUTE, MINUTE)
    stack.now += 20 * MINUTE  # the loop stands still for two more
    resumed = await stack.house.owner.post(f"/v1/schedules/{id}/resume")
    assert (resumed.json()["state"], resumed.json()["next_at"]) == ("active", "2026-11-23T03:50:20Z")
    await stack.until(START + 51 * MINUTE, MINUTE)
    assert await stack.told(id) == [("ran", None), *[("skipped", "paused")] * 3, ("ran", None)]
    assert (await stack.house.owner.post(f"/v1/schedules/{id}/resume")).status_code == 200
    logged = {
        row["action"]
        for row in await stack.house.everything("activity_logs")
        if row["resource"] == "schedules"
    }
    assert logged == {"schedule.paused", "schedule.resumed"}


async def test_run_now_runs_whatever_the_clock_says(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "input": {"name": "Ada"}})
    await stack.until(START + 10 * MINUTE, 10 * MINUTE)
    await stack.house.owner.post(f"/v1/schedules/{id}/pause")
    stack.now += MINUTE
    ran = await stack.house.member.post(f"/v1/schedules/{id}/run", None, **{"Idempotency-Key": "once"})
    again = await stack.house.member.post(f"/v1/schedules/{id}/run", None, **{"Idempotency-Key": "once"})
    assert (ran.status_code, again.json()["id"]) == (202, ran.json()["id"])
    [_, line] = await stack.ledger(id)
    assert (line["origin"], line["status"], str(line["execution_id"])) == ("person", "ran", ran.json()["id"])
    assert line["requested_by"] == stack.house.member.id
    started = (await stack.house.owner.get(f"/v1/executions/{ran.json()['id']}")).json()
    assert started["trigger_event"] == "schedule:clock"
    # Four eyes keep whoever had it run from deciding its tasks; the clock is nobody.
    assert started["started_by"] == str(stack.house.member.id)
    assert [row["started_by"] for row in await stack.executions()].count(None) == 1


async def test_a_backfill_starts_what_did_not_run_and_nothing_twice(stack: Stack) -> None:
    id = await stack.publish({"every": "10 minutes", "catch_up": "PT0S", "overlap": "allow"})
    await stack.until(START + 10 * MINUTE, 10 * MINUTE)  # one ran
    stack.now += 35 * MINUTE
    await stack.sweep()  # three missed
    span = {"from": (START - 25 * MINUTE).isoformat(), "to": stack.now.isoformat()}
    plan = (await stack.house.member.get(f"/v1/schedules/{id}/backfill", params=span)).json()
    assert (plan["count"], plan["already_started"]) == (6, 1), (
        "two before it began, the anchor itself, three missed"
    )
    wrong = await stack.house.owner.post(f"/v1/schedules/{id}/backfill", {**span, "expected": 7})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "count_changed")
    assert (
        await stack.house.member.post(f"/v1/schedules/{id}/backfill", {**span, "expected": 6})
    ).status_code == 403
    done = await stack.house.owner.post(f"/v1/schedules/{id}/backfill", {**span, "expected": 6})
    assert (done.status_code, done.json()["count"]) == (202, 6), done.text
    assert (await shown(stack, id))["backfilling"] == 6
    # One after the other: each begins when the one before has ended.
    for count in range(1, 7):
        await stack.sweep(3)
        assert [status for status, _ in await stack.told(id)].count("backfilled") == count
        await stack.end()
        stack.now += timedelta(seconds=1)
    await stack.sweep(3)
    keys = [row["trigger_key"] for row in await stack.executions()]
    assert len(keys) == len(set(keys)) == 7
    assert {row["trigger_event"] for row in await stack.executions()} == {"schedule:clock"}
    starters = [row["started_by"] for row in await stack.executions()]
    assert (starters.count(None), starters.count(stack.house.owner.id)) == (1, 6), "the clock, and who asked"
    assert (await stack.house.member.get(f"/v1/schedules/{id}/backfill", params=span)).json()["count"] == 0


async def test_a_backfill_side_by_side_and_one_that_is_withdrawn(stack: Stack) -> None:
    id = await stack.publish({"cron": "* * * * *"})
    span = {"from": (START - 60 * MINUTE).isoformat(), "to": START.isoformat(), "expected": 60}
    beside = await stack.house.owner.post(f"/v1/schedules/{id}/backfill", {**span, "side_by_side": True})
    assert beside.status_code == 202, beside.text
    await stack.sweep(5)
    assert len(await stack.executions()) == 60
    early = {
        "from": (START - 80 * MINUTE).isoformat(),
        "to": (START - 61 * MINUTE).isoformat(),
        "expected": 19,
    }
    assert (await stack.house.owner.post(f"/v1/schedules/{id}/backfill", early)).status_code == 202
    await stack.sweep(3)
    gone = await stack.house.owner.http.delete(f"/v1/schedules/{id}/backfill")
    assert gone.json() == {"withdrawn": 18}
    await stack.end()
    await stack.sweep(3)
    assert (await stack.told(id)).count(("skipped", "withdrawn")) == 18
    assert len(await stack.executions()) == 61


@pytest.mark.parametrize(
    ("first", "last", "pointer"),
    [
        (START, START - MINUTE, "#/from"),
        (START - DAY, START + MINUTE, "#/to"),
        (START - 91 * DAY, START - 90 * DAY, "#/from"),
        (START - 10 * DAY, START, "#/to"),
    ],
)
async def test_a_backfill_that_is_too_large_or_nowhere_is_refused(
    stack: Stack, first: datetime, last: datetime, pointer: str
) -> None:
    id = await stack.publish({"cron": "* * * * *"})
    body = {"from": first.isoformat(), "to": last.isoformat(), "expected": 1_000}
    refused = await stack.house.owner.post(f"/v1/schedules/{id}/backfill", body)
    assert (refused.status_code, problems(refused)) == (422, {pointer: "bad_range"})
    huge = await stack.house.owner.post(f"/v1/schedules/{id}/backfill", {**body, "expected": 10**9})
    assert huge.status_code == 422
    assert await stack.ledger(id) == []


async def test_after_has_no_past_to_fill(stack: Stack) -> None:
    id = await stack.publish({"after": "1 hour"})
    refused = await stack.house.owner.get(f"/v1/schedules/{id}/backfill")
    assert (refused.status_code, refused.json()["code"]) == (409, "no_backfill")


async def test_what_is_switched_off_starts_nothing_on_anybodys_word(stack: Stack) -> None:
    id = await stack.publish({"every": "1 hour"}, is_active=False)
    assert (await shown(stack, id))["state"] == "off"
    for method, path in (("GET", "backfill"), ("POST", "run")):
        refused = await stack.house.owner.http.request(method, f"/v1/schedules/{id}/{path}")
        assert (refused.status_code, refused.json()["code"]) == (409, "schedule_off")
    stack.now += DAY
    await stack.sweep()
    assert await stack.ledger(id) == []


async def test_the_ledger_is_read_in_pages_and_parts(stack: Stack) -> None:
    id = await stack.publish({"every": "1 minute", "overlap": "allow", "catch_up": "PT2M"})
    stack.now += 10 * MINUTE
    await stack.sweep()
    path = f"/v1/schedules/{id}/occurrences"
    first = (await stack.house.owner.get(path, params={"limit": 4})).json()
    rest = (await stack.house.owner.get(path, params={"limit": 200, "cursor": first["next_cursor"]})).json()
    nominal = [each["nominal_at"] for each in [*first["items"], *rest["items"]]]
    assert nominal == sorted(nominal, reverse=True)
    assert len(nominal) == 10
    missed = (await stack.house.owner.get(path, params={"status": "missed"})).json()["items"]
    assert [each["status"] for each in missed] == ["missed"] * 7
    late = [each["caught_up"] for each in first["items"]]
    assert late == [False, True, True, False]
    span = {"from": nominal[3], "to": nominal[0]}
    assert len((await stack.house.owner.get(path, params=span)).json()["items"]) == 3


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"cron": "0 9 * * 1-5", "time_zone": "Europe/Lodnon"}, {"/time_zone": "unknown_time_zone"}),
        ({"cron": "0 9 30 2 *"}, {"/cron": "bad_cron"}),
        ({"cron": "every day"}, {"/cron": "bad_cron"}),
        ({"cron": ["0 9 * * *"]}, {"/cron": "wrong_type"}),
        ({"every": "PT0S"}, {"/every": "too_often"}),
        ({"every": "30 seconds"}, {"/every": "too_often"}),
        ({"every": "1 month"}, {"/every": "bad_duration"}),
        ({"every": 5}, {"/every": "bad_duration"}),
        ({"after": "PT0S"}, {"/after": "too_often"}),
        ({"after": "1 hour", "overlap": "allow"}, {"/overlap": "misplaced"}),
        ({"cron": "@daily", "every": "1 day"}, {"": "several_choices"}),
        ({}, {"": "missing_field"}),
        ({"cron": "@daily", "overlap": "queue"}, {"/overlap": "bad_value"}),
        ({"cron": "@daily", "catch_up": "31 days"}, {"/catch_up": "bad_duration"}),
        ({"cron": "@daily", "jitter": "2 hours"}, {"/jitter": "bad_duration"}),
        ({"cron": "@daily", "start_at": "tomorrow"}, {"/start_at": "bad_time"}),
        (
            {"cron": "@daily", "start_at": "2026-12-01T00:00:00Z", "end_at": "2026-11-01T00:00:00Z"},
            {"/end_at": "bad_range"},
        ),
        ({"cron": "@daily", "timezone": "UTC"}, {"/timezone": "unknown_field"}),
    ],
)
async def test_a_schedule_that_makes_no_sense_is_told_where_and_why(
    house: House, configuration: dict[str, Any], expected: dict[str, str]
) -> None:
    triggers = [{"type": "schedule", "configuration": configuration}]
    answer = await house.owner.post("/v1/workflows/validate", {"definition": GREETING, "triggers": triggers})
    told = answer.json()["problems"]
    found = {each["pointer"].removeprefix("/triggers/0/configuration"): each["code"] for each in told}
    assert found == expected
    assert not answer.json()["valid"]
    assert all(each["detail"].endswith(".") for each in told)


async def test_what_a_schedule_gives_fits_what_the_workflow_asks_for(house: House) -> None:
    schema = {"type": "object", "required": ["client"], "properties": {"client": {"type": "string"}}}
    definition = {**GREETING, "input": {"schema": {"document": schema}}}
    for given, codes in (
        ({}, ["bad_input"]),
        ({"input": {"client": 3}}, ["bad_input"]),
        ({"input": {"client": "a"}}, []),
    ):
        triggers = [{"type": "schedule", "configuration": {"cron": "@daily", **given}}]
        answer = await house.owner.post(
            "/v1/workflows/validate", {"definition": definition, "triggers": triggers}
        )
        assert [each["code"] for each in answer.json()["problems"] if each["severity"] == "error"] == codes
    scheduled = {**definition, "schedule": {"every": "1 day"}}
    answer = await house.owner.post("/v1/workflows/validate", {"definition": scheduled})
    assert [each["code"] for each in answer.json()["problems"] if each["severity"] == "error"] == [
        "bad_input"
    ]
