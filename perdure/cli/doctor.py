"""`doctor`: is everything there that Perdure needs, and if not, what to do."""

import asyncio

import typer
from rich.markup import escape
from rich.table import Table

from perdure.cli.output import AsJson, DataDir, Progress, emit, explained, out
from workers.devstack import health
from workers.devstack.state import DEFAULT_FOLDER

SIGNS = {
    "ok": "[green]✓ ok[/]",
    "skipped": "- skipped",
    "warning": "[yellow]! warning[/]",
    "failed": "[red]✗ failed[/]",
}


def doctor(data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Check every dependency and say what to do; exit 0 when nothing failed."""
    with explained(as_json), Progress("Checking", lines=False) as progress:
        checks = asyncio.run(health.examine(data_dir.resolve(), progress.say))
    failed = any(check.verdict == "failed" for check in checks)
    if as_json:
        emit({"ok": not failed, "checks": [check.as_json() for check in checks]})
    else:
        table = Table("check", "verdict", "found", "what to do")
        for check in checks:
            table.add_row(check.name, SIGNS[check.verdict], escape(check.found), escape(check.mend))
        out.print(table)
    raise typer.Exit(1 if failed else 0)
