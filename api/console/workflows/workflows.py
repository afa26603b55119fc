"""Workflows: the list, a new one, one with what it does and what starts it, and moving it in and out of service."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api import publishing
from api.auth import Caller
from api.choosing import Chosen, chosen, worked_out
from api.comparing import side
from api.console.frame.shell import PageRoute, Visit, Visitor
from api.console.workflows.head import NOTICES, About, drawing, plainly
from api.definitions import problems_in
from api.idempotency import Once
from api.pagination import Paging
from api.templates import Entry, entry_of
from api.triggers import Rotation, rotate_secret
from api.triggerviews import show_triggers
from api.workflows import NewWorkflow, create_workflow
from db.definitions import WorkflowFilters, Workflows
from db.executions import Executions
from db.gallery import Gallery
from db.secrets import Secrets
from db.triggers import Triggers
from db.underway import MANY, under_way
from domain.definitions.diff import compare
from domain.definitions.explain import explain
from domain.definitions.lifecycle import DefinitionStatus
from domain.errors import DomainError, Invalid, NotFound
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: What a new workflow begins with: it can be published as it is, and shows where things go.
SKELETON: Final = """\
# What an execution begins with; the form that starts one is drawn from this.
input:
  schema:
    document:
      type: object
      required: [name]
      properties:
        name: {type: string, title: Name, minLength: 1}

# The steps, carried out from top to bottom. Below the text, "What can stand here" tells what they can do.
do:
  - Greet:
      set:
        greeting: ${ "Hello " + .name }
"""
LATEST: Final = 5


@router.get("/workflows")
async def workflows(
    visitor: Visitor,
    paging: Paging,
    q: Annotated[str, Query(max_length=200)] = "",
    status: str = "",
) -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    state = status if status in set(DefinitionStatus) else None
    async with visitor.transaction() as tx:
        filters = WorkflowFilters(state, None, q.strip() or None)
        rows = await Workflows(tx).page(filters, before=paging.before, limit=paging.fetch)
    page = paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)
    asked = {name: value for name, value in (("q", q), ("status", state or "")) if value}
    cursor = page["next_cursor"]
    return visitor.render(
        "workflows/workflows.html",
        rows=page["items"],
        next=f"/workflows?{urlencode({**asked, 'cursor': cursor})}" if cursor else None,
        filtered=bool(asked),
        q=q,
        chosen=state,
        statuses=[each.value for each in DefinitionStatus],
        may_write=visitor.may(Permission.WORKFLOWS_WRITE),
        may_start=visitor.may(Permission.EXECUTIONS_START),
    )


@router.get("/workflows/new")
async def new(visitor: Visitor) -> Response:
    visitor.require(Permission.WORKFLOWS_WRITE)
    return visitor.render("workflows/workflow_new.html", name="", description="")


@router.post("/workflows/new")
async def create(visitor: Visitor) -> Response:
    visitor.require(Permission.WORKFLOWS_WRITE)
    form = await visitor.form()
    name, description = form.get("name", "").strip(), form.get("description", "").strip()
    try:
        if not 0 < len(name) <= 200 or len(description) > 4_000:
            raise Invalid("Give it a name of up to 200 characters, and say in up to 4 000 what it is for.")
        body = NewWorkflow(name=name, description=description or None, definition=SKELETON)
        answer = await create_workflow(visitor.caller, visitor.parts, plainly(visitor), body)
    except DomainError as refusal:
        return visitor.refuse("workflows/workflow_new.html", refusal, name=name, description=description)
    return visitor.to(f"/workflows/{orjson.loads(answer.body)['id']}/edit", done="created")


@router.get("/workflows/{id}")
async def workflow(visitor: Visitor, id: UUID, done: str = "") -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    return await _overview(visitor, id, notice=NOTICES.get(done))


@router.post("/workflows/{id}/details")
async def details(visitor: Visitor, id: UUID) -> Response:
    """Name and description, without touching what runs."""
    visitor.require(Permission.WORKFLOWS_WRITE)
    form = await visitor.form()
    name, description = form.get("name", "").strip(), form.get("description", "").strip()
    category = form.get("category", "").strip()
    try:
        if not 0 < len(name) <= 200 or len(description) > 4_000 or len(category) > 200:
            raise Invalid("A name has 1 to 200 characters, a description up to 4 000, a category up to 200.")
        values = {"name": name, "description": description or None, "category": category or None}
        async with visitor.transaction() as tx:
            await Workflows(tx).change(id, values, revision=_revision(form.get("revision", "")))
    except DomainError as refusal:
        return await _overview(visitor, id, refusal=refusal, typed=form)
    return visitor.to(f"/workflows/{id}", done="saved")


@router.post("/workflows/{id}/publish")
async def publish(visitor: Visitor, id: UUID) -> Response:
    visitor.require(Permission.WORKFLOWS_PUBLISH)
    await visitor.form()
    try:
        answer = await publishing.publish_workflow(visitor.caller, visitor.parts, plainly(visitor), id)
    except Invalid as refusal:
        return await _overview(visitor, id, refusal=refusal)
    return visitor.to(f"/workflows/{id}", done="published" if answer.status_code == 201 else "unchanged")


@router.post("/workflows/{id}/pause")
async def pause(visitor: Visitor, id: UUID) -> Response:
    return await _move(visitor, id, publishing.pause_workflow, "paused")


@router.post("/workflows/{id}/resume")
async def resume(visitor: Visitor, id: UUID) -> Response:
    return await _move(visitor, id, publishing.resume_workflow, "resumed")


@router.post("/workflows/{id}/archive")
async def archive(visitor: Visitor, id: UUID) -> Response:
    if (await visitor.form()).get("sure") != "yes":
        return await _overview(visitor, id, refusal=Invalid("Archiving is for good: say that you are sure."))
    return await _move(visitor, id, publishing.archive_workflow, "archived")


@router.post("/workflows/{id}/triggers/{trigger_id}/secret")
async def give_secret(visitor: Visitor, id: UUID, trigger_id: UUID) -> Response:
    """Sets what a webhook's requests are proven by. What is made here is in this answer and nowhere else again."""
    visitor.require(Permission.WORKFLOWS_READ, Permission.TRIGGERS_WRITE)
    form = await visitor.form()
    try:
        asked = Rotation(secret=form.get("secret", "").strip()[:512] or None)
        answer = await rotate_secret(visitor.caller, visitor.parts, plainly(visitor), trigger_id, asked)
    except DomainError as refusal:
        return await _overview(visitor, id, refusal=refusal)
    return await _overview(visitor, id, notice=NOTICES["secret"], made=orjson.loads(answer.body))


