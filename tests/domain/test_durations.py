import contextlib
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.definitions.durations import MAXIMUM_WAIT, InvalidDuration, iso, parse
from domain.errors import Invalid


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3 days", timedelta(days=3)),
        ("1 h 30 min", timedelta(minutes=90)),
        ("1h30m", timedelta(minutes=90)),
        ("1 day, 2 hours and 3 minutes", timedelta(days=1, hours=2, minutes=3)),
        ("2 Weeks", timedelta(weeks=2)),
        ("250 ms", timedelta(milliseconds=250)),
        ("1.5 hours", timedelta(minutes=90)),
        ("PT1H30M", timedelta(minutes=90)),
        ("P3D", timedelta(days=3)),
        ("P1W", timedelta(weeks=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("PT0S", timedelta()),
        ({"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 5}, timedelta(1, 7384, 5000)),
        ({"seconds": 0}, timedelta()),
        ({"days": 366}, MAXIMUM_WAIT),
    ],
)
def test_every_way_of_writing_means_the_same(written: object, meant: timedelta) -> None:
    assert parse(written) == meant


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("P1M", "calendar"),
        ("P1Y2D", "calendar"),
        ("1 month", "calendar"),
        ("2 years", "calendar"),
        ({"months": 1}, "calendar"),
        ("-3 days", "negative"),
        ("-P3D", "negative"),
        ({"days": -1}, "negative"),
        ("P400D", "366 days"),
        ({"seconds": 10**30}, "366 days"),
        ("999999999999999 weeks", "366 days"),
        ({"hours": 1.5}, "whole number"),
        ({"hours": float("nan")}, "whole number"),
        ({"hours": float("inf")}, "whole number"),
        ({"hours": True}, "whole number"),
        ({"hours": "1"}, "whole number"),
        ({"fortnights": 1}, "no `fortnights`"),
        ({3: 1}, "no text"),
        ({}, "empty"),
        ("", "empty"),
        ("   ", "empty"),
        ("3", "not a duration"),
        (3, "unit"),
        (float("nan"), "unit"),
        (True, "text or an object"),
        (None, "text or an object"),
        ([], "text or an object"),
        ("1 moon", "not a unit"),
        ("P", "not an ISO 8601"),
        ("PT", "not an ISO 8601"),
        ("P1DT", "not an ISO 8601"),
        ("P1H", "not an ISO 8601"),
        ("٣ days", "not a duration"),
        ("1 day!", "not a duration"),
        ("9" * 10_000 + " s", "at most 100"),
    ],
)
def test_everything_else_is_refused_with_a_sentence(written: object, told: str) -> None:
    with pytest.raises(InvalidDuration, match=told) as refusal:
        parse(written)
    assert isinstance(refusal.value, Invalid)
    assert isinstance(refusal.value, ValueError)
    assert len(str(refusal.value)) < 300


def test_zero_is_refused_only_where_it_makes_no_sense() -> None:
    assert parse("0 s") == timedelta()
    with pytest.raises(InvalidDuration, match="longer than zero"):
        parse("0 s", allow_zero=False)


@settings(deadline=None)
@given(st.timedeltas(min_value=timedelta(), max_value=MAXIMUM_WAIT))
def test_the_iso_form_is_read_back_unchanged(duration: timedelta) -> None:
    assert parse(iso(duration)) == duration


@settings(deadline=None)
@given(st.text() | st.dictionaries(st.text(), st.integers() | st.floats()) | st.text("PTDHMSWY0123456789. "))
def test_nothing_but_a_duration_or_a_refusal_comes_out(written: object) -> None:
    with contextlib.suppress(InvalidDuration):
        assert timedelta() <= parse(written) <= MAXIMUM_WAIT
