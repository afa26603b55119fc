"""`executions rerun` and `executions explain`: what would happen again is shown before it does."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from perdure.cli.api import Api, Client, Key, client
from perdure.cli.executions import Id, app
from perdure.cli.output import AsJson, DataDir, emit, err, explained, line, out
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER


@app.command()
def explain(
    id: Id, api: Api = None, key: Key = None, data_dir: DataDir = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """In plain English: what it waits for, until when and what happens then; or why it ended."""
    with explained(as_json), client(api, key, data_dir) as perdure:
        found = perdure.get(f"/v1/executions/{id}/explain")
    if as_json:
        emit(found)
        return
    for sentence in (found["headline"], *found["more"]):
        line(out, sentence)


@app.command()
def rerun(
    *,
    id: Id,
    step: Annotated[
        str | None,
        typer.Option("--from", help="A step's name, pointer or occurrence; where it failed if left out."),
    ] = None,
    visit: Annotated[int | None, typer.Option(min=1, help="Which entry into the step; the latest.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would happen.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")] = False,
    irreversible: Annotated[
        bool, typer.Option("--irreversible", help="What happens again may be what cannot be undone.")
    ] = False,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Repeat an execution from a step on, after showing what happens again. Exit 1 where it cannot be done."""
    asked = {"from": step, "visit": visit}
    with explained(as_json), client(api, key, data_dir) as perdure:
        planned = perdure.post(f"/v1/executions/{id}/rerun-plan", asked)
        if plan and as_json:
            emit(planned)
        else:
            show(err if as_json else out, planned)
        if planned["refusals"]:
            raise typer.Exit(1)
        if plan:
            return
        _confirm(planned, yes=yes, irreversible=irreversible)
        _started(perdure, id, asked, planned, as_json=as_json)


def _confirm(planned: dict[str, Any], *, yes: bool, irreversible: bool) -> None:
    """Raises StackError where nobody can be asked."""
    asks = sys.stdin.isatty()
    if not yes:
        if not asks:
            raise StackError(
                "Nothing was started: nobody can be asked here.", "Add --yes to confirm the plan."
            )
        if not typer.confirm("Start it?", err=True):
            raise typer.Exit(1)
    if planned["has_irreversible"] and not irreversible:
        if yes or not asks:
            raise StackError(
                "Nothing was started: some of it cannot be undone.", "Add --irreversible if that is wanted."
            )
        if not typer.confirm("Some of it cannot be undone. Do it all the same?", err=True):
            raise typer.Exit(1)


def _started(
    perdure: Client, id: str, asked: dict[str, Any], planned: dict[str, Any], *, as_json: bool
) -> None:
    # From exactly where the plan says, whatever comes in between.
    body = {
        **asked,
        "from": planned["occurrence"],
        "visit": None,
        "confirm": planned["digest"],
        "confirm_irreversible": True,
    }
    # The digest is as good a key as any: confirming one plan twice starts one rerun.
    started = perdure.post(
        f"/v1/executions/{id}/rerun", body, {"Idempotency-Key": f"rerun-{planned['digest']}"}
    )
    if as_json:
        emit(started)
    else:
        line(out, f"Started {started['id']}; follow it with `perdure executions watch {started['id']}`.")


def show(console: Console, planned: dict[str, Any]) -> None:
    """The plan, for people."""
    line(console, f"From “{planned['step']}” ({planned['occurrence']}), version {planned['version']}.")
    line(console, f"{planned['answered_count']} steps before it are answered from the log.")
    if planned["effects"]:
        table = Table("again", "action", "effect", "certain", "times before")
        for each in planned["effects"]:
            effect = Text(each["effect"], style="red" if each["is_irreversible"] else "")
            certain = "begins again" if each["is_under_way"] else "yes" if each["is_certain"] else "perhaps"
            table.add_row(
                Text(each["step"]), Text(each["action"]), effect, certain, str(each["times_before"])
            )
        console.print(table)
    else:
        line(console, "Nothing of what follows touches the world outside.")
    if planned["undoes"]:
        steps = ", ".join(each["step"] for each in planned["undoes"])
        line(console, f"Should it not succeed, these are undone: {steps}.")
    if planned["reruns"]:
        line(console, f"It is repeated already by {', '.join(planned['reruns'])}.")
    for refusal in planned["refusals"]:
        line(console, f"Refused ({refusal['code']}): {refusal['message']}")
