"""`tasks`: the inbox of a terminal: list, show, approve, reject, submit, claim, release, delegate, comment."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.given import json_option
from perdure.cli.output import emit, facts, line, listing, moment, out, state
from workers.devstack.errors import StackError

app = typer.Typer(help="What executions ask people.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The task's id.")]
Comment = Annotated[str | None, typer.Option("--comment", help="Shown to whoever reads the task.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", help="What the form asks for, in JSON; @FILE reads it from a file, - from standard input."
    ),
]
Digest = Annotated[
    str | None, typer.Option("--digest", help="Of the arguments you saw, as `show` tells; if it has some.")
]


@app.command("list")
@asking
def list_tasks(
    perdure: Client,
    *,
    status: Annotated[str, typer.Option(help="open, decided, cancelled, expired, or all.")] = "open",
    mine: Annotated[bool, typer.Option("--mine", help="Only what you may decide.")] = False,
    execution: Annotated[str | None, typer.Option(help="Only of this execution's id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
) -> None:
    """The newest tasks."""
    wanted = None if status == "all" else status
    page = perdure.get("/v1/tasks", status=wanted, mine=mine, execution_id=execution, limit=limit)
    perdure.answer(page["items"], _tell_list)


@app.command()
@asking
def show(perdure: Client, id: Id) -> None:
    """One task: what is asked, about what, with which form, and what happened to it."""
    task = perdure.get(f"/v1/tasks/{id}")
    events = list(perdure.pages(f"/v1/tasks/{id}/events"))
    if perdure.as_json:
        emit({"task": task, "events": events})
        return
    facts(out, _facts(task))
    for name in ("arguments", "form", "decision"):
        if task[name]:
            line(out, f"{name}:\n{json.dumps(task[name], indent=2, ensure_ascii=False)}")
    listing(("when", "what", "outcome", "comment"), (_happened(each) for each in events))


@app.command()
@asking
def approve(
    perdure: Client, id: Id, comment: Comment = None, data: Data = None, digest: Digest = None
) -> None:
    """Approve a task."""
    _decide(perdure, id, "approved", comment, data, digest)


@app.command()
@asking
def reject(
    perdure: Client, id: Id, comment: Comment = None, data: Data = None, digest: Digest = None
) -> None:
    """Reject a task."""
    _decide(perdure, id, "rejected", comment, data, digest)


@app.command()
@asking
def submit(
    perdure: Client, id: Id, comment: Comment = None, data: Data = None, digest: Digest = None
) -> None:
    """Answer a task whose form is filled in, with nothing to approve."""
    _decide(perdure, id, "submitted", comment, data, digest)


@app.command()
@asking
def claim(perdure: Client, id: Id) -> None:
    """Take a task upon yourself: nobody else decides it until you do, or release it."""
    _act(perdure, id, "claim", "It is yours.")


@app.command()
@asking
def release(perdure: Client, id: Id) -> None:
    """Give a task back to all candidates."""
    _act(perdure, id, "release", "It is everybody's again.")


@app.command()
@asking
def delegate(
    perdure: Client,
    id: Id,
    to: Annotated[str, typer.Argument(help="The member's e-mail address.")],
    comment: Comment = None,
) -> None:
    """Hand a task to a colleague who may decide it; they are told by mail."""
    _act(perdure, id, "delegate", f"{to} is asked now.", {"to": to, "comment": comment})


@app.command()
@asking
def comment(
    perdure: Client, id: Id, text: Annotated[str, typer.Argument(help="What there is to say.")]
) -> None:
    """Say something to whoever reads a task; it changes nothing about it."""
    _act(perdure, id, "comments", "It is noted.", {"comment": text})


def _decide(
    perdure: Client, id: str, outcome: str, comment: str | None, data: str | None, digest: str | None
) -> None:
    filled = None
    if data is not None:
        filled = json_option(data, "--data", """For example --data '{"risk": "low"}'.""")
    task = perdure.get(f"/v1/tasks/{id}")
    if task["kind"] == "form" and outcome != "submitted":
        raise StackError("This task has nothing to approve or reject.", f"Say `perdure tasks submit {id}`.")
    if task["kind"] != "form" and outcome == "submitted":
        raise StackError(
            "This task is approved or rejected.", f"Say `perdure tasks approve {id}`, or reject."
        )
    if task["arguments_digest"] and digest is None:
        raise StackError(
            "This task is about arguments, and a decision names those its sender saw.",
            f"`perdure tasks show {id}` shows them with their digest: add it as --digest.",
        )
    body = {"outcome": outcome, "comment": comment, "data": filled, "arguments_digest": digest}
    perdure.answer(perdure.post(f"/v1/tasks/{id}/decision", body), _tell_decided)


def _act(perdure: Client, id: str, word: str, told: str, body: Any = None) -> None:
    perdure.answer(perdure.post(f"/v1/tasks/{id}/{word}", body), lambda _: line(out, told))


def _tell_decided(task: dict[str, Any]) -> None:
    if task["status"] == "open":
        line(out, f"Your word counts; {task['quorum']} people have to approve.")
    else:
        line(out, f"“{task['title']}” is {task['outcome']}.")


def _tell_list(tasks: list[dict[str, Any]]) -> None:
    listing(
        ("id", "task", "status", "due", "for"),
        (
            (
                each["id"],
                each["title"],
                state(each["outcome"] or each["status"]),
                moment(each["due_at"], seconds=False) or "-",
                ", ".join(each["assignees"]) or "everybody",
            )
            for each in tasks
        ),
        none="No task fits.",
    )


def _facts(task: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "task", f"{task['title']} ({task['id']})"
    if task["description"]:
        yield "description", task["description"]
    yield "status", task["outcome"] or task["status"]
    if task["execution_id"]:
        yield "execution", f"{task['execution_id']}, step {task['step']}"
    yield "for", ", ".join(task["assignees"]) or "everybody who may decide tasks"
    if task["quorum"] > 1:
        yield "quorum", f"{task['quorum']} people approve"
    kept_away = ["who started the execution"] * task["four_eyes"]
    kept_away += [f"who decided “{step}”" for step in task["four_eyes_steps"]]
    if kept_away:
        yield "four eyes", f"not {', nor '.join(kept_away)}"
    for name in ("claimed_at", "due_at", "escalate_at", "escalated_at", "decided_at"):
        if task[name]:
            yield name.replace("_at", "").replace("_", " "), moment(task[name])
    if task["arguments_digest"]:
        yield "digest", task["arguments_digest"]


def _happened(event: dict[str, Any]) -> tuple[str, str, str, str]:
    to = f"to {event['about']['to']}" if event["about"].get("to") else ""
    said = ": ".join(filter(None, (to, event["comment"])))
    return moment(event["created_at"]), event["kind"], event["outcome"] or "", said
