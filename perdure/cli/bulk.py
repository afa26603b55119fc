"""`executions bulk`: many executions cancelled or repeated, counted first, followed to the end."""

import sys
import time
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from perdure.cli.api import Api, Client, Key, client
from perdure.cli.executions import app as executions
from perdure.cli.output import AsJson, DataDir, Progress, emit, err, explained, line, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

app = typer.Typer(help="Act on many executions at once.", no_args_is_help=True)
executions.add_typer(app, name="bulk")

Status = Annotated[list[str] | None, typer.Option("--status", help="May be repeated.")]
Workflow = Annotated[str | None, typer.Option("--workflow", help="Only of this workflow's id.")]
Since = Annotated[str | None, typer.Option("--from", help="Queued at or after, as 2026-11-23T00:00:00Z.")]
Until = Annotated[str | None, typer.Option("--to", help="Queued before.")]
Expected = Annotated[
    int | None, typer.Option("--expected", min=1, help="Instead of being asked: exactly so many are meant.")
]
#: Of what was refused, as much is shown.
_SHOWN = 20
_PAUSE = 0.5


@app.command("cancel")
def cancel_many(
    *,
    status: Status = None,
    workflow: Workflow = None,
    since: Since = None,
    until: Until = None,
    expected: Expected = None,
    reason: Annotated[str, typer.Option(help="Kept with each request.")] = "",
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Ask all open ones that fit to end. Exit 1 unless each was."""
    filters = _filters(status, workflow, since, until)
    with explained(as_json), client(api, key, data_dir) as perdure:
        _run(perdure, "cancel", filters, expected, {"reason": reason}, as_json=as_json)


@app.command("rerun")
def rerun_many(
    *,
    status: Status = None,
    workflow: Workflow = None,
    since: Since = None,
    until: Until = None,
    expected: Expected = None,
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="What happens again may be what cannot be undone.")
    ] = False,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Repeat all ended ones that fit from where they failed, or else from the first step. Exit 1 unless each was."""
    filters = _filters(status, workflow, since, until)
    with explained(as_json), client(api, key, data_dir) as perdure:
        more = {"confirm_irreversible": irreversible}
        _run(perdure, "rerun", filters, expected, more, as_json=as_json)


def _filters(
    status: list[str] | None, workflow: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    given = {"status": status, "workflow_id": workflow, "from": since, "to": until}
    return {name: value for name, value in given.items() if value}


def _run(
    perdure: Client,
    action: str,
    filters: dict[str, Any],
    expected: int | None,
    more: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    if expected is None:
        expected = _agreed(perdure, action, filters)
    begun = perdure.post(f"/v1/bulk/{action}", {"filters": filters, "expected": expected, **more})
    with Progress(f"{action} of {expected} executions", lines=False) as progress:
        while begun["status"] in ("queued", "running", "waiting", "paused"):
            progress.say(f"{begun['done']} done, {begun['refused']} refused")
            time.sleep(_PAUSE)
            begun = perdure.get(f"/v1/bulk/{begun['id']}")
    refused = perdure.get(f"/v1/bulk/{begun['id']}/items", outcome="refused", limit=_SHOWN)["items"]
    if as_json:
        emit({**begun, "refusals": refused})
    else:
        line(out, f"{begun['done']} of {begun['total']} done, {begun['refused']} refused ({begun['id']}).")
        if refused:
            table = Table("execution", "refused because")
            for each in refused:
                table.add_row(each["execution_id"], Text(each["detail"]))
            out.print(table)
    raise typer.Exit(0 if begun["done"] == begun["total"] else 1)


def _agreed(perdure: Client, action: str, filters: dict[str, Any]) -> int:
    """How many are meant, once a person has looked at the number. Raises StackError where nobody can be asked."""
    count = int(perdure.post("/v1/bulk/count", {"action": action, "filters": filters})["count"])
    if not count:
        raise StackError(f"No execution that could be meant by {action} fits.", "Widen the filters.")
    if not sys.stdin.isatty():
        raise StackError(
            f"{count} executions are meant, and nobody can be asked here.", f"Add --expected {count}."
        )
    line(err, f"{count} executions are meant.")
    if not typer.confirm(f"{action.capitalize()} all of them?", err=True):
        raise typer.Exit(1)
    return count