async def _move(
    visitor: Visit, id: UUID, carry_out: Callable[[Caller, Once, UUID], Awaitable[Response]], done: str
) -> Response:
    visitor.require(Permission.WORKFLOWS_PUBLISH)
    await visitor.form()
    try:
        await carry_out(visitor.caller, plainly(visitor), id)
    except DomainError as refusal:
        return await _overview(visitor, id, refusal=refusal)
    return visitor.to(f"/workflows/{id}", done=done)


async def _overview(
    visitor: Visit,
    id: UUID,
    *,
    notice: str | None = None,
    refusal: DomainError | None = None,
    made: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response:
    """`made` is a secret that is shown this once, `typed` are details that were refused."""
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        draft = await chosen(tx, id, None)
        running = draft if about.current is None else await chosen(tx, id, about.current)
        known = await Secrets(tx).names()
        triggers: Any = []
        if visitor.may(Permission.TRIGGERS_READ):
            rows = [each for each in await Triggers(tx).of_workflow(id) if each["is_active"]]
            may_see = visitor.may(Permission.TRIGGERS_WRITE)
            triggers = await show_triggers(tx, visitor.parts, rows, with_urls=may_see)
        executions = await _latest(tx, visitor, id)
        staying = await staying_of(tx, visitor, id)
        template = await _template(tx, visitor, about.row["template_id"])
    problems = await problems_in(visitor.parts.catalogue, dict(about.row), known)
    unpublished = about.current is None or await worked_out(_differ, visitor, running, draft)
    values: dict[str, Any] = {
        "about": about,
        "here": about.path,
        "problems": [each for each in problems if each.severity == "error"],
        "unpublished": unpublished,
        "svg": await worked_out(
            drawing,
            running.definition,
            running.title,
            running.layout,
            actions=running.actions,
            calls=running.calls,
        ),
        "told": await worked_out(_told, visitor, running),
        "triggers": triggers,
        "executions": executions,
        "staying": sum(staying.values()),
        "many": MANY,
        "made": made,
        "typed": typed,
        "may_write_triggers": visitor.may(Permission.TRIGGERS_WRITE),
        "made_from": template,
    }
    if refusal is not None:
        return visitor.refuse("workflows/workflow.html", refusal, **values)
    return visitor.render("workflows/workflow.html", notice=notice, **values)


async def staying_of(tx: AsyncConnection, visitor: Visit, id: UUID) -> Mapping[int, int]:
    """Executions under way by version; none for whoever may not read executions."""
    return await under_way(tx, id) if visitor.may(Permission.EXECUTIONS_READ) else {}


async def _latest(tx: AsyncConnection, visitor: Visit, id: UUID) -> Any:
    if not visitor.may(Permission.EXECUTIONS_READ):
        return []
    return (await Executions(tx).page(limit=LATEST, before=None, workflow_id=id))[:LATEST]


async def _template(tx: AsyncConnection, visitor: Visit, id: UUID | None) -> Entry | None:
    """The template it was made from, where that can still be seen."""
    slug = None if id is None else (await Gallery(tx).slugs([id])).get(id)
    if slug is None:
        return None
    with suppress(NotFound):
        return await entry_of(tx, visitor.caller, slug)
    return None


def _differ(visitor: Visit, running: Chosen, draft: Chosen) -> bool:
    catalogue = visitor.parts.catalogue
    return not compare(side(running, draft, catalogue), side(draft, running, catalogue)).is_empty


def _told(visitor: Visit, running: Chosen) -> Any:
    try:
        return explain(
            running.definition,
            title=running.title,
            triggers=running.triggers,
            actions=running.actions,
            calls=running.calls,
            catalogue=visitor.parts.catalogue,
        )
    except Invalid:
        return None


def _revision(text: str) -> int:
    """A form without one is not ours; nobody's change may be overwritten by it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
