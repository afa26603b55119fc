"""Doing one thing to many executions: how many are meant is shown first, then what comes of each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Query, Response

from api.bulk import (
    MOST_NAMED,
    BulkCancel,
    BulkRerun,
    Counting,
    Filters,
    cancel_many,
    count,
    get_operation,
    list_items,
    list_operations,
    rerun_many,
    stop_operation,
)
from api.console.executions.executions import Asked, Wanted
from api.console.frame.shell import PageRoute, Sent, Visit, Visitor, identifier
from api.console.frame.wording import begun_by
from api.errors import status_of
from api.idempotency import Once
from api.pagination import Paging
from db.runs import Runs
from domain.bulk import MOST, BulkAction, BulkOutcome
from domain.errors import Conflict, DomainError, Invalid
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH: Final = "/executions/bulk"
NEEDED: Final = {
    BulkAction.CANCEL: Permission.EXECUTIONS_CANCEL,
    BulkAction.RERUN: Permission.EXECUTIONS_START,
}
DONE: Final = {
    "begun": "It has begun; this page shows how far it is.",
    "stopping": "It is being stopped: executions that nobody has come to yet are left alone.",
}


@dataclass(frozen=True, slots=True)
class Meant:
    """Which executions: by filters as the list has them, or one by one."""

    action: BulkAction
    asked: Wanted
    ids: Sequence[UUID] = ()

    def filters(self, visitor: Visit) -> Filters:
        """As the API takes them. Raises Invalid, NotFound."""
        read = self.asked.filters(visitor)
        given = {
            "workflow_id": read.workflow_id,
            "status": list(read.statuses),
            "trigger": read.trigger,
            "from": None if read.created_from is None else read.created_from.isoformat(),
            "to": None if read.created_to is None else read.created_to.isoformat(),
            "parent_id": read.parent_id,
            "ids": list(self.ids),
        }
        return Filters.model_validate(given)

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What the form sends along so that it means the same."""
        return [("act", self.action.value), *self.asked.pairs, *(("id", str(each)) for each in self.ids)]

    @property
    def back(self) -> str:
        return self.asked.address()


