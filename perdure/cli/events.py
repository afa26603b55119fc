"""`events`: send CloudEvents into the organization, and see what each of them started."""

import json
from typing import Annotated, Any
from uuid import uuid4

import typer

from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.given import json_of, json_option, text_of
from perdure.cli.output import facts, line, listing, moment, out
from workers.devstack.errors import StackError

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
@asking
def send(
    perdure: Client,
    *,
    file: File = None,
    type: Type = None,
    source: Source = None,
    subject: Subject = None,
    id: Id = None,
    data: Data = None,
) -> None:
    """Send one event made of the options, or what a file holds. Ends with 1 when any of them was not taken."""
    if file is None:
        body: Any = _written(type, source, subject, id, data)
    elif any(each is not None for each in (type, source, subject, id, data)):
        raise StackError("The event comes from a file and from options.", "Give one of them.")
    else:
        body = json_of(text_of(file), "standard input" if file == "-" else file)
    answer = perdure.post("/v1/events", body)
    perdure.answer(answer, _tell_sent)
    if any(each["verdict"] in ("refused", "conflict") for each in answer["items"]):
        raise typer.Exit(1)


@app.command("list")
@asking
def list_events(perdure: Client, type: Type = None, source: Source = None, limit: Limit = 20) -> None:
    """The latest events, and what each started."""
    perdure.answer(perdure.get("/v1/events", type=type, source=source, limit=limit), _tell_list)


@app.command("show")
@asking
def show(perdure: Client, id: EventId) -> None:
    """One event: its content, what it started and why not, and which steps heard it."""
    perdure.answer(perdure.get(f"/v1/events/{id}"), _tell_one)


def _tell_sent(answer: dict[str, Any]) -> None:
    for each in answer["items"]:
        line(out, f"{each['verdict']}  {each['id'] or '-'}  {each['event_id'] or ''}".rstrip())
        for problem in each["errors"]:
            told = f"  {problem['pointer']}: {problem['detail']} {problem['suggestion'] or ''}"
            line(out, told.rstrip())


def _tell_list(page: dict[str, Any]) -> None:
    listing(
        ("recorded at", "type", "source", "what it started", "id"),
        (
            (
                moment(each["recorded_at"]),
                each["type"],
                each["source"],
                _started(each),
                each["id"],
            )
            for each in page["items"]
        ),
        none="No event fits. `perdure events send` sends one.",
    )


def _tell_one(found: dict[str, Any]) -> None:
    facts(out, [(name, str(found[name])) for name in ("type", "source", "event_id", "recorded_at")])
    for each in found["routings"]:
        told = each["execution_id"] or each["reason"] or ""
        line(out, f"{each['verdict']}  {each['workflow']}: {each['trigger']}  {told}".rstrip())
    if (more := found.get("routings_count", 0) - len(found["routings"])) > 0:
        line(out, f"{more} more are not shown")
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
        event["data"] = json_option(data, "--data", """A text needs quotes: --data '"paid"'.""")
    return event


def _started(event: dict[str, Any]) -> str:
    told = [f"{each['workflow']} ({each['verdict']})" for each in event["routings"]]
    more = event.get("routings_count", 0) - len(told)
    return ", ".join([*told, f"{more} more"] if more > 0 else told) or "nothing"
