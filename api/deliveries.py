"""The delivery ledger: what arrived at webhook triggers, what became of it, and sending it once more."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.accepting import accept
from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.deliveryviews import DeliverySummary, DeliveryView, show_delivery
from api.fields import Moment
from api.hookmessages import Message, understand
from api.hookrequests import WebhookMalformed
from api.hooks import HookAccepted
from api.idempotency import Answer, Idempotent
from api.ledger import Bodies, BodyGone
from api.pagination import Paging
from api.triggers import configuration_of
from db.deliveries import Deliveries, DeliveryFilters, NewDelivery
from db.outbox import OutboxEntry
from db.triggers import Triggers
from domain.errors import Conflict
from domain.permissions import Permission
from domain.webhooks.envelope import Envelope
from domain.webhooks.verdicts import REPLAYABLE, Malformed, Source, Verdict

router = APIRouter(tags=["triggers"])
Reader = Annotated[Caller, Depends(require(Permission.DELIVERIES_READ))]
Replayer = Annotated[Caller, Depends(require(Permission.DELIVERIES_REPLAY))]
PATH = "/v1/deliveries"


class NotReplayable(Conflict):
    """What did not prove where it comes from is not started on anybody's word."""

    code = "not_replayable"


class DeliveryPage(BaseModel):
    items: list[DeliverySummary]
    next_cursor: str | None


@router.get(PATH, operation_id="deliveries_list", response_model=DeliveryPage)
async def list_deliveries(
    *,
    caller: Reader,
    parts: Parts,
    paging: Paging,
    trigger_id: UUID | None = None,
    verdict: Annotated[list[Verdict], Query(description="May be repeated.")] = [],  # noqa: B006
    received_from: Annotated[Moment | None, Query(alias="from", description="Received at or after.")] = None,
    received_to: Annotated[Moment | None, Query(alias="to", description="Received before.")] = None,
) -> Any:
    """Newest first, without bodies. Requests to unknown addresses are not here: they belong to nobody."""
    filters = DeliveryFilters(trigger_id, verdict, received_from, received_to)
    async with parts.database.transaction(caller.access) as tx:
        rows = await Deliveries(tx).page(filters, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["received_at"], row["id"]), dict)


@router.get(PATH + "/{id}", operation_id="deliveries_get", response_model=DeliveryView)
async def get_delivery(caller: Reader, parts: Parts, id: UUID) -> Any:
    """With the body as it arrived, for 30 days; a replay shows the body it repeated."""
    row, envelope = await opened(parts, caller, id)
    return show_delivery(row, envelope)


@router.post(
    PATH + "/{id}/replay", operation_id="deliveries_replay", status_code=202, response_model=HookAccepted
)
async def replay_delivery(caller: Replayer, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Starts a new execution from the kept body, read as the trigger is configured now.

    Every call starts one more, unless repeated with the same Idempotency-Key. `$workflow.trigger.replay_of` names
    the delivery that is repeated.
    """
    answer = await once.run(caller, await replaying(parts, caller, id))
    if answer.carry is not None:
        await parts.dispatcher.dispatch(answer.carry)
    return answer.response()


async def replaying(
    parts: Collaborators, caller: Caller, id: UUID
) -> Callable[[AsyncConnection], Awaitable[Answer[OutboxEntry]]]:
    """What a replay does in its transaction, once it is sure that it may. Raises NotReplayable, BodyGone."""
    row, envelope = await opened(parts, caller, id)
    envelope = _replayable(row, envelope)
    async with parts.database.transaction(caller.access) as tx:
        trigger = await Triggers(tx).get(row["trigger_id"])
    message = await reread(trigger, envelope)

    async def replay(tx: AsyncConnection) -> Answer[OutboxEntry]:
        original = row["replay_of"] or row["id"]
        new = NewDelivery(
            id=uuid4(),
            organization_id=caller.organization,
            trigger_id=trigger["id"],
            source=Source.REPLAY,
            verdict=Verdict.ACCEPTED,
            method=row["method"],
            content_type=row["content_type"],
            size=row["size"],
            sha256=row["sha256"],
            event_id=row["event_id"],
            replay_of=original,
            received_at=parts.clock(),
        )
        entry, answer = await start_from(tx, caller, trigger, message, new, replay_of=str(original))
        return Answer(202, answer, carry=entry)

    return replay


async def start_from(
    tx: AsyncConnection,
    caller: Caller,
    trigger: RowMapping,
    message: Message,
    new: NewDelivery,
    **told: Any,
) -> tuple[OutboxEntry | None, dict[str, Any]]:
    """An execution on a person's word instead of a provider's proof, and its line in the ledger."""
    entry, accepted = await accept(
        tx,
        caller.organization,
        trigger["workflow_id"],
        trigger=message.trigger(trigger["name"], new.id, **told),
        input=message.input(new.id),
        started_by=caller.user_id,
    )
    execution_id = UUID(accepted["id"])
    await Deliveries(tx).add(replace(new, execution_id=execution_id))
    return entry, {"execution_id": str(execution_id), "delivery_id": str(new.id), "duplicate": False}


async def opened(parts: Collaborators, caller: Caller, id: UUID) -> tuple[RowMapping, Envelope | None]:
    """A delivery and what is kept of it; of a replay, what it repeated. Raises NotFound."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Deliveries(tx).get(id)
        origin = row if row["replay_of"] is None else await Deliveries(tx).get(row["replay_of"])
    return row, await Bodies(parts).open(origin)


async def reread(trigger: RowMapping, envelope: Envelope) -> Message:
    """Raises WebhookMalformed, NotAWebhook."""
    try:
        return await understand(configuration_of(trigger), envelope.request(), envelope.query)
    except Malformed as malformed:
        raise WebhookMalformed(str(malformed)) from None


def _replayable(row: RowMapping, envelope: Envelope | None) -> Envelope:
    verdict = Verdict(row["verdict"])
    if verdict is Verdict.DUPLICATE:
        raise NotReplayable("This is a duplicate; replay the delivery that was accepted.")
    if verdict not in REPLAYABLE:
        raise NotReplayable(
            f"This delivery was {verdict}: what did not prove itself is not started on a word."
        )
    if envelope is None:
        raise BodyGone
    return envelope
