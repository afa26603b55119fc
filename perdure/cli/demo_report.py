"""Shows a person what the demo did: the timeline, the mail, and the row beside Temporal's own account."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table


def show(console: Console, report: dict[str, Any], urls: dict[str, str]) -> None:
    for execution in report["executions"]:
        _timeline(console, execution, report["steps"])
        _mirror(console, execution, report["temporal"])
    if report["mail"] is not None:
        _mail(console, report["mail"])
    _next(console, report, urls)


def _timeline(console: Console, execution: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    table = Table(title=f"Client onboarding {execution['id']}", title_justify="left")
    for heading in ("#", "Step", "What", "Status"):
        table.add_column(heading)
    table.add_column("Began after", justify="right")
    table.add_column("Took", justify="right")
    for step in steps:
        table.add_row(
            str(step["position"]),
            escape(step["name"]),
            step["action"] or step["kind"],
            step["status"],
            _span(execution["started_at"], step["started_at"]),
            _span(step["started_at"], step["completed_at"]),
        )
    console.print(table)


def _mirror(console: Console, execution: dict[str, Any], temporal: dict[str, Any]) -> None:
    table = Table(title="The row in workflow_executions, and what Temporal says", title_justify="left")
    for heading in ("", "PostgreSQL", "Temporal"):
        table.add_column(heading)
    table.add_row("status", execution["status"], temporal["status"])
    table.add_row("workflow id", execution["temporal_workflow_id"], temporal["workflow_id"])
    table.add_row("started", execution["started_at"], temporal["started_at"])
    table.add_row("completed", execution["completed_at"], temporal["completed_at"])
    table.add_row("progress", f"{execution['progress']} %", f"{temporal['history_events']} events")
    console.print(table)


def _mail(console: Console, mail: dict[str, str]) -> None:
    heads = "\n".join(f"{name}: {mail[name]}" for name in ("From", "To", "Subject", "Message-ID"))
    console.print(
        Panel(
            escape(f"{heads}\n\n{mail['text'].strip()}"), title="The mail that was sent", title_align="left"
        )
    )


def _next(console: Console, report: dict[str, Any], urls: dict[str, str]) -> None:
    login = report["login"]
    console.print(f"Sign in:     {login['url']}  as {login['email']}  with {login['password']}")
    console.print(f"API docs:    {urls['api_docs']}")
    console.print(f"Temporal UI: {urls['temporal_ui']}")
    console.print(f"API key:     {report['api_key']}")
    console.print("Start another execution:")
    console.print(report["curl"], soft_wrap=True, markup=False)


def _span(start: str | None, end: str | None) -> str:
    if start is None or end is None:
        return ""
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
