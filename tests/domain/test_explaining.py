"""What an execution waits for and why it ended, in sentences that people would say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.definitions.faults import REFUSED_HERE
from domain.executions import ExecutionStatus
from domain.explaining import Facts, LoggedStep, OpenTask, explained, span, when

LONDON = ZoneInfo("Europe/London")
#: A Wednesday in summer: London is an hour ahead of UTC.
NOW = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)
FRIDAY = datetime(2026, 7, 3, 16, 0, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "do": [
        {"prepare": {"set": {"a": 1}}},
        {"check the papers": {"call": "approve", "with": {"title": "Papers of Ada"}}},
        {
            "careful": {
                "try": [{"pay": {"call": "http", "with": {}, "timeout": {"after": {"days": 3}}}}],
                "catch": {"do": [{"tell": {"set": {}}}]},
            }
        },
        {"rest": {"wait": {"days": 2}, "then": "end"}},
        {"hear": {"listen": {"to": {"one": {"with": {"type": "invoice.paid"}}}}}},
        {"remind": {"if": ".late", "call": "email.send", "with": {}}},
    ]
}
ASK = "/do/1/check the papers#1"
TASK = OpenTask(
    "Papers of Ada", ASK, ("role:reviewer",), due_at=FRIDAY, escalate_at=FRIDAY, escalate_to=("role:owner",)
)
ON_TASK = {"kind": "task", "step": "check the papers", "occurrence": ASK, "title": "Papers of Ada"}


def facts(status: str = "waiting", **given: Any) -> Facts:
    return Facts(
        ExecutionStatus(status), NOW - timedelta(hours=2), NOW, LONDON, **{"definition": DEFINITION, **given}
    )


def told(status: str = "waiting", **given: Any) -> str:
    return explained(facts(status, **given)).text


def test_a_task_names_who_until_when_and_what_then() -> None:
    found = explained(facts(waiting_on=ON_TASK, tasks=[TASK]))
    assert found.headline == (
        "“check the papers” waits for a reviewer until Friday at 17:00; then it goes to the owner as well."
    )
    assert (found.until, found.acts) == (FRIDAY, ("decide", "cancel"))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"escalate_at": FRIDAY - timedelta(days=1), "on_overdue": "reject"},
            "“check the papers” waits for a reviewer until tomorrow at 17:00; then it goes to the owner as well."
            " Friday at 17:00, it counts as rejected.",
        ),
        (
            {"escalate_at": None, "on_overdue": "fail", "quorum": 2},
            "“check the papers” waits for 2 different people among a reviewer until Friday at 17:00; then the step"
            " fails because its time is over, and the execution with it.",
        ),
        (
            {"escalate_at": None, "due_at": None, "candidates": (), "claimed_by": "Ada King"},
            "“check the papers” waits for anybody who may decide tasks. There is no deadline; once it is decided,"
            " “careful” follows. Ada King has claimed it.",
        ),
        (
            {"escalate_at": None, "candidates": ("client:7", "user:ada@example.com")},
            "“check the papers” waits for the client Harbour Ltd or ada@example.com until Friday at 17:00; then it is"
            " overdue, and stays open.",
        ),
        (
            {"escalated_at": NOW - timedelta(hours=1), "due_at": FRIDAY},
            "“check the papers” waits for a reviewer until Friday at 17:00; then it is overdue, and stays open. Nobody"
            " had answered by today at 09:00, so the owner was asked as well.",
        ),
    ],
)
def test_tasks(changed: dict[str, Any], expected: str) -> None:
    assert (
        told(waiting_on=ON_TASK, tasks=[replace(TASK, **changed)], clients={"7": "Harbour Ltd"}) == expected
    )


def test_timers_say_what_follows() -> None:
    on = {"kind": "timer", "step": "rest", "occurrence": "/do/3/rest#1", "until": FRIDAY.isoformat()}
    assert told(waiting_on=on) == "“rest” waits until Friday at 17:00; then it has come to its end."
    again = {**on, "occurrence": "/do/2/careful#1!retry1", "step": "careful"}
    assert told(waiting_on=again) == "“careful” did not succeed and is tried again Friday at 17:00."


def test_events_say_their_deadline_and_who_deals_with_it() -> None:
    on = {"kind": "event", "step": "hear", "occurrence": "/do/4/hear#1", "type": "invoice.paid"}
    assert told(waiting_on=on) == (
        "“hear” waits for the event invoice.paid; then “remind” follows, if its condition holds. There is no deadline."
    )
    inner = "/do/2/careful/try/0/pay"
    step = LoggedStep(f"{inner}#1", inner, "pay", "call", "waiting", NOW)
    pay = {"kind": "event", "step": "pay", "occurrence": f"{inner}#1", "types": ["a", "b"]}
    assert told(waiting_on=pay, steps=[step]) == (
        "“pay” waits for the event a or the event b until Saturday at 10:00; then the step fails because its time is"
        " over, which “careful” deals with. When it arrives in time, “rest” follows."
    )


def test_other_executions_and_what_waits_beside() -> None:
    on = {
        "kind": "execution",
        "step": "remind",
        "occurrence": "/do/5/remind#1",
        "workflow": "acme/mail",
        "execution_id": "e-7",
    }
    beside = LoggedStep("/do/4/hear#1", "/do/4/hear", "hear", "listen", "waiting", NOW)
    assert told(waiting_on=on, child_status="timed_out", steps=[beside]) == (
        "“remind” waits for the workflow acme/mail (execution e-7), which is timed out; then it has come to its end."
        " Beside it “hear” waits too."
    )


def test_open_ones_that_do_not_wait() -> None:
    pay = LoggedStep("p#1", "/do/2/careful/try/0/pay", "pay", "call", "running", NOW - timedelta(seconds=90))
    around = LoggedStep("c#1", "/do/2/careful", "careful", "try", "running", NOW)
    assert (
        told("running", steps=[around, pay]) == "It is at “pay” (step 3 of 6), for 1 minute and 30 seconds."
    )
    assert told("queued") == (
        "It was accepted 2 hours ago and has not begun: no worker has taken it yet. It begins by itself as soon as one"
        " does; nothing is lost."
    )
    on = {"kind": "paused", "next": [{"step": "remind"}], "meanwhile": ON_TASK}
    assert told("paused", waiting_on=on, tasks=[replace(TASK, escalate_at=None)]).startswith(
        "Somebody paused it; it holds still until it is resumed. It would go on with “remind”. Meanwhile: “check the"
    )
    assert "the platform's operators" in told("running", stalled_since=NOW)
    assert told("running", cancel_requested_at=NOW).endswith("It was asked to end, and is ending.")


def test_failures_say_where_why_and_what_helps() -> None:
    error = {
        "type": "https://serverlessworkflow.io/spec/1.0.0/errors/communication",
        "status": 503,
        "title": "Unavailable",
        "detail": "the peer is away.",
        "instance": "/do/2/careful/try/0/pay",
    }
    found = explained(facts("failed", error=error, completed_at=NOW - timedelta(days=1)))
    assert (
        found.headline
        == "It failed at “pay” (step 3 of 6) yesterday at 10:00: Unavailable (the peer is away)."
    )
    assert found.more == (
        "The other side did not do what it was asked (status 503). Find out there what was wrong.",
        "A rerun from “pay” answers the steps before it from the log and repeats it and what follows.",
    )
    assert found.acts == ("rerun", "start")
    undone = told("failed", error=error, completed_at=NOW, undone=2, reruns=1)
    assert "What 2 steps had done was undone; a rerun has to begin at or before these." in undone
    assert undone.endswith("1 rerun of it was started.")
    kept = explained(facts("failed", error={**error, "title": REFUSED_HERE, "status": 403}, completed_at=NOW))
    assert kept.more[0].startswith("The platform itself did not let the call through (status 403). Mend")
    unknown = explained(facts("failed", error={**error, "title": "Outcome unknown"}, completed_at=NOW))
    assert unknown.acts[0] == "look_up"
    assert "its input schema" in told("failed", error={**error, "instance": "/input"}, completed_at=NOW)


def test_other_ends() -> None:
    begun = {"started_at": NOW - timedelta(days=2, hours=3), "completed_at": NOW}
    assert told("completed", **begun) == "It completed today at 10:00, after 2 days and 3 hours."
    assert told("cancelled", **begun, rerun_from="pay") == (
        "It was cancelled today at 10:00. It repeated another execution from “pay” on."
    )
    assert told("terminated", **begun, error_message="Deleted in Temporal").startswith(
        "It was ended from outside today at 10:00: Deleted in Temporal. Nothing was undone."
    )
    late = {
        "title": "Timed out",
        "detail": "late",
        "instance": "/timeout",
        "type": "…/timeout",
        "status": 408,
    }
    assert told("timed_out", **begun, error=late).startswith(
        "It ran out of time today at 10:00: Timed out (late)."
    )


def test_whatever_is_missing_nothing_breaks() -> None:
    for status in ExecutionStatus:
        for on in (
            None,
            {},
            {"kind": "task"},
            {"kind": "timer"},
            {"kind": "event"},
            {"kind": "execution"},
            {"kind": "?"},
        ):
            bare = Facts(
                status, NOW, NOW, LONDON, waiting_on=on, error={"instance": "/nowhere"}, definition={"do": 7}
            )
            assert explained(bare).text


def test_moments_and_spans() -> None:
    assert when(NOW + timedelta(days=7), NOW, LONDON) == "Wednesday 8 July at 10:00"
    assert when(NOW + timedelta(days=365), NOW, LONDON) == "Thursday 1 July 2027 at 10:00"
    assert when(datetime(2026, 7, 1, 23, 30, tzinfo=UTC), NOW, LONDON) == "tomorrow at 00:30"
    assert when(datetime(2026, 7, 1, 23, 30, tzinfo=UTC), NOW, ZoneInfo("UTC")) == "today at 23:30"
    assert [span(timedelta(seconds=s)) for s in (0, 1, 61, 3600, 90_000, 3_000_000)] == [
        "less than a second",
        "1 second",
        "1 minute and 1 second",
        "1 hour",
        "1 day and 1 hour",
        "34 days",
    ]


def pay(**given: Any) -> LoggedStep:
    return LoggedStep(
        "/do/2/careful/try/0/pay#1", "/do/2/careful/try/0/pay", "pay", "call", "running", NOW, **given
    )


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(4, "in 4 seconds"), (90, "in 1 minute and 30 seconds"), (0.5, "now"), (-3, "now")],
)
def test_a_call_that_the_engine_tries_again_says_when_and_why(seconds: float, expected: str) -> None:
    then = NOW + timedelta(seconds=seconds)
    found = explained(
        facts("running", steps=[pay(attempt=2, retry_at=then, failure="Connection\u202e failed")])
    )
    assert found.headline == f"“pay” did not succeed and is tried again {expected}."
    assert found.more == ("Its attempt 2 failed: Connection failed.",)
    assert (found.until, found.acts) == (then, ("cancel",))


def test_a_later_attempt_is_told_as_one() -> None:
    assert "attempt" not in told("running", steps=[pay()])
    assert told("running", steps=[pay(attempt=3)]).endswith(" This is its attempt 3.")
