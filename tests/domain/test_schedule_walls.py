"""When schedules are due: cron against an oracle in UTC, and what clocks that jump make of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.schedules.cron import MACROS, BadCron, Cron
from domain.schedules.plan import Plan
from domain.schedules.walls import UnknownZone, following, zone

LONDON, LORD_HOWE, KOLKATA = "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata"


def due(expression: str, where: str, since: str, count: int) -> list[str]:
    """The next moments as the clock there shows them, with its offset; `since` is a time there."""
    cron, there = Cron.parse(expression), zone(where)
    at: datetime | None = datetime.fromisoformat(since).replace(tzinfo=there)
    found = []
    for _ in range(count):
        assert at is not None
        at = following(cron, there, at)
        assert at is not None
        found.append(at.astimezone(there).isoformat(timespec="minutes"))
    return found


def on(day: str, *times: str) -> list[str]:
    return [f"{day}T{time}" for time in times]


@pytest.mark.parametrize(
    ("expression", "where", "since", "expected"),
    [
        # A time in the gap fires at the first moment after it, once, on that day alone.
        (
            "30 1 * * *",
            LONDON,
            "2026-03-28T12:00",
            ["2026-03-29T02:00+01:00", "2026-03-30T01:30+01:00"],
        ),
        ("0,30 1 * * *", LONDON, "2026-03-28T12:00", ["2026-03-29T02:00+01:00", "2026-03-30T01:00+01:00"]),
        ("0 1,2 * * *", LONDON, "2026-03-28T12:00", ["2026-03-29T02:00+01:00", "2026-03-30T01:00+01:00"]),
        (
            "15 2 * * *",
            LORD_HOWE,
            "2026-10-03T12:00",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
        ),
        ("0 2 * * *", LORD_HOWE, "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:00+11:00"]),
        # A time that is shown twice fires the first time.
        (
            "30 1 * * *",
            LONDON,
            "2026-10-24T12:00",
            ["2026-10-25T01:30+01:00", "2026-10-26T01:30+00:00"],
        ),
        (
            "45 1 * * *",
            LORD_HOWE,
            "2026-04-04T12:00",
            ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"],
        ),
        # Rhythms go on evenly: nothing in the gap, everything of the hour that comes twice.
        (
            "*/30 * * * *",
            LONDON,
            "2026-03-29T00:00",
            on("2026-03-29", "00:30+00:00", "02:00+01:00", "02:30+01:00"),
        ),
        (
            "*/30 * * * *",
            LONDON,
            "2026-10-25T00:30",
            on("2026-10-25", "01:00+01:00", "01:30+01:00", "01:00+00:00", "01:30+00:00", "02:00+00:00"),
        ),
        (
            "0 * * * *",
            LONDON,
            "2026-10-25T00:30",
            on("2026-10-25", "01:00+01:00", "01:00+00:00", "02:00+00:00"),
        ),
        (
            "*/15 * * * *",
            LORD_HOWE,
            "2026-04-05T01:15",
            on("2026-04-05", "01:30+11:00", "01:45+11:00", "01:30+10:30", "01:45+10:30", "02:00+10:30"),
        ),
        (
            "*/15 * * * *",
            LORD_HOWE,
            "2026-10-04T01:30",
            on("2026-10-04", "01:45+10:30", "02:30+11:00", "02:45+11:00"),
        ),
        ("0 * * * *", LORD_HOWE, "2026-10-04T00:30", on("2026-10-04", "01:00+10:30", "03:00+11:00")),
        # A clock that never jumps.
        (
            "30 1 * * *",
            KOLKATA,
            "2026-03-28T12:00",
            ["2026-03-29T01:30+05:30", "2026-03-30T01:30+05:30"],
        ),
        ("30 1 * * *", KOLKATA, "2026-10-24T12:00", ["2026-10-25T01:30+05:30", "2026-10-26T01:30+05:30"]),
        (
            "*/30 * * * *",
            KOLKATA,
            "2026-10-25T00:30",
            on("2026-10-25", "01:00+05:30", "01:30+05:30", "02:00+05:30"),
        ),
        # A whole day that was left out, and a clock that falls back over midnight.
        (
            "0 9 30 12 *",
            "Pacific/Apia",
            "2011-12-01T00:00",
            ["2011-12-31T00:00+14:00", "2012-12-30T09:00+14:00"],
        ),
        (
            "30 23 * * *",
            "America/Sao_Paulo",
            "2018-02-17T12:00",
            ["2018-02-17T23:30-02:00", "2018-02-18T23:30-03:00"],
        ),
    ],
)
def test_clocks_that_jump(expression: str, where: str, since: str, expected: list[str]) -> None:
    assert due(expression, where, since, len(expected)) == expected


@pytest.mark.parametrize("where", [LONDON, LORD_HOWE, KOLKATA])
def test_a_year_has_a_fire_on_every_day_and_an_even_rhythm(where: str) -> None:
    there, daily, even = zone(where), Cron.parse("30 1 * * *"), Cron.parse("*/30 * * * *")
    at = start = datetime(2026, 1, 1, tzinfo=UTC)
    days, gaps = [], set()
    while (at := following(daily, there, at) or at) < start + timedelta(days=365):
        days.append(at.astimezone(there).date())
    assert len(days) == len(set(days)) == 365
    for month in range(1, 13):  # around the first Sundays, when clocks jump
        before = datetime(2026, month, 1, tzinfo=UTC) - timedelta(days=8)
        while before < datetime(2026, month, 6, tzinfo=UTC):
            then = following(even, there, before)
            assert then is not None
            gaps.add(then - before)
            before = then
    assert gaps == {timedelta(minutes=30)}


def _field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    # not `5-5`, which croniter takes for the whole circle
    ends = st.lists(number, min_size=2, max_size=2, unique=True)
    ranges = ends.map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(ranges, st.integers(1, 7)).map(lambda it: f"{it[0]}/{it[1]}")
    lists = st.lists(st.one_of(number.map(str), ranges), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.integers(1, 12).map(lambda step: f"*/{step}"), lists, stepped)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    minute=_field(0, 59),
    hour=_field(0, 23),
    day=_field(1, 28),
    month=_field(1, 12),
    weekday=st.one_of(st.just("*"), st.sampled_from(["0", "7", "1-5", "mon", "sat,sun", "5-7", "tue-thu"])),
    since=st.integers(0, 20 * 366 * 86_400).map(
        lambda n: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=n)
    ),
)
def test_in_utc_it_is_what_croniter_says(
    minute: str, hour: str, day: str, month: str, weekday: str, since: datetime
) -> None:
    expression = f"{minute} {hour} {day} {month} {weekday}"
    cron, at = Cron.parse(expression), since
    # It calls the rule of crontab(5) for days that begin with `*` a bug.
    oracle = croniter(expression, at, ret_type=datetime, implement_cron_bug=True)
    for _ in range(4):
        found = following(cron, UTC, at)
        assert found == oracle.get_next()
        assert found is not None
        at = found


@pytest.mark.parametrize("macro", sorted(MACROS))
def test_words_mean_their_five_fields(macro: str) -> None:
    assert Cron.parse(f" {macro.upper()} ") == Cron.parse(MACROS[macro])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "*",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
        ),
        *(
            "*/0 * * * *",
            "*/60 * * * *",
            "5- * * * *",
            "-5 * * * *",
            "9-5 * * * *",
            "a * * * *",
            "1,,2 * * * *",
        ),
        *("0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30,31 feb *", "@reboot", "@", "٣ * * * *", "0 0 L * *"),
        *(
            "*-5 * * * *",
            "1/2/3 * * * *",
            "1," * 100 + "1 * * * *",
            "* * * mon *",
            "0 0 * * fri-mon",
            "\0 * * * *",
        ),
    ],
)
def test_nonsense_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(BadCron) as refusal:
        Cron.parse(text)
    assert refusal.value.message.endswith(".")
    assert len(refusal.value.message) < 200


def test_the_29th_of_february_is_rare_but_comes() -> None:
    assert due("0 9 29 2 *", "UTC", "2097-01-01T00:00", 1) == ["2104-02-29T09:00+00:00"]
    # on a Sunday: `*/7` leaves only that, and begins with `*`
    assert due("0 9 29 2 */7", "UTC", "2026-01-01T00:00", 2) == [
        "2032-02-29T09:00+00:00",
        "2060-02-29T09:00+00:00",
    ]


def test_nothing_is_due_beyond_the_calendar() -> None:
    assert following(Cron.parse("* * * * *"), UTC, datetime(9999, 12, 31, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "UTC\0", "A" * 5_000, "Europe"),
        *("localtime", "posixrules", "right/Europe/London", "posix/Europe/London"),
    ],
)
def test_no_zone_is_made_up(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone(name)


def plan(**configuration: Any) -> Plan:
    return Plan.parse(configuration, "UTC")


ANCHOR = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def test_every_counts_from_the_anchor_or_from_its_start() -> None:
    free = plan(every="90 minutes")
    assert free.next(ANCHOR, ANCHOR) == ANCHOR + timedelta(minutes=90)
    assert free.next(ANCHOR + timedelta(minutes=100), ANCHOR) == ANCHOR + timedelta(minutes=180)
    assert free.next(ANCHOR - timedelta(minutes=100), ANCHOR) == ANCHOR - timedelta(minutes=90)
    bound = plan(every="1 day", start_at="2026-12-01T08:00:00+01:00", end_at="2026-12-02T08:00:00+01:00")
    assert list(bound.upcoming(ANCHOR, ANCHOR)) == [
        datetime(2026, 12, 1, 7, tzinfo=UTC),
        datetime(2026, 12, 2, 7, tzinfo=UTC),
    ]


def test_every_knows_no_summer_time() -> None:
    day = plan(every="1 day", time_zone=LONDON, start_at="2026-03-28T09:00:00+00:00")
    at = list(zip(range(3), day.upcoming(ANCHOR - timedelta(days=365), ANCHOR), strict=False))
    assert [each.astimezone(zone(LONDON)).hour for _, each in at] == [9, 10, 10]


def test_after_is_due_once_after_the_end_before() -> None:
    pause = plan(after="1 hour")
    assert list(pause.upcoming(ANCHOR, ANCHOR)) == [ANCHOR + timedelta(hours=1)]
    assert pause.next(ANCHOR + timedelta(hours=1), ANCHOR) is None


def test_jitter_is_the_same_for_the_same_fire_and_never_passes_the_next() -> None:
    id = UUID(int=7)
    wide = plan(cron="* * * * *", jitter="1 hour")
    fires = [at for _, at in zip(range(200), wide.upcoming(ANCHOR, ANCHOR), strict=False)]
    moments = [at + wide.delay(id, at, ANCHOR) for at in fires]
    assert moments == sorted(set(moments))
    assert moments == [at + wide.delay(id, at, ANCHOR) for at in fires]
    assert all(
        timedelta(0) <= moment - at < timedelta(minutes=1) for at, moment in zip(fires, moments, strict=True)
    )
    hourly = plan(cron="0 * * * *", jitter="10 minutes")
    delays = [hourly.delay(UUID(int=n), ANCHOR, ANCHOR) for n in range(300)]
    assert max(delays) < timedelta(minutes=10)
    assert timedelta(minutes=4) < sum(delays, timedelta(0)) / 300
    assert plan(cron="0 * * * *").delay(id, ANCHOR, ANCHOR) == timedelta(0)


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"cron": "@daily", "every": "1 day"},
        {"every": "59 seconds"},
        {"after": "PT0S"},
        {"every": "P1M"},
        {"cron": "@daily", "time_zone": "Nowhere"},
        {"cron": "@daily", "start_at": "2026-01-01T00:00:00"},
        {"cron": "@daily", "start_at": "1999-01-01T00:00:00Z"},
        {"cron": "@daily", "end_at": "soon"},
        {"cron": "@daily", "end_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(configuration: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Plan.parse(configuration, "UTC")
