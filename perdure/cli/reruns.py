"""`executions rerun` and `executions explain`: what would happen again is shown before it does."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from domain.definitions.phrases import counted
from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.executions import Id, app
from perdure.cli.given import agreed
from perdure.cli.output import emit, err, line, listing, out
from workers.devstack.errors import StackError

Irreversible = Annotated[
    bool, typer.Option("--irreversible", help="What happens again may be what cannot be undone.")
]


@app.command()
@asking
def explain(perdure: Client, id: Id) -> None:
    """In plain English: what it waits for, until when and what happens then; or why it ended."""
    perdure.answer(perdure.get(f"/v1/executions/{id}/explain"), _tell_why)


@app.command()
@asking
def rerun(
    perdure: Client,
    *,
    id: Id,
    step: Annotated[
        str | None,
        typer.Option("--from", help="A step's name, pointer or occurrence; where it failed if left out."),
    ] = None,
    visit: Annotated[int | None, typer.Option(min=1, help="Which entry into the step; the latest.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would happen.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")] = False,
    irreversible: Irreversible = False,
) -> None:
    """Repeat an execution from a step on, after showing what happens again. Exit 1 where it cannot be done."""
    asked = {"from": step, "visit": visit}
    planned = perdure.post(f"/v1/executions/{id}/rerun-plan", asked)
    if plan and perdure.as_json:
        emit(planned)
    else:
        show(err if perdure.as_json else out, planned)
    if planned["refusals"]:
        raise typer.Exit(1)
    if plan:
        return
    _confirm(planned, yes=yes, irreversible=irreversible)
    _started(perdure, id, asked, planned)


def _confirm(planned: dict[str, Any], *, yes: bool, irreversible: bool) -> None:
    """Raises StackError where nobody can be asked."""
    if not yes:
        nobody = "Nothing was started: nobody can be asked here."
        agreed("Start it?", StackError(nobody, "Add --yes to confirm the plan."))
    if planned["has_irreversible"] and not irreversible:
        held = StackError(
            "Nothing was started: some of it cannot be undone.", "Add --irreversible if that is wanted."
        )
        if yes:
            raise held
        agreed("Some of it cannot be undone. Do it all the same?", held)


def _started(perdure: Client, id: str, asked: dict[str, Any], planned: dict[str, Any]) -> None:
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
    told = f"Started {started['id']}; follow it with `perdure executions watch {started['id']}`."
    perdure.answer(started, lambda _: line(out, told))


def _tell_why(found: dict[str, Any]) -> None:
    for sentence in (found["headline"], *found["more"]):
        line(out, sentence)


def show(console: Console, planned: dict[str, Any]) -> None:
    """The plan, for people."""
    line(console, f"From “{planned['step']}” ({planned['occurrence']}), version {planned['version']}.")
    before = planned["answered_count"]
    line(
        console,
        f"{counted(before, 'step')} before it {'is' if before == 1 else 'are'} answered from the log.",
    )
    if planned["effects"]:
        rows = (
            (
                each["step"],
                each["action"],
                Text(each["effect"], style="red" if each["is_irreversible"] else ""),
                "begins again" if each["is_under_way"] else "yes" if each["is_certain"] else "perhaps",
                str(each["times_before"]),
            )
            for each in planned["effects"]
        )
        listing(("again", "action", "effect", "certain", "times before"), rows, to=console)
    else:
        line(console, "Nothing of what follows touches the world outside.")
    if planned["undoes"]:
        steps = ", ".join(each["step"] for each in planned["undoes"])
        line(console, f"Should it not succeed, these are undone: {steps}.")
    if planned["reruns"]:
        line(console, f"It is repeated already by {', '.join(planned['reruns'])}.")
    for refusal in planned["refusals"]:
        line(console, f"Refused ({refusal['code']}): {refusal['message']}")