@router.get(PATH)
async def bulk_page(
    visitor: Visitor, paging: Paging, asked: Asked, act: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """With `act` what would be done, without it what was done lately."""
    visitor.require(Permission.EXECUTIONS_READ)
    if act:
        return await _confirming(visitor, Meant(_action(visitor, act), asked))
    page = await list_operations(visitor.caller, visitor.parts, paging)
    next_cursor = page["next_cursor"]
    return visitor.render(
        "executions/bulk_list.html",
        operations=[
            {**each, "created_at": datetime.fromisoformat(each["created_at"])} for each in page["items"]
        ],
        next=f"{PATH}?{urlencode({'cursor': next_cursor})}" if next_cursor else None,
    )


@router.post("/executions/selected")
async def selected(visitor: Visitor) -> Response:
    """Those that were ticked in the list."""
    form = await visitor.form()
    action = _action(visitor, form.get("act", ""))
    ids = _ids(form)
    if not ids:
        return visitor.to("/executions", done="nothing")
    return await _confirming(visitor, Meant(action, Wanted(), ids))


@router.post(PATH)
async def begin(visitor: Visitor) -> Response:
    form = await visitor.form()
    action = _action(visitor, form.get("act", ""))
    meant = Meant(action, Wanted.of(form), _ids(form))
    once = Once(visitor.parts, visitor.request, form.get("key") or None)
    try:
        expected = int(form.get("expected", "0")) if form.get("expected", "0").isdecimal() else 0
        if not 1 <= expected <= MOST:
            raise Invalid("Nothing was done: look first at how many are meant.")
        filters = meant.filters(visitor)
        if action is BulkAction.CANCEL:
            cancelling = BulkCancel(filters=filters, expected=expected, reason=form.get("reason", "")[:500])
            answer = await cancel_many(visitor.caller, visitor.parts, once, cancelling)
        else:
            sure = form.get("irreversible") == "yes"
            rerunning = BulkRerun(filters=filters, expected=expected, confirm_irreversible=sure)
            answer = await rerun_many(visitor.caller, visitor.parts, once, rerunning)
    except (Conflict, Invalid) as refusal:
        return await _confirming(visitor, meant, refusal)
    return visitor.to(f"{PATH}/{orjson.loads(answer.body)['id']}", done="begun")


@router.get(PATH + "/{id}")
async def report(
    visitor: Visitor, paging: Paging, id: str, outcome: BulkOutcome | None = None, done: str = ""
) -> Response:
    return await _reported(visitor, paging, identifier(id), outcome, notice=DONE.get(done))


@router.post(PATH + "/{id}/stop")
async def stop(visitor: Visitor, paging: Paging, id: str) -> Response:
    visitor.require(Permission.EXECUTIONS_CANCEL)
    here = identifier(id)
    await visitor.form()
    try:
        await stop_operation(visitor.caller, visitor.parts, Once(visitor.parts, visitor.request, None), here)
    except Conflict as refusal:
        return await _reported(visitor, paging, here, None, problem=refusal)
    return visitor.to(f"{PATH}/{here}", done="stopping")


async def _confirming(visitor: Visit, meant: Meant, problem: DomainError | None = None) -> Response:
    """How many are meant just now, and the button that says so."""
    filters = meant.filters(visitor)
    number = (
        await count(visitor.caller, visitor.parts, Counting(action=meant.action, filters=filters))
    ).count
    async with visitor.transaction() as tx:
        names = {row["id"]: row["name"] for row in await Runs(tx).workflows(200)}
    return visitor.render(
        "executions/bulk_confirm.html",
        200 if problem is None else status_of(problem),
        meant=meant,
        number=number,
        most=MOST,
        told=list(_told(visitor, meant, names)),
        key=uuid4(),
        problem=problem,
    )


async def _reported(
    visitor: Visit,
    paging: Any,
    id: UUID,
    outcome: BulkOutcome | None,
    *,
    notice: str | None = None,
    problem: DomainError | None = None,
) -> Response:
    visitor.require(Permission.EXECUTIONS_READ)
    operation = await get_operation(visitor.caller, visitor.parts, id)
    page = await list_items(visitor.caller, visitor.parts, paging, id, outcome)
    async with visitor.transaction() as tx:
        named = await Runs(tx).among([each["execution_id"] for each in page["items"]])
    next_cursor = page["next_cursor"]
    narrowed = {} if outcome is None else {"outcome": outcome.value}
    return visitor.render(
        "executions/bulk_report.html",
        200 if problem is None else status_of(problem),
        operation=operation,
        items=[{**each, "execution": named.get(each["execution_id"])} for each in page["items"]],
        outcome=outcome,
        next=f"{PATH}/{id}?{urlencode({**narrowed, 'cursor': next_cursor})}" if next_cursor else None,
        may_stop=operation["completed_at"] is None and visitor.may(Permission.EXECUTIONS_CANCEL),
        notice=notice,
        problem=problem,
    )


def _action(visitor: Visit, word: str) -> BulkAction:
    """Raises Invalid, Forbidden."""
    if word not in set(BulkAction):
        raise Invalid("This page cancels or reruns executions; follow a button of the list.")
    action = BulkAction(word)
    visitor.require(Permission.EXECUTIONS_READ, NEEDED[action])
    return action


def _ids(form: Sent) -> list[UUID]:
    """Raises NotFound, Invalid."""
    named = dict.fromkeys(form.getlist("id"))
    if len(named) > MOST_NAMED:
        raise Invalid(f"At most {MOST_NAMED} executions can be chosen one by one; use the filters instead.")
    return [identifier(each) for each in named]


def _told(visitor: Visit, meant: Meant, names: dict[UUID, str]) -> Any:
    """The filters in words."""
    asked = meant.asked
    if meant.ids:
        yield "Chosen in the list", str(len(meant.ids))
    if asked.workflow_id:
        yield "Workflow", names.get(identifier(asked.workflow_id), asked.workflow_id)
    if asked.status:
        yield "Status", ", ".join(each.replace("_", " ") for each in asked.status)
    if asked.trigger:
        yield "Trigger", begun_by(asked.trigger)
    if asked.since:
        yield "Queued from", f"{asked.since} ({visitor.zone.key})"
    if asked.until:
        yield "Queued to", f"{asked.until}, the whole day ({visitor.zone.key})"
    if asked.parent_id:
        yield "Started by", asked.parent_id
