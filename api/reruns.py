"""Repeating an execution from one of its steps on: first the plan of what happens again, then its confirmation."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.executionviews import links
from api.fields import Body
from api.idempotency import Answer, Idempotent
from api.noting import noted
from api.starting import Accepted
from db.activity import Activities
from db.definitions import Versions
from db.outbox import OutboxEntry
from db.reruns import Recorded, Reruns
from domain.actions import Effect
from domain.activities import Act
from domain.executions import ExecutionStatus
from domain.permissions import Permission
from domain.rerun import Answered, Prepared

router = APIRouter(tags=["executions"])
Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]
Starter = Annotated[Caller, Depends(require(Permission.EXECUTIONS_START, Permission.EXECUTIONS_READ))]
PATH = "/v1/executions/{id}"
#: Of the steps that are answered from the log, as many are listed.
MOST_LISTED = 500


class RerunFrom(Body):
    """Which step to repeat the execution from, that step included."""

    step: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = Field(
        None,
        alias="from",
        description="An occurrence (`/do/3/mail#1`), a step's JSON pointer or its name. Where it failed, if it did"
        " and none is named; else the first step.",
    )
    visit: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None, description="Which entry into the step, counted from 1; the latest when absent."
    )


class RerunConfirmed(RerunFrom):
    confirm: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="The `digest` of the plan you have looked at."
    )
    confirm_irreversible: bool = Field(
        False,
        description="Needed where the plan says `has_irreversible`: what happens again cannot be undone.",
    )


class AnsweredStep(BaseModel):
    occurrence: str
    step: str
    kind: str
    action: str | None
    status: str


class EffectView(BaseModel):
    step: str
    pointer: str
    action: str
    version: str
    effect: Effect = Field(description="What repeating it does to the world.")
    is_irreversible: bool
    is_certain: bool = Field(
        description="If nothing fails it surely happens; else it depends on data, errors or how often a loop turns."
    )
    times_before: int = Field(description="How often the original did it, from the chosen step on.")
    is_under_way: bool = Field(description="It had begun beside the chosen step, and begins again.")


class UndoView(BaseModel):
    occurrence: str
    step: str
    action: str


class RefusalView(BaseModel):
    code: str
    message: str


class PlanView(BaseModel):
    """What a rerun would do. `digest` binds its confirmation to exactly this; it is null where something is refused."""

    execution_id: UUID
    version: int = Field(description="The version both run; a rerun never takes a newer one.")
    occurrence: str = Field(description="Where it begins.")
    step: str
    answered_count: int
    answered: list[AnsweredStep] = Field(
        description=f"Steps answered from the log, at most {MOST_LISTED}: they happen no second time."
    )
    effects: list[EffectView] = Field(description="Calls that happen again, or for the first time.")
    undoes: list[UndoView] = Field(
        description="What undoes steps that are answered from the log, should the rerun not succeed."
    )
    has_irreversible: bool
    refusals: list[RefusalView] = Field(description="Why it cannot be done; empty when it can.")
    reruns: list[UUID] = Field(description="Executions that repeat this one already, the oldest first.")
    digest: str | None


@router.post(PATH + "/rerun-plan", operation_id="executions_rerun_plan", response_model=PlanView)
async def plan_rerun(caller: Reader, parts: Parts, id: UUID, body: RerunFrom | None = None) -> PlanView:
    """Says what repeating this execution from a step would do, without doing anything.

    Conditions, loops and branches before the step take the course they took, with the answers the log has.
    """
    recorded, prepared = await _prepared(parts, caller, id, body or RerunFrom(), uuid4())
    async with parts.database.transaction(caller.access) as tx:
        numbers = await Versions(tx).numbers({recorded.row["workflow_version_id"]})
    return _shown(recorded, prepared, numbers[recorded.row["workflow_version_id"]])


@router.post(PATH + "/rerun", operation_id="executions_rerun", status_code=202, response_model=Accepted)
async def rerun_execution(
    caller: Starter, parts: Parts, once: Idempotent, id: UUID, body: RerunConfirmed
) -> Response:
    """Repeats an ended execution from a step on: the same version, its input, trigger and clock, a new execution.

    `confirm` names the plan that was shown. What has changed since (the log, another rerun) makes it out of date
    (409 `plan_out_of_date`).
    """
    execution_id, now = uuid4(), parts.clock()
    recorded, prepared = await _prepared(parts, caller, id, body, execution_id)

    async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
        prepared.plan.require(body.confirm, irreversible=body.confirm_irreversible)
        entry = await Reruns(tx).queue(
            recorded, prepared, id=execution_id, now=now, started_by=caller.user_id
        )
        row = recorded.row
        about: dict[str, Any] = {"rerun_id": str(execution_id), "from": prepared.plan.occurrence}
        await Activities(tx).note(
            [noted(caller, Act.EXECUTION_RERUN.value, "workflow_executions", id, **about)]
        )
        numbers = await Versions(tx).numbers({row["workflow_version_id"]})
        accepted = Accepted.model_validate(
            {
                "id": execution_id,
                "status": ExecutionStatus.QUEUED,
                "workflow_id": row["workflow_id"],
                "version": numbers[row["workflow_version_id"]],
                "links": links(execution_id, row["workflow_id"]),
            }
        )
        return Answer(202, accepted.model_dump(mode="json"), carry=entry)

    async with parts.turns.of(caller.organization) as turn:
        answer = await once.run(caller, start)
        if answer.carry is not None:
            await parts.dispatcher.dispatch(answer.carry)
            turn.until(parts.dispatcher.settled(answer.carry.workflow_id))
    response = answer.response()
    response.headers["Location"] = answer.body["links"]["self"]
    return response


async def _prepared(
    parts: Collaborators, caller: Caller, id: UUID, body: RerunFrom, then: UUID
) -> tuple[Recorded, Prepared]:
    """Read in one transaction, walked outside of it: walking takes its time."""
    async with parts.database.transaction(caller.access) as tx:
        recorded = await Reruns(tx).read(id)
    prepared = await recorded.prepare(body.step, body.visit, parts.catalogue, then=then, now=parts.clock())
    return recorded, prepared


def _shown(recorded: Recorded, prepared: Prepared, version: int) -> PlanView:
    plan = prepared.plan
    return PlanView(
        execution_id=recorded.row["id"],
        version=version,
        occurrence=plan.occurrence,
        step=plan.step,
        answered_count=len(plan.answered),
        answered=_listed(plan.answered),
        effects=[EffectView.model_validate(_of(each)) for each in plan.effects],
        undoes=[UndoView.model_validate(_of(each)) for each in plan.undoes],
        has_irreversible=plan.has_irreversible,
        refusals=[RefusalView.model_validate(_of(each)) for each in plan.refusals],
        reruns=[rerun["id"] for rerun in recorded.reruns],
        digest=plan.digest,
    )


def _listed(answered: Sequence[Answered]) -> list[AnsweredStep]:
    return [AnsweredStep.model_validate(_of(each)) for each in answered[:MOST_LISTED]]


def _of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__slots__}
