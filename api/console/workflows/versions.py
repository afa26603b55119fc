"""Versions: what was published when and by whom, one as it is frozen, and what two of them differ in."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from api.choosing import Chosen, chosen, worked_out
from api.comparing import side
from api.console.frame.jsonview import json_view
from api.console.frame.shell import PageRoute, Visitor
from api.console.workflows.head import About, drawing
from api.console.workflows.workflows import staying_of
from api.pagination import Paging
from db.definitions import Versions
from db.people import names_of
from db.underway import MANY
from domain.definitions.diff import Diff, compare
from domain.definitions.files import as_text
from domain.definitions.writing_order import in_order
from domain.errors import NotFound
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Number = Annotated[int, Path(ge=1, lt=2**31)]
#: What `from` and `to` call the draft.
DRAFT = "draft"


@router.get("/workflows/{id}/versions")
async def versions(visitor: Visitor, id: UUID, paging: Paging) -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        rows = await Versions(tx).page(id, before=paging.before, limit=paging.fetch)
        people = await names_of(tx, {row["published_by"] for row in rows if row["published_by"]})
        staying = await staying_of(tx, visitor, id)
    page = paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)
    cursor = page["next_cursor"]
    return visitor.render(
        "workflows/versions.html",
        about=about,
        here=f"{about.path}/versions",
        rows=page["items"],
        people=people,
        staying=staying,
        many=MANY,
        next=f"{about.path}/versions?cursor={cursor}" if cursor else None,
    )


@router.get("/workflows/{id}/versions/{number}")
async def version(visitor: Visitor, id: UUID, number: Number) -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        frozen = await chosen(tx, id, number)
        row = await Versions(tx).get(id, number)
        people = await names_of(tx, {row["published_by"]} - {None})
    return visitor.render(
        "workflows/version.html",
        about=about,
        here=f"{about.path}/versions",
        version=row,
        by=people.get(row["published_by"]),
        text=await worked_out(as_text, in_order(frozen.definition)),
        svg=await worked_out(drawing, frozen.definition, frozen.title, frozen.layout, calls=frozen.calls),
    )


@router.get("/workflows/{id}/compare")
async def comparison(
    visitor: Visitor,
    id: UUID,
    before: Annotated[str, Query(alias="from", max_length=20)] = "",
    after: Annotated[str, Query(alias="to", max_length=20)] = DRAFT,
) -> Response:
    """Without `from` the current version; what was never published is compared with nothing."""
    visitor.require(Permission.WORKFLOWS_READ)
    async with visitor.transaction() as tx:
        about = await About.read(tx, visitor, id)
        numbers = [row["number"] for row in await Versions(tx).page(id, before=None, limit=200)]
        first = before or str(about.current or DRAFT)
        old, new = await _side(tx, id, first), await _side(tx, id, after)
    found = await worked_out(_compared, visitor, old, new)
    return visitor.render(
        "workflows/compare.html",
        about=about,
        here=f"{about.path}/versions",
        choices=[DRAFT, *map(str, numbers)],
        before=first,
        after=after,
        changes=found.changes,
        json_view=json_view,
    )


async def _side(tx: Any, id: UUID, called: str) -> Chosen:
    if called == DRAFT:
        return await chosen(tx, id, None)
    if not (called.isascii() and called.isdigit() and len(called) < 10 and int(called) > 0):
        raise NotFound("There is no version of this number.")
    return await chosen(tx, id, int(called))


def _compared(visitor: Visitor, old: Chosen, new: Chosen) -> Diff:
    catalogue = visitor.parts.catalogue
    return compare(side(old, new, catalogue), side(new, old, catalogue))
