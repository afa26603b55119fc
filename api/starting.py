"""Starting a workflow: row and word to the engine commit together, then the engine is told at once."""

import logging
from dataclasses import replace
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import accept
from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.executionviews import ExecutionLinks, ExecutionView, show, show_one
from api.fields import AnyJson, Body
from api.idempotency import Answer, Idempotent, Once
from api.preferences import wait_of
from db.executions import Executions
from db.outbox import OutboxEntry
from db.starts import KIND
from domain.executions import ExecutionStatus, TriggerType
from domain.ids import WorkflowId
from domain.permissions import Permission

log = logging.getLogger(__name__)
router = APIRouter(tags=["executions"])
Starter = Annotated[Caller, Depends(require(Permission.EXECUTIONS_START))]


class Place(StrEnum):
    """Where somebody started an execution by hand, and so the name of its trigger.

    Whoever calls the API is a program of anybody's, the command line among them; only pages are known for sure.
    """

    API = "api"
    CONSOLE = "console"


class StartBody(Body):
    input: AnyJson = Field(
        default_factory=dict, description="Any JSON that fits the definition's input.schema."
    )
    version: int | None = Field(
        None, ge=1, lt=2**31, description="A published version; the current one if absent."
    )


class Accepted(BaseModel):
    id: UUID
    status: ExecutionStatus
    workflow_id: UUID
    version: int
    links: ExecutionLinks


@router.post(
    "/v1/workflows/{id}/executions",
    operation_id="executions_start",
    status_code=202,
    response_model=Accepted,
    responses={200: {"model": ExecutionView, "description": "It finished within the time of Prefer: wait."}},
)
async def start_execution(
    *,
    caller: Starter,
    parts: Parts,
    once: Idempotent,
    id: UUID,
    body: StartBody | None = None,
    prefer: Annotated[
        str | None,
        Header(max_length=200, description="`wait=N`: answer with the result if ready in N ≤ 30 s."),
    ] = None,
) -> Response:
    """Accepts an execution: once this answers, it will run exactly once, whatever fails in between."""
    return await start_by_hand(
        parts, caller, once, id, body or StartBody(), Place.API, seconds=wait_of(prefer)
    )


async def start_by_hand(
    parts: Collaborators,
    caller: Caller,
    once: Once,
    id: UUID,
    asked: StartBody,
    place: Place,
    *,
    seconds: float | None = None,
) -> Response:
    """What `start_execution` says, for whoever started it in this place."""

    async def start(tx: AsyncConnection) -> Answer[OutboxEntry]:
        entry, accepted = await accept(
            tx,
            caller.organization,
            id,
            trigger={"type": TriggerType.MANUAL.value, "name": place.value},
            input=asked.input,
            started_by=caller.user_id,
            version=asked.version,
        )
        return Answer(202, accepted, carry=entry)

    async with parts.turns.of(caller.organization) as turn:
        answer = await once.run(caller, start)
        if answer.carry is not None:
            await parts.dispatcher.dispatch(answer.carry)
            turn.until(parts.dispatcher.settled(answer.carry.workflow_id))
    headers = {"Location": answer.body["links"]["self"]}
    if seconds is not None:
        headers["Preference-Applied"] = f"wait={seconds}"
        answer = await _awaited(parts, caller, answer, seconds)
    return replace(answer, headers=headers).response()


async def _awaited(
    parts: Collaborators, caller: Caller, answer: Answer[OutboxEntry], seconds: int
) -> Answer[OutboxEntry]:
    """The finished execution (200), or the answer as it was when it takes longer.

    The row has the last word: an end that nobody heard of in time is read from it all the same.
    """
    id = UUID(answer.body["id"])
    view = await _view(parts, caller, id) if answer.replayed else None
    if view is None or not view.status.is_terminal:
        closed = await parts.dispatcher.finished(
            str(WorkflowId(caller.organization, KIND, id)), float(seconds)
        )
        if closed is not None and closed.row is not None:
            view = show(closed.row, answer.body["version"], ExecutionView)
        else:
            try:
                view = await _view(parts, caller, id)
            except (SQLAlchemyError, OSError) as error:
                # It was accepted: an error now would make callers start it again.
                log.warning("The result could not be read: %s", type(error).__name__)
                return answer
        if not view.status.is_terminal:  # it was stopped from outside, and the mirror has not noticed yet
            return answer
    return replace(answer, status=200, body=view.model_dump(mode="json"))


async def _view(parts: Collaborators, caller: Caller, id: UUID) -> ExecutionView:
    async with parts.database.transaction(caller.access) as tx:
        return await show_one(tx, await Executions(tx).get(id))
