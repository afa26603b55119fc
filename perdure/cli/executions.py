"""`executions`: list, show, watch, cancel, pause, resume, signal. `reruns.py` and `bulk.py` add to them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perdure.cli.api import Api, Client, Key, client, reaching, refuse_problem
from perdure.cli.output import AsJson, DataDir, emit, explained, facts, line, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

app = typer.Typer(help="What runs and ran.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The execution's id.")]
GOOD = frozenset({"completed"})
COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "terminated": "red",
    "timed_out": "red",
    "waiting": "cyan",
    "paused": "magenta",
}


@app.command("list")
def list_executions(
    *,
    status: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """The newest executions."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        page = perdure.get("/v1/executions", status=status, workflow_id=workflow, limit=limit)
    if as_json:
        emit(page["items"])
        return
    table = Table("id", "status", "%", "queued", "waits for")
    for each in page["items"]:
        waits = Text(waiting(each["waiting_on"]))
        table.add_row(
            each["id"], shown(each["status"]), str(each["progress"]), moment(each["created_at"]), waits
        )
    out.print(table)


@app.command()
def show(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """One execution with its steps."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        execution = perdure.get(f"/v1/executions/{id}")
        steps = list(_pages(perdure, f"/v1/executions/{id}/steps"))
    if as_json:
        emit({"execution": execution, "steps": steps})
        return
    facts(out, _facts(execution))
    table = Table("step", "kind", "status", "began", "attempt")
    for step in steps:
        began = moment(step["started_at"])
        kind = Text(step["action"] or step["kind"])
        table.add_row(Text(step["name"]), kind, shown(step["status"]), began, str(step["attempt"]))
    out.print(table)


@app.command()
def watch(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Tell every change until the end; exit 0 only if it completed. With --json one document per line."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        status = "unknown"
        for name, data in events(perdure.http, id):
            if as_json:
                line(out, json.dumps({"event": name, "data": data}))
            else:
                tell(out, name, data)
            if name == "end":
                status = data["status"]
    raise typer.Exit(0 if status in GOOD else 1)


@app.command()
def cancel(
    *,
    id: Id,
    reason: Annotated[str, typer.Option(help="Kept with the request.")] = "",
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Ask an execution to stop."""
    _act(id, "cancel", {"reason": reason}, (api, key, data_dir), as_json=as_json)


@app.command()
def pause(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Begin nothing new until `resume`."""
    _act(id, "pause", None, (api, key, data_dir), as_json=as_json)


@app.command()
def resume(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """Go on where a pause has held the execution."""
    _act(id, "resume", None, (api, key, data_dir), as_json=as_json)


@app.command()
def signal(
    *,
    id: Id,
    type: Annotated[str, typer.Argument(help="What a `listen` step asks for.")],
    data: Annotated[str, typer.Option(help="JSON.")] = "null",
    signal_id: Annotated[str | None, typer.Option("--id", help="Sent twice, it is delivered once.")] = None,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Send an event to an execution."""
    with explained(as_json):
        try:
            value = json.loads(data)
        except json.JSONDecodeError as error:
            raise StackError(
                f"--data is not JSON: {error}.", """A text needs quotes: --data '"paid"'."""
            ) from None
        with client(api, key, data_dir) as perdure:
            sent = perdure.post(f"/v1/executions/{id}/signal", {"type": type, "data": value, "id": signal_id})
    if as_json:
        emit(sent)
    else:
        line(out, f"Sent {sent['type']} as {sent['id']}.")


def _act(id: str, word: str, body: Any, where: tuple[str | None, str | None, Path], *, as_json: bool) -> None:
    with explained(as_json), client(*where) as perdure:
        execution = perdure.post(f"/v1/executions/{id}/{word}", body)
    if as_json:
        emit(execution)
    else:
        facts(out, _facts(execution))


def events(http: httpx2.Client, id: str) -> Iterator[tuple[str, Any]]:
    """The events of an execution until its end; a connection that breaks is made again where it broke."""
    last: dict[str, str] = {}
    while True:
        with reaching(http):
            stream = http.stream("GET", f"/v1/executions/{id}/events", headers=last, timeout=None)
            with stream as answer:
                if answer.is_error:
                    answer.read()
                    refuse_problem(answer)
                try:
                    for name, event_id, data in _parsed(answer.iter_lines()):
                        last = {"Last-Event-ID": event_id}
                        yield name, data
                        if name == "end":
                            return
                except (httpx2.ReadError, httpx2.RemoteProtocolError):
                    continue
                if answer.status_code == 204:
                    return


def _parsed(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    told: dict[str, str] = {}
    for each in lines:
        name, _, value = each.partition(": ")
        if name in ("event", "id", "data"):
            told[name] = value
        elif not each and "data" in told:
            yield told["event"], told["id"], json.loads(told["data"])
            told = {}


def _pages(perdure: Client, path: str) -> Iterator[Any]:
    cursor = None
    while True:
        page = perdure.get(path, cursor=cursor, limit=100)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def tell(console: Console, name: str, data: Any) -> None:
    """One event of an execution, in a line."""
    match name:
        case "snapshot":
            for step in data["steps"]:
                tell(console, "step", step)
            tell(console, "execution", data["execution"])
        case "step":
            at = moment(data["completed_at"] or data["started_at"])
            line(console, f"{at}  {data['status']:<10} {data['name']}")
        case _:
            waits = waiting(data["waiting_on"])
            text = f"{moment(data['updated_at'])}  {data['status']:<10} {data['progress']} %"
            line(console, f"{text}  {waits or data['error_message'] or ''}".rstrip())


def _facts(execution: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "execution", execution["id"]
    yield "status", execution["status"] + (" (pausing)" if _is_pausing(execution) else "")
    yield "progress", f"{execution['progress']} %"
    if execution["waiting_on"]:
        yield "waits for", waiting(execution["waiting_on"])
    if execution["error_message"]:
        yield "error", execution["error_message"]


def _is_pausing(execution: dict[str, Any]) -> bool:
    return bool(execution["pause_requested"]) and execution["status"] != "paused"


def waiting(on: dict[str, Any] | None) -> str:
    """What an execution waits for, in words."""
    if not on:
        return ""
    match on["kind"]:
        case "paused":
            following = ", ".join(step["step"] or step["does"] for step in on["next"])
            meanwhile = waiting(on.get("meanwhile"))
            return f"resume; then {following}" if following else f"resume; meanwhile {meanwhile or 'nothing'}"
        case "task":
            return f"{on['step']}: {on['title']}"
        case "timer":
            return f"{on['step']}: until {moment(on['until'])}"
        case "event":
            return f"{on['step']}: event {on['type']}"
        case kind:
            return str(kind)


def moment(text: str | None) -> str:
    """RFC 3339 as people read it: to the second."""
    return "" if text is None else text[:19].replace("T", " ")


def shown(status: str) -> Text:
    return Text(status, style=COLOURS.get(status, ""))
