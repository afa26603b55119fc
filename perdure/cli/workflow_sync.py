"""Files and the server: push what the file says, pull what is stored, start and follow an execution."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer
from rich.text import Text

from domain.definitions.diff import Side, as_text, compare
from domain.definitions.diff.fields import same
from perdure.cli.api import Api, Client, Key, client
from perdure.cli.executions import GOOD, events, tell
from perdure.cli.output import AsJson, DataDir, emit, err, explained, line, out
from perdure.cli.workflow_files import FIELDS, WorkflowFile, read, write
from workers.devstack.errors import StackError
from workers.devstack.stack import DEFAULT_FOLDER

File = Annotated[Path, typer.Argument(help="A workflow as YAML or JSON.")]
Workflow = Annotated[
    str | None,
    typer.Option("--workflow", help="Id or name of the stored workflow; the file's name when absent."),
]


def push(
    *,
    file: File,
    workflow: Workflow = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Make it the version that new executions run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Store a file as the workflow's draft, created if there is none. Exit 1 when it has errors."""
    with explained(as_json):
        local = read(file)
        with client(api, key, data_dir) as perdure:
            row = find(perdure, workflow or local.name, missing_is_fine=workflow is None)
            told = _push(perdure, local, row, publish=publish, dry_run=dry_run)
    if as_json:
        emit(told)
    else:
        _tell_pushed(local, told)
    raise typer.Exit(1 if any(each["severity"] == "error" for each in told["problems"]) else 0)


