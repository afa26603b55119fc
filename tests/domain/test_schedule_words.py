"""Schedules in words, on pages and in the explanation of a workflow."""

import pytest

from domain.definitions.explain.beginning import beginning
from domain.schedules.words import in_words


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 9 * * 1-5", "at 09:00 from Monday to Friday"),
        ("0 9 * * *", "at 09:00 every day"),
        ("@daily", "at 00:00 every day"),
        ("@weekly", "at 00:00 on Sunday"),
        ("0 0 * * 6,7", "at 00:00 on Saturday and Sunday"),
        ("30 8 * * mon,wed,sat", "at 08:30 on Monday, Wednesday and Saturday"),
        ("0 9,17 * * *", "at 09:00 and 17:00 every day"),
        ("0 9 1 1,7 *", "at 09:00 on day 1 of the month in January and July"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/15 * * * 1-5", "every 15 minutes from Monday to Friday"),
        ("0 * * * *", "every hour"),
        ("5 */2 * * *", "every 2 hours at minute 5"),
        # What limps, counts either day or names many times is quoted rather than told wrongly.
        ("*/7 * * * *", "as `*/7 * * * *` says"),
        ("*/15,3 * * * *", "as `*/15,3 * * * *` says"),
        ("0 9 13 * 5", "as `0 9 13 * 5` says"),
        ("1-10 3 * * *", "as `1-10 3 * * *` says"),
        ("nonsense", "never: it cannot be understood"),
    ],
)
def test_cron_in_words(cron: str, words: str) -> None:
    assert in_words({"cron": cron}) == words


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"every": "1 hour"}, "every hour"),
        ({"every": "PT90M"}, "every 1 hour 30 minutes"),
        ({"every": {"days": 3}}, "every 3 days"),
        ({"after": "1 day"}, "1 day after the execution before has ended"),
        ({}, "never: it cannot be understood"),
        ({"every": 3}, "never: it cannot be understood"),
    ],
)
def test_durations_in_words(configuration: dict[str, object], words: str) -> None:
    assert in_words(configuration) == words


def test_the_explanation_of_a_workflow_uses_the_same_words() -> None:
    trigger = {"type": "schedule", "configuration": {"cron": "0 9 * * 1-5", "time_zone": "Europe/London"}}
    told = "It begins when the clock says so, at 09:00 from Monday to Friday (Europe/London)."
    assert beginning({}, [trigger]) == told
    assert (
        beginning({"schedule": {"cron": "@hourly"}}, None) == "It begins when the clock says so, every hour."
    )
    broken = beginning({"schedule": {"cron": "nonsense"}}, None)
    assert broken == "It begins when the calendar says so (`nonsense`)."
