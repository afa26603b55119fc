"""The pages of deliveries: what arrived at webhooks, why it was taken or not, and sending it once more."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Response

from api.console.frame.jsonview import JsonView, json_view
from api.console.frame.shell import PageRoute, Visit, Visitor, identifier
from api.deliveries import opened, replaying
from api.deliveryviews import show_delivery
from api.pagination import Paging
from api.strictjson import read
from db.deliveries import Deliveries, DeliveryFilters
from db.triggers import Triggers
from domain.errors import DomainError, Invalid
from domain.permissions import Permission
from domain.webhooks.verdicts import Verdict

router = APIRouter(route_class=PageRoute, include_in_schema=False)

NOTICES: Final = {"replayed": "Replayed: this is the delivery that was made of it."}
#: What a verdict means, for whoever looks for the reason.
MEANINGS: Final = {
    Verdict.RECEIVING: "Its body is on its way into the store.",
    Verdict.ACCEPTED: "It proved where it comes from and started an execution.",
    Verdict.DUPLICATE: "It had been accepted before, so it started nothing more.",
    Verdict.CHALLENGE: "The provider asked whether somebody is here; that starts nothing.",
    Verdict.TESTED: "A test that was read as the provider's own requests are.",
    Verdict.REJECTED: "It is authentic, but the workflow could not be started with it.",
    Verdict.MALFORMED: "It is authentic, but could not be read.",
    Verdict.STALE: "Its signature is too old to be believed.",
    Verdict.FORGED: "It did not prove where it comes from, so nothing of it was kept.",
    Verdict.OVERSIZED: "It was larger than this address takes.",
}


@router.get("/deliveries")
async def deliveries(visitor: Visitor, paging: Paging, trigger_id: str = "", verdict: str = "") -> Response:
    visitor.require(Permission.DELIVERIES_READ)
    if verdict and verdict not in set(Verdict):
        raise Invalid(f"No delivery is ever {verdict[:40]!r}; choose from the filters.")
    wanted = identifier(trigger_id) if trigger_id else None
    filters = DeliveryFilters(wanted, [Verdict(verdict)] if verdict else [])
    async with visitor.transaction() as tx:
        hooks = await Triggers(tx).webhooks()
        rows = await Deliveries(tx).page(filters, before=paging.before, limit=paging.fetch)
    page = paging.page(rows, lambda row: (row["received_at"], row["id"]), dict)
    asked = {name: value for name, value in (("trigger_id", trigger_id), ("verdict", verdict)) if value}
    return visitor.render(
        "triggers/deliveries.html",
        rows=page["items"],
        hooks=hooks,
        named={hook["id"]: hook for hook in hooks},
        verdicts=list(Verdict),
        asked=asked,
        may_see=visitor.may(Permission.EXECUTIONS_READ),
        next=f"/deliveries?{urlencode({**asked, 'cursor': page['next_cursor']})}"
        if page["next_cursor"]
        else None,
    )


@router.get("/deliveries/{id}")
async def delivery(visitor: Visitor, id: str, done: str = "") -> Response:
    visitor.require(Permission.DELIVERIES_READ)
    return await _one(visitor, identifier(id), notice=NOTICES.get(done))


@router.post("/deliveries/{id}/replay")
async def replay(visitor: Visitor, id: str) -> Response:
    """A new execution from the kept body, read as the trigger is configured now."""
    visitor.require(Permission.DELIVERIES_READ, Permission.DELIVERIES_REPLAY)
    await visitor.form()
    delivery_id = identifier(id)
    try:
        work = await replaying(visitor.parts, visitor.caller, delivery_id)
        async with visitor.transaction() as tx:
            answer = await work(tx)
    except DomainError as refusal:
        return await _one(visitor, delivery_id, problem=refusal)
    if answer.carry is not None:
        await visitor.parts.dispatcher.dispatch(answer.carry)
    return visitor.to(f"/deliveries/{answer.body['delivery_id']}", done="replayed")


async def _one(
    visitor: Visit, id: UUID, *, notice: str | None = None, problem: DomainError | None = None
) -> Response:
    row, envelope = await opened(visitor.parts, visitor.caller, id)
    shown = show_delivery(row, envelope)
    async with visitor.transaction() as tx:
        trigger = await Triggers(tx).get(row["trigger_id"])
        names = {hook["id"]: hook["workflow"] for hook in await Triggers(tx).webhooks()}
    values: dict[str, Any] = {
        "delivery": shown,
        "trigger": trigger,
        "workflow": names.get(trigger["id"], "Open the workflow"),
        "meaning": MEANINGS[Verdict(row["verdict"])],
        "body": _body(shown.body if shown.body_encoding == "utf-8" else None),
        "may_replay": shown.replayable and visitor.may(Permission.DELIVERIES_REPLAY),
        "may_see": visitor.may(Permission.EXECUTIONS_READ),
    }
    if problem is not None:
        return visitor.refuse("triggers/delivery.html", problem, **values)
    return visitor.render("triggers/delivery.html", notice=notice, **values)


def _body(text: str | None) -> JsonView | None:
    """Indented where it is JSON; None for what is shown as it came."""
    if text is None:
        return None
    try:
        return json_view(read(text.encode()))
    except Invalid:
        return None
