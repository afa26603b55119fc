"""The gallery: templates that come with a release and the organization's own, and workflows made from them.

A template is called by its slug; the organization's own by their ids. `entry_of`, `entries` and `instantiate` serve
the pages as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.definitions import problems_in
from api.fields import AnyJson, Body, Line, Prose
from api.gallery import Shipped, shipped
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.revisions import tagged
from api.workflows import PATH as WORKFLOWS
from api.workflows import WorkflowSaved
from db.definitions import WorkflowFilters, Workflows
from db.gallery import Gallery
from db.tenants import Organizations
from domain import gallery
from domain.definitions import files
from domain.definitions.drafts import keeping, places, text_of
from domain.definitions.lifecycle import Visibility
from domain.errors import NotFound
from domain.permissions import Permission

router = APIRouter(tags=["templates"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.WORKFLOWS_WRITE))]
PATH = "/v1/templates"
Slug = Annotated[str, Path(max_length=100, description="Of a shipped template, or the id of one's own.")]


class Origin(StrEnum):
    SHIPPED = "shipped"
    ORGANIZATION = "organization"


class TemplateSummary(BaseModel):
    slug: str
    origin: Origin
    name: str
    description: str | None
    category: str | None
    triggers: list[str] = Field(description="What starts its copies, beside people: types of triggers.")
    variables: list[str] = Field(description="What a copy can be made with.")


class TemplateView(TemplateSummary):
    definition: dict[str, Any]
    trigger_list: list[Any] = Field(description="The triggers in full, as a workflow's `triggers`.")
    actions: list[Any]
    layout: Annotated[dict[str, Any], AfterValidator(places)]
    declared: dict[str, Any] = Field(description="The variables in full, as a workflow's `variables`.")
    form: dict[str, Any] = Field(
        description="JSON Schema of `variables` in `instantiate`, defaults among it."
    )
    text: str = Field(description="All of it as YAML, comments included.")


class TemplatePage(BaseModel):
    items: list[TemplateSummary]
    next_cursor: str | None


class Filling(Body):
    name: Line
    description: Prose | None = Field(None, description="The template's own when it is not sent.")
    variables: dict[str, AnyJson] = Field(
        default_factory=dict, description="By name; those that are not sent keep the template's default."
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A template as the caller sees it; `parts` are what a copy takes over, `id` is None for a shipped one."""

    slug: str
    parts: Mapping[str, Any]
    id: UUID | None = None

    @property
    def origin(self) -> Origin:
        return Origin.SHIPPED if self.id is None else Origin.ORGANIZATION

    @property
    def form(self) -> dict[str, Any]:
        return gallery.schema_of(self.parts["variables"])

    @property
    def text(self) -> str:
        if self.id is None:
            return shipped()[self.slug].text
        return text_of(self.parts)

    def summary(self) -> dict[str, Any]:
        triggers = (each for each in self.parts["triggers"] if isinstance(each, dict))
        schedule = ["schedule"] if "schedule" in self.parts["definition"] else []
        types = [str(each["type"]) for each in triggers if each.get("type") not in (None, "manual")]
        return {
            "slug": self.slug,
            "origin": self.origin,
            "name": self.parts["name"],
            "description": self.parts["description"],
            "category": self.parts["category"],
            "triggers": list(dict.fromkeys(types + schedule)),
            "variables": list(self.parts["variables"]),
        }


