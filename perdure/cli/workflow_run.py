"""`workflows run`: start what is published of a file's workflow, and follow it."""

import json
from typing import Annotated, Any

import typer

from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.executions import GOOD, events, tell
from perdure.cli.given import json_option
from perdure.cli.output import emit, err, line, out
from perdure.cli.workflow_files import read
from perdure.cli.workflow_stored import File, Workflow, find


@asking
def run(
    perdure: Client,
    *,
    file: File,
    workflow: Workflow = None,
    input: Annotated[
        str, typer.Option(help="JSON; @FILE reads it from a file, - from standard input.")
    ] = "{}",
    version: Annotated[int | None, typer.Option(min=1, help="The current one when absent.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Tell every change until the end.")
    ] = True,
) -> None:
    """Start the published version of a file's workflow and follow it. Exit 0 only if it completed."""
    given = json_option(input, "--input", """For example --input '{"order": 7}'.""")
    row = find(perdure, workflow or read(file).name)
    started = perdure.post(f"/v1/workflows/{row['id']}/executions", {"input": given, "version": version})
    if not perdure.as_json:
        line(err, f"Started {started['id']} (version {started['version']}).")
    execution = _followed(perdure, started["id"]) if follow else started
    if perdure.as_json:
        emit(execution)
    elif follow:
        line(out, json.dumps(execution["output"], indent=2, ensure_ascii=False))
    raise typer.Exit(0 if not follow or execution["status"] in GOOD else 1)


def _followed(perdure: Client, id: str) -> dict[str, Any]:
    for name, data in events(perdure.http, id):
        if not perdure.as_json:
            tell(err, name, data)
    execution: dict[str, Any] = perdure.get(f"/v1/executions/{id}")
    return execution
