"""What two versions differ in, and what a definition says in plain English."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.choosing import Chosen, VersionNumber, chosen, worked_out
from api.collaborators import Parts
from db.definitions import Versions, Workflows
from domain.actions import Catalogue
from domain.definitions.diff import Side, as_text, compare
from domain.definitions.explain import explain
from domain.definitions.publishing import publish
from domain.errors import Invalid, Problem
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
PATH = "/v1/workflows/{id}"
_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


class Form(StrEnum):
    JSON = "json"
    TEXT = "text"


class FieldView(BaseModel):
    pointer: str
    before: Any
    after: Any
    was_set: bool
    is_set: bool


class ChangeView(BaseModel):
    part: str = Field(examples=["step", "document", "trigger", "action", "variable"])
    kind: str = Field(examples=["added", "removed", "moved", "renamed", "changed"])
    name: str
    before: str | None
    after: str | None
    fields: list[FieldView]
    notes: list[str] = Field(description="What it means to executions.")
    inside: int


class DiffView(BaseModel):
    counts: dict[str, int]
    changes: list[ChangeView]


class ExplainedStep(BaseModel):
    number: str
    pointer: str
    text: str
    depth: int


class ExplanationView(BaseModel):
    title: str
    beginning: str
    steps: list[ExplainedStep]
    ending: str
    text: str


@router.get(PATH + "/versions/diff", operation_id="workflows_diff", response_model=DiffView, responses=_TEXT)
async def get_diff(
    caller: Reader,
    parts: Parts,
    id: UUID,
    before: Annotated[
        int | None, Query(alias="from", ge=1, lt=2**31, description="The current version when absent.")
    ] = None,
    after: Annotated[
        int | None, Query(alias="to", ge=1, lt=2**31, description="The draft when absent.")
    ] = None,
    format: Form = Form.JSON,
) -> Any:
    """What has changed, step by step; moving a box in the editor is no change."""
    async with parts.database.transaction(caller.access) as tx:
        if before is None:
            before = await _current(tx, id)
        old, new = await chosen(tx, id, before), await chosen(tx, id, after)
    found = await worked_out(
        lambda: compare(side(old, new, parts.catalogue), side(new, old, parts.catalogue))
    )
    return PlainTextResponse(as_text(found)) if format is Form.TEXT else found.as_json()


@router.get(
    PATH + "/explain", operation_id="workflows_explain", response_model=ExplanationView, responses=_TEXT
)
async def get_explanation(
    caller: Reader, parts: Parts, id: UUID, version: VersionNumber = None, format: Form = Form.JSON
) -> Any:
    """For people who decide about the process and never read its code."""
    async with parts.database.transaction(caller.access) as tx:
        workflow = await chosen(tx, id, version)
    told = await worked_out(
        explain,
        workflow.definition,
        title=workflow.title,
        triggers=workflow.triggers,
        actions=workflow.actions,
        calls=workflow.calls,
        catalogue=parts.catalogue,
    )
    return PlainTextResponse(told.text) if format is Form.TEXT else told.as_json()


async def _current(tx: Any, id: UUID) -> int:
    _, version = await Workflows(tx).standing(id)
    if version is None:
        message = "This workflow was never published, so there is no version to compare with."
        raise Invalid(problems=[Problem("query/from", message, "Publish it first.", "not_published")])
    number: int = (await Versions(tx).summary(version))["number"]
    return number


def side(workflow: Chosen, other: Chosen, catalogue: Catalogue) -> Side:
    """A draft is compared as publishing would write it, where it can be published."""
    if workflow.compiled is not None:
        return Side(workflow.definition, variables=workflow.variables, calls=workflow.calls)
    header = other.definition.get("document", {}) if other.compiled is not None else {}
    try:
        published = publish(
            workflow.definition,
            name=header.get("name", workflow.name),
            namespace=header.get("namespace", "default"),
            triggers=workflow.triggers,
            actions=workflow.actions,
            variables=workflow.variables,
            catalogue=catalogue,
        )
    except Invalid:
        return Side(_headed(workflow.definition, header), variables=_defaults(workflow.variables))
    return Side(
        published.document, variables=_defaults(workflow.variables), calls=published.compiled["calls"]
    )


def _headed(definition: dict[str, Any], header: dict[str, Any]) -> dict[str, Any]:
    """With the header that publishing would fill in: its absence is no change."""
    own = definition.get("document", {})
    return {**definition, "document": {**header, **own}} if header and isinstance(own, dict) else definition


def _defaults(variables: Any) -> dict[str, Any]:
    """What versions keep of variables: names and defaults."""
    return {
        name: {"default": each.get("default")} for name, each in variables.items() if isinstance(each, dict)
    }
