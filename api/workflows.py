"""Workflows: the definitions people edit. What runs are their published versions (`api/publishing.py`)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.definitions import Definition, ProblemView, problems_in, read
from api.etags import ExpectedRevision
from api.fields import Body, DefinitionList, DefinitionObject, Line, Prose
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.revisions import tagged
from db.definitions import WorkflowFilters, Workflows
from domain.definitions.drafts import TEXT, keeping, places
from domain.definitions.lifecycle import DefinitionStatus, Visibility, require_open
from domain.errors import Forbidden
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])

Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.WORKFLOWS_WRITE))]
PATH = "/v1/workflows"
_SEEN_BY = frozenset({"visibility", "assigned_users"})


class WorkflowFields(Body):
    description: Prose | None = None
    category: Line | None = None
    triggers: DefinitionList = Field(default_factory=list)
    actions: DefinitionList = Field(default_factory=list, description="Named, configured actions.")
    variables: DefinitionObject = Field(
        default_factory=dict, description="Parameters with schema and default."
    )
    layout: DefinitionObject = Field(default_factory=dict, description="Where an editor draws the steps.")
    is_template: bool = False
    visibility: Visibility = Field(
        Visibility.ORGANIZATION,
        description="Who reads, edits and starts it, as far as their role allows: its creator (private), also "
        "`assigned_users` (team), or everybody (organization). Whoever may read the audit log always does.",
    )
    assigned_users: Annotated[list[UUID], Field(max_length=200)] = Field(
        default_factory=list, description="The members who are its team."
    )


class NewWorkflow(WorkflowFields):
    name: Line
    definition: Definition


class WorkflowChange(WorkflowFields):
    """Only the fields that are sent change."""

    name: Line = Field(default_factory=str)
    definition: Definition = Field(default_factory=dict)


class WorkflowSummary(BaseModel):
    id: UUID
    name: str
    description: str | None
    category: str | None
    status: DefinitionStatus
    is_template: bool
    visibility: Visibility
    version: int = Field(description="The number that publishing will give to this draft.")
    revision: int = Field(description="Grows with every write; the ETag.")
    created_by: UUID
    created_at: datetime
    updated_at: datetime


class WorkflowView(WorkflowSummary):
    definition: dict[str, Any]
    triggers: list[Any]
    actions: list[Any]
    variables: dict[str, Any]
    layout: Annotated[dict[str, Any], AfterValidator(places)]
    assigned_users: list[UUID]
    template_id: UUID | None
    published_version_id: UUID | None


class WorkflowSaved(WorkflowView):
    """A draft may be stored with problems; publishing it may not."""

    problems: list[ProblemView]


class WorkflowPage(BaseModel):
    items: list[WorkflowSummary]
    next_cursor: str | None


@router.get(PATH, operation_id="workflows_list", response_model=WorkflowPage)
async def list_workflows(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    status: DefinitionStatus | None = None,
    category: Annotated[str | None, Query(max_length=200)] = None,
    q: Annotated[str | None, Query(max_length=200, description="Looked for in name and description.")] = None,
) -> Any:
    """Newest first, without the documents."""
    async with parts.database.transaction(caller.access) as tx:
        filters = WorkflowFilters(status, category, q)
        rows = await Workflows(tx).page(filters, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.post(PATH, operation_id="workflows_create", status_code=201, response_model=WorkflowSaved)
async def create_workflow(caller: Writer, parts: Parts, once: Idempotent, body: NewWorkflow) -> Response:
    """Stores a draft; `problems` lists what stands between it and publishing."""
    values = await values_of(body)
    problems = await problems_in(parts.catalogue, values)

    async def create(tx: AsyncConnection) -> Answer[None]:
        owned = {"organization_id": caller.organization, "created_by": caller.user_id}
        seen_by = {"visibility": Visibility.ORGANIZATION.value}
        row = await Workflows(tx).insert(uuid4(), {**seen_by, **values, **owned})
        return Answer(201, _saved(row, problems))

    return tagged((await once.run(caller, create)), location=PATH + "/{id}")


@router.get(PATH + "/{id}", operation_id="workflows_get", response_model=WorkflowView)
async def get_workflow(caller: Reader, parts: Parts, id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        row = await Workflows(tx).get(id)
    return tagged(Answer(200, WorkflowView.model_validate(dict(row)).model_dump(mode="json")))


@router.put(PATH + "/{id}", operation_id="workflows_replace", response_model=WorkflowSaved)
async def replace_workflow(
    caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision, body: NewWorkflow
) -> Response:
    """Replaces the whole draft; fields that are not sent return to their defaults."""
    return await _write(caller, parts, id, seen, await values_of(body, whole=True))


@router.patch(PATH + "/{id}", operation_id="workflows_change", response_model=WorkflowSaved)
async def change_workflow(
    caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision, body: WorkflowChange
) -> Response:
    """Changes the fields that are sent; published versions and their executions stay as they are."""
    return await _write(caller, parts, id, seen, await values_of(body))


async def _write(
    caller: Caller, parts: Collaborators, id: UUID, seen: int, values: dict[str, Any]
) -> Response:
    row = await write(caller, parts, id, seen, values)
    return tagged(Answer(200, _saved(row, await problems_in(parts.catalogue, dict(row)))))


async def write(
    caller: Caller, parts: Collaborators, id: UUID, seen: int, values: Mapping[str, Any]
) -> RowMapping:
    """Changes these columns of a draft of which `seen` was the revision; raises Stale, NotFound, WrongStatus."""
    async with parts.database.transaction(caller.access) as tx:
        workflows = Workflows(tx)
        if values.keys() & _SEEN_BY:
            _require_say(caller, await workflows.get(id), values)
        if "layout" in values and TEXT not in values["layout"]:
            kept = (await workflows.get(id))["layout"].get(TEXT)
            values = {**values, "layout": keeping(values["layout"], kept)}
        row = await workflows.change(id, values, revision=seen)
        require_open(row["status"])
    return row


def _require_say(caller: Caller, row: RowMapping, values: Mapping[str, Any]) -> None:
    """Nobody puts somebody else's workflow out of their own sight."""
    changed = any(row[name] != values[name] for name in _SEEN_BY & values.keys())
    if changed and row["created_by"] != caller.user_id and Permission.AUDIT_READ not in caller.permissions:
        raise Forbidden("Its creator, or whoever may read the audit log, says who sees a workflow.")


async def values_of(body: WorkflowFields, *, whole: bool = False) -> dict[str, Any]:
    values = body.model_dump(exclude_unset=not whole)
    if "definition" in values:
        if isinstance(values["definition"], str) and isinstance(body, NewWorkflow):
            values["layout"] = keeping(values.get("layout") or {}, values["definition"])
        values["definition"] = await read(values["definition"])
    if "assigned_users" in values:
        values["assigned_users"] = [str(id) for id in dict.fromkeys(values["assigned_users"])]
    return values


def _saved(row: RowMapping, problems: list[ProblemView]) -> dict[str, Any]:
    return WorkflowSaved.model_validate({**row, "problems": problems}).model_dump(mode="json")
