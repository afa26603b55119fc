"""The editor of a definition: a text area that works by itself, and a module that marks problems while one writes.

What is saved names the revision it was read at: when a colleague was faster nothing is overwritten and nothing lost.
"""

from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Response

from api import publishing
from api.choosing import Chosen, chosen, worked_out
from api.comparing import side
from api.console.frame.jsonview import json_view
from api.console.frame.shell import PageRoute, Sent, Visit, Visitor
from api.console.workflows.head import NOTICES, About, plainly
from api.errors import status_of
from api.previews import PreviewView, preview
from api.sources import save_source
from db.secrets import Secrets
from domain.definitions import files
from domain.definitions.diff import Change, compare
from domain.definitions.drafts import text_of
from domain.errors import DomainError, Invalid, Stale
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)
TEMPLATE: Final = "workflows/editor.html"
CHECKED: Final = "Checked: there is nothing wrong with it."


@router.get("/workflows/{id}/edit")
async def edit(visitor: Visitor, id: UUID, done: str = "") -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
    text = await worked_out(text_of, dict(about.row))
    return await _editor(visitor, about, text, about.row["revision"], notice=NOTICES.get(done))


@router.post("/workflows/{id}/edit")
async def keep(visitor: Visitor, id: UUID) -> Response:
    """`act` is check, save or publish; `revision` is the one the text was read at."""
    visitor.require(Permission.WORKFLOWS_WRITE)
    form = await visitor.form()
    text, seen, act = _text(form), _revision(form), form.get("act", "check")
    unsaved = True
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
    if act == "check":
        return await _editor(visitor, about, text, seen, checked=True, unsaved=unsaved)
    try:
        saved = await save_source(visitor.caller, visitor.parts, id, seen, text)
        if act != "publish":
            return visitor.to(f"{about.path}/edit", done="saved")
        seen, unsaved = saved["revision"], False
        visitor.require(Permission.WORKFLOWS_PUBLISH)
        done = await publishing.publish_workflow(visitor.caller, visitor.parts, plainly(visitor), id)
    except Stale:
        return await _overtaken(visitor, id, text)
    except DomainError as refusal:
        # Whatever was saved before publishing was refused is the newest now.
        return await _editor(visitor, about, text, seen, refusal=refusal, unsaved=unsaved)
    return visitor.to(about.path, done="published" if done.status_code == 201 else "unchanged")


async def _overtaken(visitor: Visit, id: UUID, text: str) -> Response:
    """A colleague was faster: their draft beside this text, which may be saved over it knowingly."""
    changes: tuple[Change, ...] = ()
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        stored = await chosen(tx, id, None)
    # What is no workflow yet cannot be compared; both texts are shown all the same.
    with suppress(Invalid):
        changes = await worked_out(_differences, visitor, stored, text)
    theirs = await worked_out(text_of, dict(about.row))
    return await _editor(
        visitor,
        about,
        text,
        about.row["revision"],
        status=status_of(Stale()),
        theirs=theirs,
        changes=changes,
        unsaved=True,
    )


def _differences(visitor: Visit, stored: Chosen, text: str) -> tuple[Change, ...]:
    """What the text would change in the draft that is stored now."""
    said = files.read(text)
    mine = Chosen(
        stored.name,
        said.definition,
        stored.layout,
        *(said.parts.get(name, files.FIELDS[name]) for name in ("triggers", "actions", "variables")),
    )
    catalogue = visitor.parts.catalogue
    return compare(side(stored, mine, catalogue), side(mine, stored, catalogue)).changes


async def _editor(
    visitor: Visit,
    about: About,
    text: str,
    revision: int,
    *,
    status: int = 200,
    refusal: DomainError | None = None,
    notice: str | None = None,
    checked: bool = False,
    **values: Any,
) -> Response:
    shown = await _preview(visitor, about, text)
    shared = {
        "json_view": json_view,
        "theirs": None,
        "unsaved": False,
        "changes": (),
        **values,
        "about": about,
        "here": f"{about.path}/edit",
        "text": text,
        "revision": revision,
        "preview": shown,
        "actions": list(visitor.parts.catalogue),
        "lines": text.count("\n") + 1,
    }
    if refusal is not None:
        return visitor.refuse(TEMPLATE, refusal, **shared)
    told = CHECKED if checked and not shown.problems else notice
    return visitor.render(TEMPLATE, status, notice=told, **shared)


async def _preview(visitor: Visit, about: About, text: str) -> PreviewView:
    async with visitor.transaction() as tx:
        known = await Secrets(tx).names()
    return await worked_out(preview, text, about.row["layout"], visitor.parts.catalogue, known)


def _text(form: Sent) -> str:
    """Browsers send line ends as CRLF, whatever the text area showed."""
    return form.get("text", "").replace("\r\n", "\n")


def _revision(form: Sent) -> int:
    text = form.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
