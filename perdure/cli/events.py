"""`events`: send CloudEvents into the organization, and see what each of them started."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.table import Table

from perdure.cli.api import Api, Key, client
from perdure.cli.output import AsJson, DataDir, emit, explained, facts, line, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

app = typer.Typer(help="CloudEvents, and what they started.", no_args_is_help=True)
File = Annotated[
    str | None,
    typer.Argument(help="A file with a CloudEvent, or a list of them, in JSON; - reads standard input."),
]
Type = Annotated[str | None, typer.Option("--type", help="What happened, for example invoice.paid.")]
Source = Annotated[
    str | None, typer.Option("--source", help="Where it happened, for example https://shop.example.")
]
Subject = Annotated[str | None, typer.Option("--subject", help="What it is about.")]
Id = Annotated[
    str | None, typer.Option("--id", help="Its id; sent again with the same one, nothing happens twice.")
]
Data = Annotated[str | None, typer.Option("--data", help="JSON, or @FILE to read it from a file.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many at most.")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="The id that sending answered.")]


@app.command("send")
def send(
    file: File = None,
    type: Type = None,
    source: Source = None,
    subject: Subject = None,
    id: Id = None,
    data: Data = None,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Send one event made of the options, or what a file holds. Ends with 1 when any of them was not taken."""
    with explained(as_json):
        if file is None:
            body: Any = _written(type, source, subject, id, data)
        elif any(each is not None for each in (type, source, subject, id, data)):
            raise StackError("The event comes from a file and from options.", "Give one of them.")
        else:
            body = _read(file)
        with client(api, key, data_dir) as connected:
            answer = connected.post("/v1/events", body)
    refused = [each for each in answer["items"] if each["verdict"] in ("refused", "conflict")]
    if as_json:
        emit(answer)
    else:
        for each in answer["items"]:
            line(out, f"{each['verdict']}  {each['id'] or '-'}  {each['event_id'] or ''}".rstrip())
            for problem in each["errors"]:
                line(
                    out, f"  {problem['pointer']}: {problem['detail']} {problem['suggestion'] or ''}".rstrip()
                )
    if refused:
        raise typer.Exit(1)


@app.command("list")
def list_events(
    type: Type = None,
    source: Source = None,
    limit: Limit = 20,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """The latest events, and what each started."""
    with explained(as_json), client(api, key, data_dir) as connected:
        page = connected.get("/v1/events", type=type, source=source, limit=limit)
    if as_json:
        emit(page)
        return
    table = Table("recorded at", "type", "source", "what it started", "id")
    for each in page["items"]:
        table.add_row(
            each["recorded_at"], each["type"], each["source"], _started(each["routings"]), each["id"]
        )
    out.print(table)


@app.command("show")
def show(
    id: EventId, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """One event: its content, what it started and why not, and which steps heard it."""
    with explained(as_json), client(api, key, data_dir) as connected:
        found = connected.get(f"/v1/events/{id}")
    if as_json:
        emit(found)
        return
    facts(out, [(name, str(found[name])) for name in ("type", "source", "event_id", "recorded_at")])
    for each in found["routings"]:
        told = each["execution_id"] or each["reason"] or ""
        line(out, f"{each['verdict']}  {each['workflow']}: {each['trigger']}  {told}".rstrip())
    for each in found["reached"]:
        line(out, f"heard  {each['execution_id']}  {each['step']}")
    line(out, json.dumps(found["event"], indent=2, ensure_ascii=False))


def _written(
    type: str | None, source: str | None, subject: str | None, id: str | None, data: str | None
) -> dict[str, Any]:
    if type is None or source is None:
        raise StackError("An event has a type and a source.", "Give --type and --source, or a file.")
    event: dict[str, Any] = {"specversion": "1.0", "id": id or str(uuid4()), "source": source, "type": type}
    if subject is not None:
        event["subject"] = subject
    if data is not None:
        event["data"] = _parsed(_file(data[1:]) if data.startswith("@") else data, "--data")
    return event


def _read(file: str) -> Any:
    return _parsed(
        sys.stdin.read() if file == "-" else _file(file), "standard input" if file == "-" else file
    )


def _file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{path} cannot be read: {error}.", "Name a file of UTF-8 text.") from None


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise StackError(
            f"{where} holds no JSON: {error.msg} at {place}.", "Correct the JSON there."
        ) from None


def _started(routings: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['workflow']} ({each['verdict']})" for each in routings) or "nothing"
