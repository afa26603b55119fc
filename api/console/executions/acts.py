"""Buttons of an execution's page: cancel, pause, resume, send an event. Each does what the API's route does."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ValidationError

from api.console.executions.execution import shown
from api.console.frame.shell import PageRoute, Sent, Visit, Visitor, identifier
from api.control import SIGNAL_BYTES, SignalBody, pause_execution, resume_execution, signal_execution
from api.executions import CancelBody, cancel_execution
from api.idempotency import Once
from domain.errors import Conflict, Invalid, Problem
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH: Final = "/executions/{id}"
_MOST_REASON: Final = 500


@router.post(PATH + "/cancel")
async def cancel(visitor: Visitor, id: str) -> Response:
    async def ask(here: UUID, form: Sent) -> str:
        body = CancelBody(reason=form.get("reason", "")[:_MOST_REASON])
        answer = await cancel_execution(visitor.caller, visitor.parts, _once(visitor), here, body)
        return "cancelled" if answer.status_code == 200 else "cancelling"

    return await _done(visitor, id, Permission.EXECUTIONS_CANCEL, ask)


@router.post(PATH + "/pause")
async def pause(visitor: Visitor, id: str) -> Response:
    async def ask(here: UUID, _: Sent) -> str:
        await pause_execution(visitor.caller, visitor.parts, _once(visitor), here)
        return "pausing"

    return await _done(visitor, id, Permission.EXECUTIONS_CONTROL, ask)


@router.post(PATH + "/resume")
async def resume(visitor: Visitor, id: str) -> Response:
    async def ask(here: UUID, _: Sent) -> str:
        await resume_execution(visitor.caller, visitor.parts, _once(visitor), here)
        return "resuming"

    return await _done(visitor, id, Permission.EXECUTIONS_CONTROL, ask)


@router.post(PATH + "/signal")
async def signal(visitor: Visitor, id: str) -> Response:
    async def ask(here: UUID, form: Sent) -> str:
        # The form's own id: a second click, or the page sent again, delivers the event once.
        body = _signal(form.get("type", ""), form.get("data", ""), form.get("id") or None)
        await signal_execution(visitor.caller, visitor.parts, _once(visitor), here, body)
        return "signalled"

    return await _done(visitor, id, Permission.EXECUTIONS_CONTROL, ask)


async def _done(
    visitor: Visit, id: str, needed: Permission, ask: Callable[[UUID, Sent], Awaitable[str]]
) -> Response:
    """Back to the page, with what was done, or why it was not and what had been typed."""
    visitor.require(needed)
    here, form = identifier(id), await visitor.form()
    try:
        done = await ask(here, form)
    except (Conflict, Invalid) as refusal:
        return await shown(visitor, here, problem=refusal, typed=form)
    return visitor.to(f"/executions/{here}", done=done)


def _once(visitor: Visit) -> Once:
    """Without a key: cancelling and holding are the same however often they are asked, and a signal has its id."""
    return Once(visitor.parts, visitor.request, None)


def _signal(type: str, data: str, id: str | None) -> SignalBody:
    """Raises Invalid, naming the field of the form."""
    try:
        value: Any = json.loads(data) if data.strip() else None
    except (ValueError, RecursionError) as error:
        place = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        problem = Problem("data", f"The data is no JSON{place}.", 'Write an object such as {"order": 7}.')
        raise Invalid("The event was not sent: its data cannot be read.", problems=[problem]) from None
    try:
        return SignalBody(type=type, data=value, id=id)
    except ValidationError as refused:
        problems = [
            Problem(str(each["loc"][0]) if each["loc"] else "", f"{each['msg']}.", None)
            for each in refused.errors(include_url=False, include_input=False)
        ]
        message = f"The event was not sent: it has a type and at most {SIGNAL_BYTES // 1024} KB of data."
        raise Invalid(message, problems=problems) from None
