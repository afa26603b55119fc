"""A workflow's text while somebody writes it: what is wrong at which line, and how it is drawn."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from api.auth import Caller, require
from api.choosing import worked_out
from api.collaborators import Parts
from api.definitions import ProblemView
from api.fields import Body, DefinitionObject
from db.secrets import Secrets
from domain.actions import Catalogue
from domain.definitions.examining import Examined, Finding, examine
from domain.definitions.graph import draw, lay_out, positioned, project
from domain.definitions.outline import at
from domain.errors import Invalid
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
#: Longer ones are told to be too long, like every other problem; beyond this nobody reads them.
LONGEST = 900_000
UNTITLED = "Workflow"


class WorkflowSource(Body):
    text: Annotated[str, StringConstraints(max_length=LONGEST)] = Field(
        description="YAML or JSON: a whole workflow with `name`, `definition`, `triggers` …, or the bare document."
    )
    layout: DefinitionObject = Field(
        default_factory=dict, description="Where an editor draws the steps, unless the text says it."
    )


class Located(ProblemView):
    line: int
    column: int


class PreviewView(BaseModel):
    valid: bool = Field(description="Whether it could be published; warnings do not hinder.")
    problems: list[Located] = Field(description="In the order of the lines.")
    lines: dict[str, int] = Field(description="The line of each step, by its pointer.")
    svg: str | None = Field(
        description="The drawing without its colours; steps have `data-step`. null while there is none to draw."
    )


@router.post("/v1/workflows/preview", operation_id="workflows_preview", response_model=PreviewView)
async def preview_workflow(caller: Reader, parts: Parts, body: WorkflowSource) -> Any:
    """For editors: everything at once, in well under a second; nothing is stored."""
    async with parts.database.transaction(caller.access) as tx:
        known = await Secrets(tx).names()
    return await worked_out(preview, body.text, body.layout, parts.catalogue, known)


def preview(
    text: str, layout: Mapping[str, Any], catalogue: Catalogue, secrets: frozenset[str]
) -> PreviewView:
    found = examine(text, catalogue=catalogue, secrets=secrets)
    return PreviewView(
        valid=found.is_sound,
        problems=[located(each) for each in found.findings],
        lines=dict(found.lines),
        svg=_drawing(found, layout),
    )


def located(finding: Finding) -> Located:
    problem = finding.problem
    return Located(
        pointer=problem.pointer,
        detail=problem.message,
        suggestion=problem.suggestion,
        code=problem.code,
        severity=problem.severity,
        line=finding.line,
        column=finding.column,
    )


def _drawing(found: Examined, layout: Mapping[str, Any]) -> str | None:
    if found.workflow is None or not found.lines:
        return None
    definition, parts = found.workflow.definition, found.workflow.parts
    title = at(definition, "document", "title") or parts.get("name")
    try:
        name = title if isinstance(title, str) else UNTITLED
        laid = lay_out(project(definition, name, actions=parts.get("actions")))
        return draw(positioned(laid, parts.get("layout") or layout), with_style=False)
    except Invalid:
        return None
