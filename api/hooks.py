"""The public addresses of webhook triggers: `POST /v1/hooks/{token}`."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from api.caller import NOBODY
from api.collaborators import Collaborators, Parts
from api.errors import MethodNotAllowed, RouteNotFound, answer
from api.preferences import leniently
from api.receiving import Outcome, Receiver
from db.executions import Executions
from db.session import Access, Role
from db.starts import KIND
from db.triggers import Hook, find_hook
from domain.executions import ExecutionStatus
from domain.ids import WorkflowId
from domain.webhooks.challenges import Reply
from domain.webhooks.configuration import Configuration

router = APIRouter(tags=["triggers"])
PATH = "/v1/hooks/{token}"
_LONGEST_TOKEN = 200


class HookAccepted(BaseModel):
    """`delivery_id` is the delivery that was accepted; a duplicate names the first one and its execution."""

    execution_id: UUID | None
    delivery_id: UUID
    duplicate: bool


class HookResult(HookAccepted):
    status: ExecutionStatus
    output: Any


@router.post(
    PATH,
    operation_id="hooks_receive",
    status_code=202,
    response_model=HookAccepted,
    responses={200: {"model": HookResult, "description": "It finished within the trigger's `wait`."}},
)
@router.api_route(PATH, methods=["PUT", "PATCH", "GET"], include_in_schema=False)
async def receive_hook(
    *,
    request: Request,
    parts: Parts,
    token: str,
    prefer: Annotated[
        str | None,
        Header(description="`wait=N`: less than the trigger's own `wait`; 0 does not wait."),
    ] = None,
) -> Response:
    """Takes what a provider sends, in any format the trigger is configured for.

    Repeating a request starts nothing twice: it answers with the first execution and `duplicate: true`.
    """
    hook = await _hook(parts, token)
    configuration = Configuration.parse(hook.configuration)
    if request.method not in configuration.methods:
        allow = ", ".join(sorted(configuration.methods))
        return answer(request, MethodNotAllowed(f"This trigger takes {allow}."), allow=allow)
    receiver: Receiver = request.app.state.receiver
    outcome = await receiver.receive(hook, token, request)
    if isinstance(outcome, Reply):
        return _replied(outcome)
    preferred = leniently(prefer)
    longest = configuration.wait if preferred is None else min(configuration.wait, preferred)
    result = await _result(parts, hook, outcome, longest) if longest else None
    shown = result or HookAccepted(
        execution_id=outcome.execution_id, delivery_id=outcome.delivery_id, duplicate=outcome.duplicate
    ).model_dump(mode="json")
    return Response(orjson.dumps(shown), 202 if result is None else 200, media_type="application/json")


async def _hook(parts: Collaborators, token: str) -> Hook:
    """An unknown address answers like any other that does not exist, and leaves no trace."""
    if len(token) <= _LONGEST_TOKEN:
        async with parts.database.transaction(NOBODY) as tx:
            found = await find_hook(tx, token_sha256(token), parts.clock())
        if found is not None:
            return found
    raise RouteNotFound


def token_sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _replied(reply: Reply) -> Response:
    if reply.is_json:
        return Response(orjson.dumps({"challenge": reply.text}), media_type="application/json")
    return PlainTextResponse(reply.text)


async def _result(
    parts: Collaborators, hook: Hook, outcome: Outcome, seconds: int
) -> Mapping[str, Any] | None:
    """What came out, or None when it takes longer."""
    if outcome.execution_id is None:
        return None
    if not outcome.duplicate:
        address = WorkflowId(hook.organization_id, KIND, outcome.execution_id)
        if not await parts.dispatcher.finished(str(address), float(seconds)):
            return None
    async with parts.database.transaction(Access(Role.WORKER, hook.organization_id)) as tx:
        row = await Executions(tx).get(outcome.execution_id)
    if not ExecutionStatus(row["status"]).is_terminal:
        return None
    return HookResult(
        execution_id=outcome.execution_id,
        delivery_id=outcome.delivery_id,
        duplicate=outcome.duplicate,
        status=ExecutionStatus(row["status"]),
        output=row["output"],
    ).model_dump(mode="json")