@router.get(PATH, operation_id="templates_list", response_model=TemplatePage)
async def list_templates(
    caller: Reader,
    parts: Parts,
    paging: Paging,
    category: Annotated[str | None, Query(max_length=200)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Looked for in name and description.")] = None,
) -> Any:
    """Those that come with the product, then the organization's own, newest first."""
    filters = WorkflowFilters(category=category, q=q)
    async with parts.database.transaction(caller.access) as tx:
        first = [] if paging.before is not None else await came_with_the_product(tx, caller, filters)
        rows = await Gallery(tx).page(filters, before=paging.before, limit=paging.fetch)
    page = paging.page(rows, lambda row: (row["created_at"], row["id"]), lambda row: _own(row).summary())
    return {**page, "items": [*(entry.summary() for entry in first), *page["items"]]}


@router.get(PATH + "/{slug}", operation_id="templates_get", response_model=TemplateView)
async def get_template(caller: Reader, parts: Parts, slug: Slug) -> Any:
    async with parts.database.transaction(caller.access) as tx:
        entry = await entry_of(tx, caller, slug)
    given = entry.parts
    return {
        **entry.summary(),
        **{name: given[name] for name in ("definition", "actions", "layout")},
        "trigger_list": given["triggers"],
        "declared": given["variables"],
        "form": entry.form,
        "text": entry.text,
    }


@router.post(
    PATH + "/{slug}/instantiate",
    operation_id="templates_instantiate",
    status_code=201,
    response_model=WorkflowSaved,
)
async def instantiate_template(
    caller: Writer, parts: Parts, once: Idempotent, slug: Slug, body: Filling
) -> Response:
    """Stores a draft that is a copy of the template, with the given variables; `template_id` remembers which."""

    async def copy(tx: AsyncConnection) -> Answer[None]:
        row = await instantiate(tx, caller, slug, body)
        problems = await problems_in(parts.catalogue, dict(row))
        saved = WorkflowSaved.model_validate({**row, "problems": problems})
        return Answer(201, saved.model_dump(mode="json"))

    return tagged(await once.run(caller, copy), location=WORKFLOWS + "/{id}")


async def instantiate(tx: AsyncConnection, caller: Caller, slug: str, filling: Filling) -> RowMapping:
    """The new draft's row. Raises NotFound, and Invalid for variables that do not fit."""
    entry = await entry_of(tx, caller, slug)
    variables = gallery.instantiated(entry.parts["variables"], filling.variables)
    template_id = entry.id
    if template_id is None:
        template_id = await Gallery(tx).shipped(slug, shipped()[slug].parts, caller.organization)
    values = {
        "name": filling.name,
        "description": entry.parts["description"] if filling.description is None else filling.description,
        "category": entry.parts["category"],
        "definition": gallery.copied(entry.parts["definition"]),
        "layout": keeping(entry.parts["layout"], entry.text),
        "triggers": entry.parts["triggers"],
        "actions": entry.parts["actions"],
        "variables": variables,
        "template_id": template_id,
        "visibility": Visibility.ORGANIZATION.value,
        "organization_id": caller.organization,
        "created_by": caller.user_id,
    }
    return await Workflows(tx).insert(uuid4(), values)


async def entry_of(tx: AsyncConnection, caller: Caller, slug: str) -> Entry:
    """One template; raises NotFound."""
    found = shipped().get(slug)
    if found is not None:
        return _shipped(found, await _organization(tx, caller))
    try:
        id = UUID(slug)
    except ValueError:
        raise NotFound("There is no template with this slug.") from None
    return _own(await Gallery(tx).get(id))


async def entries(
    tx: AsyncConnection, caller: Caller, filters: WorkflowFilters, *, limit: int = 200
) -> Sequence[Entry]:
    """Those that come with the product, then up to `limit` of the organization's own, newest first."""
    own = await Gallery(tx).page(filters, before=None, limit=limit)
    return [*await came_with_the_product(tx, caller, filters), *map(_own, own)]


async def came_with_the_product(
    tx: AsyncConnection, caller: Caller, filters: WorkflowFilters
) -> Sequence[Entry]:
    organization = await _organization(tx, caller)
    return [_shipped(each, organization) for each in shipped().values() if _matches(each, filters)]


async def _organization(tx: AsyncConnection, caller: Caller) -> str:
    return str((await Organizations(tx).get(caller.organization))["name"])


def _matches(template: Shipped, filters: WorkflowFilters) -> bool:
    told = f"{template.parts['name']}\n{template.parts['description']}".lower()
    is_kind = filters.category is None or template.parts["category"] == filters.category
    return is_kind and (filters.q or "").lower() in told


def _shipped(template: Shipped, organization: str) -> Entry:
    variables = gallery.addressed_to(template.parts["variables"], organization)
    return Entry(template.slug, {**template.parts, "variables": variables})


def _own(row: RowMapping) -> Entry:
    parts = {name: row[name] for name in files.FIELDS if name in row}
    return Entry(str(row["id"]), parts, row["id"])
