"""`workflows pull`: a stored workflow into a file, with the comments and the order its author gave it."""

import json
from pathlib import Path
from typing import Any

from domain.definitions.diff.fields import same
from perdure.cli.api import Client
from perdure.cli.asking import asking
from perdure.cli.output import err, line, out
from perdure.cli.workflow_files import FIELDS, WorkflowFile, made, read, write
from perdure.cli.workflow_stored import File, Workflow, find
from workers.devstack.errors import StackError


@asking
def pull(perdure: Client, file: File, workflow: Workflow = None) -> None:
    """Write a stored workflow into a file; a file that says the same already is left as it is."""
    local = read(file) if file.exists() else None
    if local is None and workflow is None:
        raise StackError(f"{file} does not exist yet.", "Say which workflow: --workflow NAME or its id.")
    row = find(perdure, workflow or (local.name if local is not None else ""))
    source = perdure.get(f"/v1/workflows/{row['id']}/source")
    if source["is_written"] and _fits(file, source["text"]):
        text, revision = source["text"], source["revision"]
        is_same = local is not None and local.source == text
    else:
        text, revision = made(file, {name: row[name] for name in FIELDS}), row["revision"]
        is_same = local is not None and _says(local, row)
    if not is_same:
        write(file, text)
        _warn(file, local, row)
    done = {"id": row["id"], "file": str(file), "written": not is_same, "revision": revision}
    told = f"{file} {'is up to date' if is_same else 'is written'}: {row['name']}, revision {revision}."
    perdure.answer(done, lambda _: line(out, told))


def _fits(file: Path, text: str) -> bool:
    """A file that is called JSON holds JSON, whatever its author wrote."""
    if file.suffix != ".json":
        return True
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _says(local: WorkflowFile, row: dict[str, Any]) -> bool:
    if local.is_bare:
        return same(local.definition, row["definition"])
    return all(same(local.whole[name], row[name]) for name in FIELDS)


def _warn(file: Path, before: WorkflowFile | None, row: dict[str, Any]) -> None:
    now = read(file)
    if before is not None and before.is_bare and not now.is_bare:
        # What stands beside the definition has no place in a bare document: it becomes a whole file.
        line(err, f"{file} was a bare document and now holds the whole workflow.")
    if now.name != row["name"]:
        line(err, f"{file} does not say the workflow's name: push it with --workflow {row['id']}.")
