"""The gallery: templates to begin with, one as it is drawn and told, and the form that makes a workflow of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import ValidationError

from api.choosing import worked_out
from api.console.frame.shell import PageRoute, Visit, Visitor
from api.console.workflows.head import drawing, unnamed
from api.templates import Entry, Filling, entries, entry_of, instantiate
from db.definitions import WorkflowFilters
from domain.definitions.explain import explain
from domain.errors import DomainError, Invalid
from domain.forms import Filled, Form, filled_with, form_of, read
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/templates")
async def gallery(visitor: Visitor, q: Annotated[str, Query(max_length=200)] = "") -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        found = await entries(tx, visitor.caller, WorkflowFilters(q=q.strip() or None))
    cards = [{**entry.summary(), "svg": unnamed(await worked_out(_drawn, entry))} for entry in found]
    return visitor.render("workflows/gallery.html", cards=cards, q=q)


@router.get("/templates/{slug}")
async def template(visitor: Visitor, slug: str) -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        entry = await entry_of(tx, visitor.caller, slug)
    form = await worked_out(form_of, entry.form, zone=visitor.zone)
    return await _page(visitor, entry, form, filled_with(form), name=entry.parts["name"])


@router.post("/templates/{slug}/instantiate")
async def use(visitor: Visitor, slug: str) -> Response:
    visitor.require(Permission.WORKFLOWS_WRITE)
    sent = await visitor.form()
    async with visitor.transaction() as tx:
        entry = await entry_of(tx, visitor.caller, slug)
    form = await worked_out(form_of, entry.form, zone=visitor.zone)
    filled = await worked_out(read, form, sent.lists())
    name = sent.get("workflow_name", "").strip()
    if not filled.is_complete:
        return await _page(visitor, entry, form, filled, name=name, status=422 if filled.problems else 200)
    try:
        async with visitor.transaction() as tx:
            row = await instantiate(tx, visitor.caller, slug, _filling(name, filled))
    except DomainError as refusal:
        return await _page(visitor, entry, form, filled, name=name, refusal=refusal)
    return visitor.to(f"/workflows/{row['id']}", done="instantiated")


def _filling(name: str, filled: Filled) -> Filling:
    try:
        return Filling.model_validate({"name": name, "variables": filled.value or {}})
    except ValidationError:
        raise Invalid("Give the workflow a name of up to 200 characters.") from None


async def _page(
    visitor: Visit,
    entry: Entry,
    form: Form,
    filled: Filled,
    *,
    name: str,
    status: int = 200,
    refusal: DomainError | None = None,
) -> Response:
    values: dict[str, Any] = {
        "entry": entry,
        "summary": entry.summary(),
        "name": name,
        "form": form,
        "filled": filled,
        "svg": await worked_out(_drawn, entry),
        "told": await worked_out(_told, visitor, entry),
        "text": entry.text,
        "may_write": visitor.may(Permission.WORKFLOWS_WRITE),
    }
    if refusal is not None:
        return visitor.refuse("workflows/template.html", refusal, **values)
    return visitor.render("workflows/template.html", status, **values)


def _drawn(entry: Entry) -> str:
    parts = entry.parts
    return drawing(parts["definition"], parts["name"], parts["layout"], actions=parts["actions"])


def _told(visitor: Visit, entry: Entry) -> Any:
    parts = entry.parts
    return explain(
        parts["definition"],
        title=parts["name"],
        triggers=parts["triggers"],
        actions=parts["actions"],
        catalogue=visitor.parts.catalogue,
    )
