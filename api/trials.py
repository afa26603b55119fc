"""Trying a webhook trigger without its provider, and samples of what really arrived."""

import hashlib
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import acceptable
from api.auth import Caller, require
from api.collaborators import Parts
from api.deliveries import opened, reread, start_from
from api.deliveryviews import Contents, contents
from api.fields import AnyJson, Body
from api.idempotency import Answer, Idempotent, plain
from api.ledger import IN_ROW, Bodies
from db.deliveries import Deliveries, NewDelivery
from db.outbox import OutboxEntry
from db.triggers import Triggers
from domain.errors import Conflict, Forbidden
from domain.permissions import Permission
from domain.webhooks.envelope import Envelope
from domain.webhooks.verdicts import Source, Verdict

router = APIRouter(tags=["triggers"])
Writer = Annotated[Caller, Depends(require(Permission.TRIGGERS_WRITE))]
Reader = Annotated[Caller, Depends(require(Permission.DELIVERIES_READ))]
PATH = "/v1/triggers/{id}"
Value = Annotated[str, StringConstraints(max_length=2_000)]


class NoSample(Conflict):
    """Nothing that could serve as a sample has arrived here in the last 30 days; send a test first."""

    code = "no_sample"


class Trial(Body):
    body: AnyJson = Field(
        default_factory=dict, description="A JSON value; or a text sent as it is, with its content_type."
    )
    content_type: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+(;.*)?$", max_length=200)] = (
        "application/json"
    )
    query: dict[str, Value] = Field(default_factory=dict, max_length=100)
    headers: dict[str, Value] = Field(default_factory=dict, max_length=100)
    start: bool = Field(False, description="Start an execution too, as a delivery would.")


class Tried(BaseModel):
    delivery_id: UUID
    execution_id: UUID | None
    input: Any = Field(description="What `$input` is.")
    trigger: dict[str, Any] = Field(description="What `$workflow.trigger` is.")


class Sample(Contents):
    delivery_id: UUID
    received_at: datetime
    input: Any = Field(description="What `$input` is, read as the trigger is configured now.")


@router.post(PATH + "/test", operation_id="triggers_test", response_model=Tried)
async def try_trigger(
    caller: Writer, parts: Parts, once: Idempotent, id: UUID, body: Trial | None = None
) -> Response:
    """Reads a request as the trigger would, signature aside: you are the proof. 422 tells what a provider would get.

    It is written into the ledger as a test, so that it can serve as a sample; nothing is started unless `start`
    says so, which needs executions:start as well. The inbox is not asked: a test may be repeated.
    """
    asked = body or Trial()
    if asked.start and not caller.may(Permission.EXECUTIONS_START):
        raise Forbidden(f"This needs the permission {Permission.EXECUTIONS_START} too.")
    async with parts.database.transaction(caller.access) as tx:
        trigger = await Triggers(tx).get(id)
    envelope = _envelope(asked)
    message = await reread(trigger, envelope)
    delivery_id = uuid4()
    sealed = await Bodies(parts).seal(caller.organization, delivery_id, message.envelope())
    new = NewDelivery(
        id=delivery_id,
        organization_id=caller.organization,
        trigger_id=id,
        source=Source.TEST,
        verdict=Verdict.ACCEPTED if asked.start else Verdict.TESTED,
        method=envelope.method,
        content_type=message.request.content_type or None,
        size=len(envelope.body),
        sha256=hashlib.sha256(envelope.body).hexdigest(),
        received_at=parts.clock(),
        body=sealed if len(sealed) <= IN_ROW else None,
    )
    shown = {
        "delivery_id": str(delivery_id),
        "execution_id": None,
        "input": message.input(delivery_id),
        "trigger": message.trigger(trigger["name"], delivery_id),
    }

    async def attempt(tx: AsyncConnection) -> Answer[OutboxEntry]:
        if not asked.start:
            await acceptable(tx, trigger["workflow_id"], shown["input"], None)
            await Deliveries(tx).add(new)
            return Answer(200, shown)
        entry, started = await start_from(tx, caller, trigger, message, new)
        return Answer(200, {**shown, "execution_id": started["execution_id"]}, carry=entry)

    answer = await once.run(caller, attempt)
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


@router.get(PATH + "/sample", operation_id="triggers_sample", response_model=Sample)
async def get_sample(caller: Reader, parts: Parts, id: UUID) -> Any:
    """The latest delivery or test of this trigger, to write expressions against."""
    async with parts.database.transaction(caller.access) as tx:
        trigger = await Triggers(tx).get(id)
        row = await Deliveries(tx).sample(id)
    if row is None:
        raise NoSample
    _, envelope = await opened(parts, caller, row["id"])
    if envelope is None:
        raise NoSample
    message = await reread(trigger, envelope)
    return {
        **contents(envelope),
        "delivery_id": row["id"],
        "received_at": row["received_at"],
        "input": message.input(row["id"]),
    }


def _envelope(asked: Trial) -> Envelope:
    """The request a provider would have sent."""
    headers = {name.lower(): value for name, value in asked.headers.items()}
    headers["content-type"] = asked.content_type
    is_text = isinstance(asked.body, str) and "json" not in asked.content_type
    body = asked.body.encode() if is_text else orjson.dumps(asked.body, default=plain)
    return Envelope("POST", headers, dict(asked.query), body)
