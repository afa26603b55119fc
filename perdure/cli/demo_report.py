"""Shows a person what the demo did: the timeline, the mail, and the row beside Temporal's own account."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from perdure.cli.output import facts, line


def show(console: Console, report: dict[str, Any], urls: dict[str, str]) -> None:
    for execution in report["executions"]:
        _summary(console, execution, report["steps"])
        _timeline(console, execution, report["steps"])
    _decision(console, report["decision"], report["login"])
    if report["mail"] is not None:
        _mail(console, report["mail"])
    for execution in report["executions"]:
        _mirror(console, execution, report["temporal"])
    _people(console, report["people"])
    _log(console, report["people"])
    _next(console, report, urls)


def _summary(console: Console, execution: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    took = _span(execution["started_at"], execution["completed_at"])
    after = f" after {took}" if took else ""
    line(
        console, f"The demo ran one client onboarding. It ended{after} with the status {execution['status']}."
    )
    asked = sum(step["action"] == "approve" for step in steps)
    line(console, f"Of its {len(steps)} steps {asked} waited for people; the demo decided through the API.")


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(f"[bold]{escape(text)}[/]", soft_wrap=True)


def _timeline(console: Console, execution: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    _heading(console, "What happened, in order")
    line(console, f"Execution {execution['id']}, started {_moment(execution['started_at'])}")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    for heading in ("Step", "What", "Status"):
        table.add_column(heading, overflow="fold")
    table.add_column("After", justify="right")
    table.add_column("Took", justify="right")
    for step in steps:
        table.add_row(
            str(step["position"]),
            escape(step["name"]),
            escape(step["action"] or step["kind"]),
            step["status"],
            _span(execution["started_at"], step["started_at"]),
            _span(step["started_at"], step["completed_at"]),
        )
    console.print(table)


def _decision(console: Console, decision: dict[str, Any], login: dict[str, str]) -> None:
    _heading(console, "Who decided, and why not somebody else")
    line(console, f"The task: {decision['title']}")
    line(console, f"{login['email']} started the execution and tried to decide. The answer:")
    line(console, f"  {decision['refused']}")
    first, after = _words(decision["asked_first"]), _words(decision["asked_next"])
    line(console, f"No other {first} decided, so {decision['seconds']:g} s later {after} was asked as well.")
    line(console, f"A colleague with that role filled in the form (risk: {decision['risk']}) and approved:")
    line(console, f"  {decision['comment']}")


def _words(candidates: list[str]) -> str:
    return " and ".join(candidates)


def _mail(console: Console, mail: dict[str, str]) -> None:
    _heading(console, "The mail that was sent")
    for name in ("From", "To", "Subject", "Message-ID"):
        line(console, f"  {name}: {mail[name]}")
    console.print()
    for text in mail["text"].strip().splitlines():
        line(console, f"  {text}" if text else "")


def _mirror(console: Console, execution: dict[str, Any], temporal: dict[str, Any]) -> None:
    """The ids stand on lines of their own: in two columns neither would fit a narrow terminal."""
    _heading(console, "The same execution in PostgreSQL (workflow_executions) and in Temporal")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "PostgreSQL", "Temporal"):
        table.add_column(heading, overflow="fold")
    table.add_row("status", execution["status"], temporal["status"])
    for name in ("started", "completed"):
        table.add_row(name, _moment(execution[f"{name}_at"]), _moment(temporal[f"{name}_at"]))
    table.add_row("progress", f"{execution['progress']} %", f"{temporal['history_events']} history events")
    console.print(table)
    ids = [("Workflow id", execution["temporal_workflow_id"])]
    if temporal["workflow_id"] == execution["temporal_workflow_id"]:
        ids = [("Workflow id (the same in both)", temporal["workflow_id"])]
    else:
        ids.append(("Workflow id in Temporal", temporal["workflow_id"]))
    _copied(console, [*ids, ("Run id", temporal["run_id"])])


def _people(console: Console, people: dict[str, Any]) -> None:
    _heading(console, "The people of the organization")
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("Name", "E-mail", "Role", "Status"):
        table.add_column(heading, overflow="fold")
    for member in people["members"]:
        told = (member["name"], member["email"], member["role"]["name"], member["status"])
        table.add_row(*(escape(str(word)) for word in told))
    console.print(table)
    invited = people["invited"]
    if invited is None:
        return
    line(console, f"{invited['email']} was invited by mail ({invited['subject']}), joined through its link,")
    line(
        console,
        f"enrolled an authenticator ({invited['backup_codes']} backup codes) and signed in again with",
    )
    line(console, f"{invited['signed_in_with']}.")
    facts(console, [("Password", invited["password"]), ("Authenticator", invited["totp_secret"])])


def _log(console: Console, people: dict[str, Any]) -> None:
    _heading(console, "Who did what, newest first (the organization's audit log)")
    names = {member["user_id"]: member["name"] for member in people["members"]}
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("When", no_wrap=True)
    for heading in ("Who", "What", "On"):
        table.add_column(heading, overflow="fold")
    for entry in people["log"]:
        who = names.get(entry["user_id"]) or f"the {entry['actor']}"
        told = (f"{who}'s key" if entry["actor"] == "api_key" else who, entry["action"], entry["resource"])
        table.add_row(_moment(entry["created_at"]), *(escape(word) for word in told))
    console.print(table)


def _next(console: Console, report: dict[str, Any], urls: dict[str, str]) -> None:
    _heading(console, "Look around while the stack runs (`perdure up`)")
    login = report["login"]
    facts(
        console,
        [
            ("Sign in", login["url"]),
            ("This execution", report["run_page"]),
            ("E-mail", login["email"]),
            ("Password", login["password"]),
            ("API key", report["api_key"]),
            ("API docs", urls["api_docs"]),
            ("Temporal UI", urls["temporal_ui"]),
        ],
    )
    _copied(console, [("Start another execution", report["curl"])])


def _copied(console: Console, values: Iterable[tuple[str, str]]) -> None:
    """Long values to copy, each alone on one line under its name."""
    for name, value in values:
        line(console, f"{name}:")
        line(console, value)


def _moment(text: str | None) -> str:
    """Milliseconds, UTC, whatever the source's own precision and spelling."""
    if text is None:
        return "-"
    at = datetime.fromisoformat(text).astimezone(UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _span(start: str | None, end: str | None) -> str:
    if start is None or end is None:
        return ""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
