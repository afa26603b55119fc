"""`workflows push`: what a file says becomes the workflow's draft, and its text the draft's text."""

from typing import Annotated, Any, Final

import typer
from rich.text import Text

from domain.definitions.diff import Side, as_text, compare
from domain.definitions.diff.fields import same
from domain.definitions.drafts import keeping, places, text_of, values_of
from perdure.cli.api import Client, Refused
from perdure.cli.asking import asking
from perdure.cli.output import err, line, out
from perdure.cli.workflow_files import FIELDS, WorkflowFile, read
from perdure.cli.workflow_stored import File, Workflow, find, find_any
from workers.devstack.errors import StackError

_COMPARED: Final = ("definition", "triggers", "actions", "variables")
_OTHERS: Final = ("name", "description", "category", "is_template", "layout")
Revision = Annotated[
    int | None,
    typer.Option(
        "--revision", min=1, help="Only over this one, which `pull` told; refused over a later one."
    ),
]


@asking
def push(
    perdure: Client,
    *,
    file: File,
    workflow: Workflow = None,
    revision: Revision = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Make it the version that new executions run.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Store a file as the workflow's draft, created if there is none. Exit 1 when it has errors."""
    local = read(file)
    looked_for = find_any if workflow is None and revision is None else find
    row = looked_for(perdure, workflow or local.name)
    if revision is not None and row is not None and row["revision"] != revision:
        raise _overtaken(local, revision)
    told = _push(perdure, local, row, publish=publish, dry_run=dry_run)
    perdure.answer(told, lambda told: _tell(local, told, is_stored=not dry_run))
    raise typer.Exit(1 if any(each["severity"] == "error" for each in told["problems"]) else 0)


def _push(
    perdure: Client, local: WorkflowFile, row: dict[str, Any] | None, *, publish: bool, dry_run: bool
) -> dict[str, Any]:
    done: dict[str, Any] = {"id": None, "action": "create", "diff": None, "fields": [], "text": None}
    done |= {"problems": [], "version": None}
    after = local.whole
    if row is not None:
        source = perdure.get(f"/v1/workflows/{row['id']}/source")
        kept = keeping(row["layout"], source["text"] if source["is_written"] else None)
        after = {**row, **values_of(local.source, kept)}
        changes = compare(_side(row), _side(after))
        other = [name for name in _OTHERS if not same(_plain(after)[name], row[name])]
        if changes.is_empty and not other and _is_kept(after, local) and source["text"] != local.source:
            other = ["text"]
        action = "update" if other or not changes.is_empty else "none"
        done |= {"id": row["id"], "action": action, "diff": changes.as_json(), "fields": other}
        done |= {"text": as_text(changes)}
    if dry_run:
        candidate = {name: after[name] for name in _COMPARED}
        return done | {"problems": perdure.post("/v1/workflows/validate", candidate)["problems"]}
    if done["action"] != "none":
        saved = _create(perdure, local) if row is None else _change(perdure, local, row, after)
        done |= {"id": saved["id"], "problems": saved["problems"]}
    if publish and not any(each["severity"] == "error" for each in done["problems"]):
        done |= {"version": perdure.post(f"/v1/workflows/{done['id']}/publish")["number"]}
    return done


def _create(perdure: Client, local: WorkflowFile) -> dict[str, Any]:
    made: dict[str, Any] = perdure.post("/v1/workflows", local.whole)
    after = {**made, **values_of(local.source, made["layout"])}
    return _change(perdure, local, made, after) if _is_kept(after, local) else made


def _change(
    perdure: Client, local: WorkflowFile, row: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """Only if nobody has changed it since it was compared."""
    path, seen = f"/v1/workflows/{row['id']}", {"If-Match": f'"{row["revision"]}"'}
    try:
        if _is_kept(after, local):
            saved: dict[str, Any] = perdure.put(f"{path}/source", {"text": local.source}, seen)
        else:
            # A text that would not be shown again does not take the place of one that is.
            said = _plain(after)
            changed = {name: said[name] for name in FIELDS if not same(said[name], row[name])}
            saved = perdure.patch(path, changed, seen)
    except Refused as refusal:
        if refusal.code == "stale":
            raise _overtaken(local, row["revision"]) from None
        raise
    return saved


def _is_kept(after: dict[str, Any], local: WorkflowFile) -> bool:
    """Whether the draft's text would be the file's; not if it is too long, or bare where more belongs to it."""
    return text_of(after) == local.source


def _plain(draft: dict[str, Any]) -> dict[str, Any]:
    return {**draft, "layout": places(draft["layout"])}


def _side(parts: dict[str, Any]) -> Side:
    return Side(*(parts[name] for name in _COMPARED))


def _overtaken(local: WorkflowFile, seen: int) -> StackError:
    return StackError(
        f"Somebody has changed “{local.name}” meanwhile: its revision is {seen} no more. Nothing was stored.",
        f"`perdure workflows diff {local.path}` shows what is different; pull it to take theirs over, or push again "
        "without --revision to replace it.",
    )


def _tell(local: WorkflowFile, told: dict[str, Any], *, is_stored: bool) -> None:
    styles = {"+": "green", "-": "red", ">": "cyan", "=": "cyan", "~": "yellow"}
    if told["action"] == "update" and told["diff"]["changes"]:
        for each in told["text"].splitlines():
            out.print(Text(each, styles.get(each[:1], "")), soft_wrap=True)
    for name in told["fields"]:
        line(out, "~ comments or order changed" if name == "text" else f"~ {name} changed")
    for each in told["problems"]:
        row, column = local.locate(each["pointer"])
        text = f"{local.path}:{row}:{column}: {each['severity']} {each['detail']} {each['suggestion'] or ''}"
        line(err, text.rstrip())
    would = {"create": "would be new", "update": "would be changed", "none": "is up to date"}
    words = {"create": "is new", "update": "is changed", "none": "is up to date"} if is_stored else would
    line(out, f"{local.name} {words[told['action']]}: {told['id'] or 'not stored yet'}")
    if told["version"] is not None:
        line(out, f"Published as version {told['version']}.")
