"""`executions`: list, show, watch, cancel, pause, resume, signal. `reruns.py` and `bulk.py` add to them."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perdure.cli.api import Client, reaching, refuse_problem
from perdure.cli.asking import asking
from perdure.cli.given import json_of
from perdure.cli.output import emit, facts, line, listing, moment, out, state

app = typer.Typer(help="What runs and ran.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The execution's id.")]
GOOD = frozenset({"completed"})


@app.command("list")
@asking
def list_executions(
    perdure: Client,
    *,
    status: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only of this workflow's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
) -> None:
    """The newest executions."""
    page = perdure.get("/v1/executions", status=status, workflow_id=workflow, limit=limit)
    perdure.answer(page["items"], _tell_list)


@app.command()
@asking
def show(perdure: Client, id: Id) -> None:
    """One execution with its steps."""
    execution = perdure.get(f"/v1/executions/{id}")
    steps = list(perdure.pages(f"/v1/executions/{id}/steps"))
    if perdure.as_json:
        emit({"execution": execution, "steps": steps})
        return
    facts(out, _facts(execution))
    table = Table("step", "kind", "status", "began", "attempt")
    for step in steps:
        began = moment(step["started_at"])
        kind = Text(step["action"] or step["kind"])
        table.add_row(Text(step["name"]), kind, state(step["status"]), began, str(step["attempt"]))
    out.print(table)
    tried = [step for step in steps if step["attempts"]]
    if tried:
        out.print(attempts_table(tried))


def attempts_table(steps: list[dict[str, Any]]) -> Table:
    """Every attempt at the steps that were tried again, with what came of it."""
    table = Table("step", "attempt", "status", "began", "ended", "what came of it")
    for step in steps:
        for each in step["attempts"]:
            moments = moment(each["started_at"]), moment(each["completed_at"])
            name, number = Text(step["name"]), str(each["number"])
            table.add_row(name, number, state(each["status"]), *moments, Text(_came(each)))
    return table


def _came(attempt: dict[str, Any]) -> str:
    if attempt["status"] == "lost":
        return "its worker was stopped or lost"
    error = attempt["error"] or {}
    said = ": ".join(str(error[name]) for name in ("title", "detail") if error.get(name))
    again = f"tried again {moment(attempt['retry_at'])}" if attempt["retry_at"] else ""
    return "; ".join(filter(None, (said, again)))


@app.command()
@asking
def watch(perdure: Client, id: Id) -> None:
    """Tell every change until the end; exit 0 only if it completed. With --json one document per line."""
    status = "unknown"
    for name, data in events(perdure.http, id):
        if perdure.as_json:
            line(out, json.dumps({"event": name, "data": data}))
        else:
            tell(out, name, data)
        if name == "end":
            status = data["status"]
    raise typer.Exit(0 if status in GOOD else 1)


@app.command()
@asking
def cancel(
    perdure: Client, id: Id, reason: Annotated[str, typer.Option(help="Kept with the request.")] = ""
) -> None:
    """Ask an execution to stop."""
    _act(perdure, id, "cancel", {"reason": reason})


@app.command()
@asking
def pause(perdure: Client, id: Id) -> None:
    """Begin nothing new until `resume`."""
    _act(perdure, id, "pause")


@app.command()
@asking
def resume(perdure: Client, id: Id) -> None:
    """Go on where a pause has held the execution."""
    _act(perdure, id, "resume")


@app.command()
@asking
def signal(
    perdure: Client,
    *,
    id: Id,
    type: Annotated[str, typer.Argument(help="What a `listen` step asks for.")],
    data: Annotated[str, typer.Option(help="JSON.")] = "null",
    signal_id: Annotated[str | None, typer.Option("--id", help="Sent twice, it is delivered once.")] = None,
) -> None:
    """Send an event to an execution."""
    value = json_of(data, "--data", """A text needs quotes: --data '"paid"'.""")
    sent = perdure.post(f"/v1/executions/{id}/signal", {"type": type, "data": value, "id": signal_id})
    perdure.answer(sent, lambda sent: line(out, f"Sent {sent['type']} as {sent['id']}."))


def _act(perdure: Client, id: str, word: str, body: Any = None) -> None:
    execution = perdure.post(f"/v1/executions/{id}/{word}", body)
    perdure.answer(execution, lambda execution: facts(out, _facts(execution)))


def _tell_list(executions: list[dict[str, Any]]) -> None:
    listing(
        ("id", "status", "%", "queued", "waits for"),
        (
            (
                each["id"],
                state(each["status"]),
                str(each["progress"]),
                moment(each["created_at"]),
                waiting(each["waiting_on"]),
            )
            for each in executions
        ),
        none="No execution fits. `perdure workflows run FILE` starts one.",
    )


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


def tell(console: Console, name: str, data: Any) -> None:
    """One event of an execution, in a line."""
    match name:
        case "snapshot":
            for step in data["steps"]:
                tell(console, "step", step)
            tell(console, "execution", data["execution"])
        case "step":
            at = moment(data["completed_at"] or data["started_at"])
            line(console, f"{at}  {data['status']:<10} {data['name']}{_tried(data)}")
        case _:
            waits = waiting(data["waiting_on"])
            text = f"{moment(data['updated_at'])}  {data['status']:<10} {data['progress']} %"
            line(console, f"{text}  {waits or data['error_message'] or ''}".rstrip())


def _tried(step: dict[str, Any]) -> str:
    again = step.get("retry_at")
    if again:
        return f" (attempt {step['attempt']} failed; tried again {moment(again)})"
    return f" (attempt {step['attempt']})" if step["attempt"] > 1 else ""


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
