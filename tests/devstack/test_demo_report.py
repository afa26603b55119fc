"""The demo's account on a narrow terminal: whatever a person copies stays on one line, whole."""

import io
from typing import Any

import pytest
from rich.console import Console

from perdure.cli import demo_report

WORKFLOW_ID = "7e586ad8-610d-484e-9383-1973bb451eff/workflow/3196c457-06e0-4acf-8857-ce13e5d11439"
RUN_ID = "01a203c8-7539-7c4a-a2c1-ea6baa3c1c83"
KEY = "perdure_live_J5r3XI8LPoWQF5H4_" + "a" * 43
CURL = f"curl -s http://127.0.0.1:8400/v1/x -H 'Authorization: Bearer {KEY}' -d '{{\"[bold]\": [1, 2, 3]}}'"
RUN_PAGE = "http://127.0.0.1:8400/executions/3196c457-06e0-4acf-8857-ce13e5d11439"
DECISION = {
    "title": "Take on [b]Northwind Bakery Ltd[/b] as a client?",
    "refused": "Whoever started this execution may not decide this task too: four eyes. Somebody else has to.",
    "asked_first": ["role:owner"],
    "asked_next": ["role:manager"],
    "seconds": 1.1,
    "risk": "low",
    "comment": "Checked [against] the register.",
}
URLS = {"api_docs": "http://127.0.0.1:8400/docs", "temporal_ui": "http://127.0.0.1:8233"}
STEP = {
    "position": 1,
    "name": "Ask [red] for the documents of a client with a long name",
    "action": "data.template",
    "kind": "call",
    "status": "completed",
    "started_at": "2026-11-22T14:53:40.302000Z",
    "completed_at": "2026-11-22T14:53:40.304000Z",
}


def report(status: str = "completed") -> dict[str, Any]:
    execution = {
        "id": "3196c457-06e0-4acf-8857-ce13e5d11439",
        "status": status,
        "progress": 100,
        "temporal_workflow_id": WORKFLOW_ID,
        "started_at": "2026-11-22T14:53:40.302000Z",
        "completed_at": "2026-11-22T14:53:40.847204Z",
    }
    temporal = {
        "workflow_id": WORKFLOW_ID,
        "run_id": RUN_ID,
        "status": "COMPLETED",
        "history_events": 25,
        "started_at": "2026-11-22T15:53:40.302350+01:00",
        "completed_at": None,
    }
    mail = {"From": "a", "To": "b", "Subject": "[bold]c", "Message-ID": "d", "text": "Dear " + "x " * 60}
    login = {"url": "http://127.0.0.1:8400/login", "email": "ada@harbour-lane.example", "password": "p[i]w"}
    ada = {
        "user_id": "a",
        "name": "Ada [b]",
        "email": "ada@x.example",
        "role": {"name": "owner"},
        "status": "active",
    }
    entry = {
        "created_at": execution["started_at"],
        "user_id": "a",
        "actor": "user",
        "action": "member.[red]",
        "resource": "user_organizations",
    }
    invited = {
        "email": "grace@x.example",
        "subject": "[bold]Come",
        "backup_codes": 10,
        "signed_in_with": "password and code",
        "password": "q[i]w",
        "totp_secret": "JBSWY3DPEHPK3PXP",
    }
    return {
        "people": {"members": [ada], "invited": invited, "log": [entry]},
        "executions": [execution],
        "steps": [STEP],
        "temporal": temporal,
        "mail": mail,
        "decision": DECISION,
        "run_page": RUN_PAGE,
        "login": login,
        "api_key": KEY,
        "curl": CURL,
    }


def shown(width: int, **options: Any) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, **options)
    demo_report.show(console, report(), URLS)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_copied_stays_whole(width: int) -> None:
    lines = shown(width)
    for alone in (WORKFLOW_ID, RUN_ID, CURL):
        assert alone in lines
    for beside in (KEY, "p[i]w", "http://127.0.0.1:8400/login", RUN_PAGE):
        assert any(line.endswith(f"  {beside}") for line in lines), beside
    assert "…" not in "".join(lines)


def test_it_tells_who_was_refused_and_who_decided() -> None:
    text = "\n".join(shown(120))
    assert DECISION["title"] in text
    assert (
        f"ada@harbour-lane.example started the execution and tried to decide. The answer:\n  {DECISION['refused']}"
        in text
    )
    assert "No other role:owner decided, so 1.1 s later role:manager was asked as well." in text
    assert "(risk: low) and approved:\n  Checked [against] the register." in text


def test_times_have_one_form() -> None:
    text = "\n".join(shown(80))
    assert (
        text.count("2026-11-22 14:53:40.302Z") == 4
    )  # the timeline, the row, the log, and Temporal's in its zone
    assert "+01:00" not in text
    assert "302350" not in text


def test_the_tables_fit_eighty_columns() -> None:
    tables = [line for line in shown(80) if "───" in line]
    assert len(tables) == 4
    assert all(len(line) <= 80 for line in tables)


def test_no_colour_means_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in "\n".join(shown(80, force_terminal=True))
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b" not in "\n".join(shown(80))  # not a terminal


def test_the_first_sentence_says_how_it_ended() -> None:
    assert (
        shown(80)[0] == "The demo ran one client onboarding. It ended after 545 ms with the status completed."
    )
