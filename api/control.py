"""Acting on a running execution: holding it, letting it go on, sending it an event."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.executionviews import ExecutionView, show_one
from api.fields import Body, Line, bounded_json
from api.idempotency import Answer, Idempotent
from api.noting import noted
from db.activity import Activities
from db.control import Asked, Control
from db.outbox import OutboxEntry
from domain.activities import Act
from domain.executions import ExecutionStatus
from domain.permissions import Permission

router = APIRouter(tags=["executions"])
Controller = Annotated[Caller, Depends(require(Permission.EXECUTIONS_CONTROL))]
PATH = "/v1/executions/{id}"
SETTLED: dict[int | str, dict[str, Any]] = {
    200: {"model": ExecutionView, "description": "It is as wished already."}
}

#: An execution carries what it keeps from run to run, so a signal brings little: larger data is a document's id.
SIGNAL_BYTES = 16 * 1024
SignalData = Annotated[Any, AfterValidator(bounded_json(SIGNAL_BYTES))]


class SignalBody(Body):
    type: Line = Field(description="What a `listen` step asks for.")
    data: SignalData = None
    id: Line | None = Field(None, description="Repeating a signal with the same id delivers it once.")


class SignalView(BaseModel):
    id: str
    type: str
    time: datetime


@router.post(
    PATH + "/pause",
    operation_id="executions_pause",
    status_code=202,
    response_model=ExecutionView,
    responses=SETTLED,
)
async def pause_execution(caller: Controller, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Nothing new begins; activities under way end, timers go on. 200 when it stands still already, else 202."""
    return await _wish(caller, parts, once, lambda tx: Control(tx).pause(id), paused=True)


@router.post(
    PATH + "/resume",
    operation_id="executions_resume",
    status_code=202,
    response_model=ExecutionView,
    responses=SETTLED,
)
async def resume_execution(caller: Controller, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """It goes on exactly where it stands. 200 when nobody had paused it, else 202."""
    return await _wish(caller, parts, once, lambda tx: Control(tx).resume(id), paused=False)


async def _wish(
    caller: Caller,
    parts: Parts,
    once: Idempotent,
    ask: Callable[[AsyncConnection], Awaitable[Asked]],
    *,
    paused: bool,
) -> Response:
    async def work(tx: AsyncConnection) -> Answer[OutboxEntry]:
        asked = await ask(tx)
        stands = asked.row["status"] == ExecutionStatus.PAUSED
        is_settled = asked.entry is None and stands == paused
        if asked.entry is not None:
            activity = noted(
                caller,
                Act.EXECUTION_PAUSED.value if paused else Act.EXECUTION_RESUMED.value,
                "workflow_executions",
                asked.row["id"],
            )
            await Activities(tx).note([activity])
        view = (await show_one(tx, asked.row)).model_dump(mode="json")
        return Answer(200 if is_settled else 202, view, carry=asked.entry)

    answer = await once.run(caller, work)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


@router.post(PATH + "/signal", operation_id="executions_signal", status_code=202, response_model=SignalView)
async def signal_execution(
    caller: Controller, parts: Parts, once: Idempotent, id: UUID, body: SignalBody
) -> Response:
    """Delivered once; kept until a step listens to its type."""
    event = {
        "specversion": "1.0",
        "id": body.id or str(uuid4()),
        "source": f"/v1/executions/{id}/signal",
        "type": body.type,
        "time": parts.clock().isoformat(),
        "datacontenttype": "application/json",
        "data": body.data,
    }

    async def work(tx: AsyncConnection) -> Answer[OutboxEntry]:
        sent = await Control(tx).signal(id, event)
        activity = noted(caller, Act.EXECUTION_SIGNALLED.value, "workflow_executions", id)
        await Activities(tx).note([activity])
        return Answer(202, {name: sent.event[name] for name in ("id", "type", "time")}, carry=sent.entry)

    answer = await once.run(caller, work)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()
