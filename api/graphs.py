"""Workflows as drawings: nodes and edges for editors, SVG for pages and documents."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.choosing import Chosen, VersionNumber, chosen, worked_out
from api.collaborators import Parts
from db.definitions import Versions
from db.executions import Executions
from db.stepstatus import step_statuses
from domain.definitions.graph import Laid, Status, as_json, draw, lay_out, positioned, project
from domain.errors import Forbidden, Invalid, NotFound, Problem
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
SVG = "image/svg+xml"


class Format(StrEnum):
    JSON = "json"
    SVG = "svg"


class GraphNode(BaseModel):
    id: str = Field(
        description="The step's pointer; what is no step has a mark before the pointer of its list."
    )
    kind: str
    name: str
    detail: str
    notes: list[str]
    group: str | None = Field(description="The list of steps it stands in; null for the outermost.")
    is_step: bool
    is_reachable: bool
    status: str | None
    visits: int
    x: float
    y: float
    width: float
    height: float


class GraphGroup(BaseModel):
    id: str
    kind: str
    title: str
    node: str = Field(description="The step that holds these steps.")
    x: float
    y: float
    width: float
    height: float


class GraphEdge(BaseModel):
    source: str
    target: str
    kind: str = Field(examples=["next", "branch", "case", "loop", "catch", "compensation", "timeout"])
    label: str
    group: str | None
    path: str = Field(description="As in the `d` of an SVG path; empty where no line is drawn.")


class GraphView(BaseModel):
    title: str
    width: float
    height: float
    nodes: list[GraphNode]
    groups: list[GraphGroup]
    edges: list[GraphEdge]


@router.get(
    "/v1/workflows/{id}/graph",
    operation_id="workflows_graph",
    response_model=GraphView,
    responses={200: {"content": {SVG: {"schema": {"type": "string"}}}}},
)
async def get_graph(
    *,
    caller: Reader,
    parts: Parts,
    id: UUID,
    version: VersionNumber = None,
    execution: Annotated[
        UUID | None, Query(description="Show how far this execution's steps have come, in its version.")
    ] = None,
    format: Format = Format.JSON,
    style: Annotated[
        bool, Query(description="Whether the SVG brings its colours; a page may set its own instead.")
    ] = True,
) -> Any:
    """Laid out the same way every time; positions in the workflow's `layout` win."""
    if execution is not None and not caller.may(Permission.EXECUTIONS_READ):
        raise Forbidden(f"An execution's steps need the permission {Permission.EXECUTIONS_READ} too.")
    async with parts.database.transaction(caller.access) as tx:
        statuses: dict[str, Status] = {}
        if execution is not None:
            version = await _version_of(tx, id, execution, version)
            rows = await step_statuses(tx, execution)
            statuses = {row["pointer"]: Status(row["status"], row["visits"]) for row in rows}
        workflow = await chosen(tx, id, version)
    if format is Format.JSON:
        return await worked_out(_as_json, workflow, statuses)
    return Response(await worked_out(_as_svg, workflow, statuses, style), media_type=SVG)


async def _version_of(tx: Any, id: UUID, execution: UUID, version: int | None) -> int:
    """The number of the version that the execution runs. Raises NotFound, and Invalid for another version."""
    row = await Executions(tx).get(execution)
    if row["workflow_id"] != id:
        raise NotFound
    number: int = (await Versions(tx).summary(row["workflow_version_id"]))["number"]
    if version is not None and version != number:
        message = f"This execution runs version {number}."
        raise Invalid(problems=[Problem("query/version", message, "Leave `version` out.")])
    return number


def _as_json(workflow: Chosen, statuses: Mapping[str, Status]) -> dict[str, Any]:
    return as_json(_laid(workflow, statuses), statuses)


def _as_svg(workflow: Chosen, statuses: Mapping[str, Status], with_style: bool) -> str:
    return draw(_laid(workflow, statuses), statuses, with_style=with_style)


def _laid(workflow: Chosen, statuses: Mapping[str, Status]) -> Laid:
    graph = project(workflow.definition, workflow.title, actions=workflow.actions, calls=workflow.calls)
    return positioned(lay_out(graph, statuses), workflow.layout)