def pull(
    *,
    file: File,
    workflow: Workflow = None,
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Write a stored workflow into a file; a file that says the same already is left as it is."""
    with explained(as_json):
        local = read(file) if file.exists() else None
        if local is None and workflow is None:
            raise StackError(f"{file} does not exist yet.", "Say which workflow: --workflow NAME or its id.")
        with client(api, key, data_dir) as perdure:
            row = find(perdure, workflow or (local.name if local is not None else ""))
        assert row is not None
        parts = {name: row[name] for name in FIELDS}
        is_same = local is not None and _says(local, parts)
        if not is_same:
            _write(file, parts, local)
    if as_json:
        emit({"id": row["id"], "file": str(file), "written": not is_same, "revision": row["revision"]})
    else:
        line(
            out,
            f"{file} {'is up to date' if is_same else 'is written'}: {row['name']}, revision {row['revision']}.",
        )


def run(
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
    api: Api = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Start the published version of a file's workflow and follow it. Exit 0 only if it completed."""
    with explained(as_json):
        body = {"input": _input(input), "version": version}
        with client(api, key, data_dir) as perdure:
            row = find(perdure, workflow or read(file).name)
            assert row is not None
            started = perdure.post(f"/v1/workflows/{row['id']}/executions", body)
            if not as_json:
                line(err, f"Started {started['id']} (version {started['version']}).")
            execution = _followed(perdure, started["id"], as_json) if follow else started
    if as_json:
        emit(execution)
    elif follow:
        line(out, json.dumps(execution["output"], indent=2, ensure_ascii=False))
    raise typer.Exit(0 if not follow or execution["status"] in GOOD else 1)


def find(perdure: Client, wanted: str, *, missing_is_fine: bool = False) -> dict[str, Any] | None:
    """The stored workflow of this id or name. Raises StackError for none or several."""
    if _is_id(wanted):
        return _stored(perdure, wanted)
    named, cursor = [], None
    while True:
        page = perdure.get("/v1/workflows", q=wanted, limit=100, cursor=cursor)
        named += [each for each in page["items"] if each["name"] == wanted and each["status"] != "archived"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if len(named) > 1:
        ids = ", ".join(each["id"] for each in named[:5])
        raise StackError(
            f"{len(named)} workflows are called “{wanted}”.", f"Say which: --workflow ID, of {ids}."
        )
    if named:
        return _stored(perdure, named[0]["id"])
    if missing_is_fine:
        return None
    raise StackError(f"No workflow is called “{wanted}”.", "Push it first, or say which with --workflow.")


def _stored(perdure: Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = perdure.get(f"/v1/workflows/{id}")
    return found


def stored(perdure: Client, local: WorkflowFile, workflow: str | None) -> dict[str, Any]:
    found = find(perdure, workflow or local.name)
    assert found is not None
    return found


def _push(
    perdure: Client, local: WorkflowFile, row: dict[str, Any] | None, *, publish: bool, dry_run: bool
) -> dict[str, Any]:
    changes = compare(_side(row, local), _side(local.whole, local)) if row is not None else None
    other = [] if row is None else _other_fields(local, row)
    is_same = changes is not None and changes.is_empty and not other
    done = {
        "id": None if row is None else row["id"],
        "action": "create" if row is None else "none" if is_same else "update",
        "diff": None if changes is None else changes.as_json(),
        "fields": other,
        "text": None if changes is None else as_text(changes),
        "problems": [],
        "version": None,
    }
    saved = row
    if dry_run:
        candidate = {name: local.whole[name] for name in ("definition", "triggers", "actions", "variables")}
        return done | {"problems": perdure.post("/v1/workflows/validate", candidate)["problems"]}
    if row is None:
        saved = perdure.post("/v1/workflows", local.whole)
    elif not is_same:
        saved = _update(perdure, local, row)
    assert saved is not None
    done |= {"id": saved["id"], "problems": saved.get("problems", [])}
    if publish and not any(each["severity"] == "error" for each in done["problems"]):
        version = perdure.post(f"/v1/workflows/{saved['id']}/publish")
        done |= {"version": version["number"]}
    return done


def _update(perdure: Client, local: WorkflowFile, row: dict[str, Any]) -> dict[str, Any]:
    """Only if nobody has changed it since it was compared. A bare document changes the definition alone."""
    path, seen = f"/v1/workflows/{quote(row['id'])}", {"If-Match": f'"{row["revision"]}"'}
    if local.is_bare:
        saved: dict[str, Any] = perdure.patch(path, {"definition": local.definition}, seen)
    else:
        saved = perdure.put(path, local.whole, seen)
    return saved


def _side(parts: dict[str, Any] | None, local: WorkflowFile) -> Side:
    assert parts is not None
    if local.is_bare:
        return Side(parts["definition"])
    return Side(parts["definition"], parts["triggers"], parts["actions"], parts["variables"])


def _other_fields(local: WorkflowFile, row: dict[str, Any]) -> list[str]:
    """Names of the fields besides those that are compared by structure."""
    if local.is_bare:
        return []
    names = ("name", "description", "category", "is_template", "layout")
    return [name for name in names if not same(local.whole[name], row[name])]


def _says(local: WorkflowFile, parts: dict[str, Any]) -> bool:
    if local.is_bare:
        return same(local.definition, parts["definition"])
    return all(same(local.whole[name], parts[name]) for name in FIELDS)


def _write(file: Path, parts: dict[str, Any], local: WorkflowFile | None) -> None:
    if local is not None and local.is_bare:
        # What stands beside the definition has no place in a bare document: it becomes a whole file.
        line(err, f"{file} was a bare document and now holds the whole workflow.")
    try:
        write(file, parts)
    except OSError as error:
        raise StackError(f"{file} cannot be written: {error.strerror}.", "Name another file.") from None


def _followed(perdure: Client, id: str, as_json: bool) -> dict[str, Any]:
    for name, data in events(perdure.http, id):
        if not as_json:
            tell(err, name, data)
    execution: dict[str, Any] = perdure.get(f"/v1/executions/{id}")
    return execution


def _input(given: str) -> Any:
    try:
        if given == "-":
            text = sys.stdin.read()
        else:
            text = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
        return json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{given[1:]} cannot be read: {error}.", "Name a file: --input @FILE.") from None
    except json.JSONDecodeError as error:
        raise StackError(
            f"--input is not JSON: {error}.", """For example --input '{"order": 7}'."""
        ) from None


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _tell_pushed(local: WorkflowFile, told: dict[str, Any]) -> None:
    styles = {"+": "green", "-": "red", ">": "cyan", "=": "cyan", "~": "yellow"}
    if told["action"] == "update":
        for each in (told["text"] or "").splitlines():
            out.print(Text(each, styles.get(each[:1], "")), soft_wrap=True)
        for name in told["fields"]:
            line(out, f"~ {name} changed")
    for each in told["problems"]:
        row, column = local.locate(each["pointer"])
        text = f"{local.path}:{row}:{column}: {each['severity']} {each['detail']} {each['suggestion'] or ''}"
        line(err, text.rstrip())
    words = {"create": "is new", "update": "is changed", "none": "is up to date"}
    line(out, f"{local.name} {words[told['action']]}: {told['id'] or 'not stored yet'}")
    if told["version"] is not None:
        line(out, f"Published as version {told['version']}.")
