"""`executions bulk`: many executions cancelled or repeated, counted first, followed to the end."""

import time
from typing import Annotated, Any

import typer

from domain.definitions.phrases import counted
from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.executions import app as executions
from perdure.cli.given import agreed
from perdure.cli.output import Progress, err, facts, line, listing, moment, out, state
from perdure.cli.reruns import Irreversible
from workers.devstack.errors import StackError

app = typer.Typer(help="Act on many executions at once.", no_args_is_help=True)
executions.add_typer(app, name="bulk")

Status = Annotated[list[str] | None, typer.Option("--status", help="May be repeated.")]
Workflow = Annotated[str | None, typer.Option("--workflow", help="Only of this workflow's id.")]
Since = Annotated[str | None, typer.Option("--from", help="Queued at or after, as 2026-11-23T00:00:00Z.")]
Until = Annotated[str | None, typer.Option("--to", help="Queued before.")]
Expected = Annotated[
    int | None, typer.Option("--expected", min=1, help="Instead of being asked: exactly so many are meant.")
]
Id = Annotated[str, typer.Argument(help="The operation's id.")]
#: Of what was refused, as much is shown.
_SHOWN = 20
_PAUSE = 0.5
_UNDER_WAY = ("queued", "running", "waiting", "paused")


@app.command("cancel")
@asking
def cancel_many(
    perdure: Client,
    *,
    status: Status = None,
    workflow: Workflow = None,
    since: Since = None,
    until: Until = None,
    expected: Expected = None,
    reason: Annotated[str, typer.Option(help="Kept with each request.")] = "",
) -> None:
    """Ask all open ones that fit to end. Exit 1 unless each was."""
    _run(perdure, "cancel", _filters(status, workflow, since, until), expected, {"reason": reason})


@app.command("rerun")
@asking
def rerun_many(
    perdure: Client,
    *,
    status: Status = None,
    workflow: Workflow = None,
    since: Since = None,
    until: Until = None,
    expected: Expected = None,
    irreversible: Irreversible = False,
) -> None:
    """Repeat all ended ones that fit from where they failed, or else from the first step. Exit 1 unless each was."""
    more = {"confirm_irreversible": irreversible}
    _run(perdure, "rerun", _filters(status, workflow, since, until), expected, more)


@app.command("list")
@asking
def list_operations(
    perdure: Client, limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20
) -> None:
    """The newest operations."""
    perdure.answer(perdure.get("/v1/bulk", limit=limit)["items"], _tell_list)


@app.command()
@asking
def show(perdure: Client, id: Id) -> None:
    """How far an operation is, and what was refused and why."""
    operation = perdure.get(f"/v1/bulk/{id}")
    perdure.answer({**operation, "refusals": _refusals(perdure, id)}, _tell_one)


@app.command()
@asking
def watch(perdure: Client, id: Id) -> None:
    """Follow an operation to its end. Exit 1 unless each was done."""
    _follow(perdure, perdure.get(f"/v1/bulk/{id}"))


@app.command()
@asking
def stop(perdure: Client, id: Id) -> None:
    """Leave those alone that nobody has come to yet; what was done stays done."""
    stopped = perdure.post(f"/v1/bulk/{id}/stop")
    told = f"It stops: {stopped['done']} of {stopped['total']} done, {stopped['refused']} refused."
    perdure.answer(stopped, lambda _: line(out, told))


def _filters(
    status: list[str] | None, workflow: str | None, since: str | None, until: str | None
) -> dict[str, Any]:
    given = {"status": status, "workflow_id": workflow, "from": since, "to": until}
    return {name: value for name, value in given.items() if value}


def _run(
    perdure: Client, action: str, filters: dict[str, Any], expected: int | None, more: dict[str, Any]
) -> None:
    if expected is None:
        expected = _agreed(perdure, action, filters)
    begun = perdure.post(f"/v1/bulk/{action}", {"filters": filters, "expected": expected, **more})
    line(err, f"It is operation {begun['id']}; it goes on without this command.")
    _follow(perdure, begun)


def _follow(perdure: Client, operation: dict[str, Any]) -> None:
    """Until it has ended, whatever becomes of this command. Ends with 1 unless each was done."""
    id, told = operation["id"], None
    with Progress(f"{operation['action']} of {counted(operation['total'], 'execution')}") as progress:
        while operation["status"] in _UNDER_WAY:
            now = f"{operation['done']} done, {operation['refused']} refused"
            if now != told:
                progress.say(now)
            told = now
            time.sleep(_PAUSE)
            operation = perdure.get(f"/v1/bulk/{id}")
    perdure.answer({**operation, "refusals": _refusals(perdure, id)}, _tell_end)
    raise typer.Exit(0 if operation["done"] == operation["total"] else 1)


def _refusals(perdure: Client, id: str) -> Any:
    return perdure.get(f"/v1/bulk/{id}/items", outcome="refused", limit=_SHOWN)["items"]


def _tell_end(operation: dict[str, Any]) -> None:
    counts = f"{operation['done']} of {operation['total']} done, {operation['refused']} refused"
    line(out, f"{counts} ({operation['id']}).")
    listing(
        ("execution", "refused because"),
        ((each["execution_id"], each["detail"]) for each in operation["refusals"]),
    )
    if operation["refused"] > len(operation["refusals"]):
        line(err, f"… and {operation['refused'] - len(operation['refusals'])} more were refused.")


def _tell_one(operation: dict[str, Any]) -> None:
    begun, ended = moment(operation["created_at"]), moment(operation["completed_at"])
    does = [("does", operation["action"]), ("status", operation["status"]), ("begun", begun)]
    facts(out, [*does, ("ended", ended)] if ended else does)
    _tell_end(operation)


def _tell_list(operations: list[dict[str, Any]]) -> None:
    listing(
        ("id", "does", "status", "done", "refused", "begun"),
        (
            (
                each["id"],
                each["action"],
                state(each["status"]),
                f"{each['done']} of {each['total']}",
                str(each["refused"]),
                moment(each["created_at"]),
            )
            for each in operations
        ),
        none="There is none; they are kept for 30 days.",
    )


def _agreed(perdure: Client, action: str, filters: dict[str, Any]) -> int:
    """How many are meant, once a person has looked at the number. Raises StackError where nobody can be asked."""
    count = int(perdure.post("/v1/bulk/count", {"action": action, "filters": filters})["count"])
    if not count:
        raise StackError(f"No execution that could be meant by {action} fits.", "Widen the filters.")
    meant = "1 execution is" if count == 1 else f"{count} executions are"
    nobody = StackError(f"{meant} meant, and nobody can be asked here.", f"Add --expected {count}.")
    agreed(f"{meant} meant. {action.capitalize()} {'it' if count == 1 else 'all of them'}?", nobody)
    return count
