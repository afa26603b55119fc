"""The stored workflow that a file or an option names."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from perdure.cli.api import Client
from workers.devstack.errors import StackError

File = Annotated[Path, typer.Argument(help="A workflow as YAML or JSON.")]
Workflow = Annotated[
    str | None,
    typer.Option("--workflow", help="Id or name of the stored workflow; the file's name when absent."),
]


def find(perdure: Client, wanted: str) -> dict[str, Any]:
    """The stored workflow of this id or name. Raises StackError for none or several."""
    found = find_any(perdure, wanted)
    if found is None:
        raise StackError(f"No workflow is called “{wanted}”.", "Push it first, or say which with --workflow.")
    return found


def find_any(perdure: Client, wanted: str) -> dict[str, Any] | None:
    """The same; None where none has this name."""
    if _is_id(wanted):
        return _stored(perdure, wanted)
    listed = perdure.pages("/v1/workflows", q=wanted)
    named = [each for each in listed if each["name"] == wanted and each["status"] != "archived"]
    if len(named) > 1:
        ids = ", ".join(each["id"] for each in named[:5])
        raise StackError(
            f"{len(named)} workflows are called “{wanted}”.", f"Say which: --workflow ID, of {ids}."
        )
    return _stored(perdure, named[0]["id"]) if named else None


def _stored(perdure: Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = perdure.get(f"/v1/workflows/{id}")
    return found


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
