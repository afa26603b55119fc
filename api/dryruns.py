"""Dry runs: what a definition would do, in memory, with the world mocked. Nothing is written, nothing is called."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.choosing import chosen, worked_out
from api.collaborators import Parts
from api.definitions import read
from api.fields import AnyJson, Body, DefinitionList, DefinitionObject, JsonObject, Line, Moment
from api.publishing import Candidate
from db.tenants import Organizations
from domain.actions import Catalogue
from domain.definitions.dryrun import NEW_YEAR, DryRun, Trial, dry_run
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.errors import Invalid, Problem
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]


class Mocked(Body):
    """The world as it shall be."""

    input: AnyJson = Field(default_factory=dict, description="What `$input` is.")
    mocks: DefinitionObject = Field(
        default_factory=dict,
        description="Answers by step name or pointer: {output}, {error: {status}}, {decision}, {echo: true} or"
        " {never: true}, each perhaps with `after`; or a list of them, in order.",
        examples=[{"Charge the card": [{"error": {"status": 503}}, {"output": {"id": 7}}]}],
    )
    events: DefinitionList = Field(
        default_factory=list,
        description="Events with the time `after` which they arrive.",
        examples=[[{"type": "com.example.paid", "data": {"order": 7}, "after": "2 days"}]],
    )
    trigger: JsonObject = Field(
        default_factory=lambda: {"type": "manual", "name": "test"}, description="`$workflow.trigger`."
    )
    starts_at: Moment | None = Field(None, description="The simulated start; New Year 2026 when absent.")
    unmocked: Literal["generate", "ask"] = Field(
        "generate",
        description="Calls without a mock are answered from the schema of their action, or end the run with a"
        " question.",
    )


class SavedTrial(Mocked):
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="A published version; the draft when absent."
    )


class UnsavedTrial(Mocked, Candidate):
    name: Line = "test"


class QuestionView(BaseModel):
    step: str
    pointer: str
    message: str
    suggestion: str


class TracedView(BaseModel):
    occurrence: str
    pointer: str
    name: str
    kind: str
    action: str | None
    visit: int
    position: int
    status: str
    started: str
    completed: str | None
    input: Any
    arguments: Any
    output: Any
    error: dict[str, Any] | None
    branches: list[str] = Field(description="The parallel branches it ran in, outermost first.")
    answered_by: str | None = Field(description="mock, generated, computed, event or clock.")
    left_out: list[str] = Field(description="Values too large to be shown.")


class DryRunView(BaseModel):
    status: str = Field(
        description="As of an execution; or unanswered (see question), or stopped (see reason)."
    )
    output: Any
    error: dict[str, Any] | None
    question: QuestionView | None
    reason: str | None
    path: list[str] = Field(
        description="The names of the steps as they were entered; skipped ones in brackets."
    )
    started: str
    ended: str
    elapsed_ms: int
    warnings: list[str]
    is_complete: bool = Field(description="False when values were too large to be shown.")
    trace: list[TracedView]


@router.post("/v1/workflows/test", operation_id="workflows_test_unsaved", response_model=DryRunView)
async def try_unsaved(caller: Reader, parts: Parts, body: UnsavedTrial) -> Any:
    """Tries a definition that is stored nowhere. 422 when it could not be published."""
    async with parts.database.transaction(caller.access) as tx:
        namespace = (await Organizations(tx).get(caller.organization))["slug"]
    given = {"name": body.name, "definition": await read(body.definition), "namespace": namespace}
    given |= {"triggers": body.triggers, "actions": body.actions, "variables": body.variables}
    return (await worked_out(try_out, given, None, parts.catalogue, _trial(body))).as_json()


@router.post("/v1/workflows/{id}/test", operation_id="workflows_test", response_model=DryRunView)
async def try_saved(caller: Reader, parts: Parts, id: UUID, body: SavedTrial | None = None) -> Any:
    """Tries the draft or a published version."""
    asked = body or SavedTrial()
    async with parts.database.transaction(caller.access) as tx:
        workflow = await chosen(tx, id, asked.version)
        namespace = (await Organizations(tx).get(caller.organization))["slug"]
    given = {"name": workflow.name, "definition": workflow.definition, "namespace": namespace}
    given |= {"triggers": workflow.triggers, "actions": workflow.actions, "variables": workflow.variables}
    return (await worked_out(try_out, given, workflow.compiled, parts.catalogue, _trial(asked))).as_json()


def _trial(body: Mocked) -> Trial:
    now = NEW_YEAR if body.starts_at is None else int(body.starts_at.timestamp() * 1000)
    return Trial(body.input, body.mocks, body.events, body.trigger, now, body.unmocked == "generate")


def try_out(given: dict[str, Any], compiled: Any, catalogue: Catalogue, trial: Trial) -> DryRun:
    if compiled is None:
        definition = given.pop("definition")
        compiled = publish(definition, **given, catalogue=catalogue).compiled
    try:
        return dry_run(load_program(compiled), catalogue, trial)
    except Invalid as refused:
        problems = [
            Problem("#" + each.pointer, each.message, each.suggestion, each.code) for each in refused.problems
        ]
        raise Invalid(refused.message, problems=problems) from None
