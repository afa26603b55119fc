"""The codec server: shows operators in Temporal's UI and command line what an organization's payloads hold.

It speaks the protocol of those two. A payload of an organization that the caller may not read comes back as it
was sent. Every reading is written down, without the values.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field

from api.auth import Caller, authenticate, cookie_name, identification_of
from api.collaborators import Collaborators, Parts, SealedPayloads
from api.identity import From
from api.sessions import Device
from db.activity import Activities, Activity
from db.executions import Executions
from domain.errors import Forbidden, Invalid, NotFound, Problem, Unauthenticated
from domain.ids import WorkflowId
from domain.keys import Unreadable
from domain.permissions import Permission

router = APIRouter(tags=["operations"])

#: A page of Temporal's UI asks for the payloads of one event, or of a whole history.
MOST_PAYLOADS = 1_000
MOST_ORGANIZATIONS = 10


class Payloads(BaseModel):
    """Temporal's own form: bytes in base64. What else a payload holds is kept as it came."""

    payloads: list[dict[str, Any]] = Field(max_length=MOST_PAYLOADS)


class Reader:
    """Who asks, in whichever of his organizations a payload belongs to."""

    def __init__(self, request: Request, parts: Collaborators) -> None:
        self._request = request
        self._parts = parts
        self._first: Caller | None = None
        self._others: dict[UUID, Caller | None] = {}

    async def identify(self) -> Caller:
        """Raises Unauthenticated, and Forbidden for a cookie that a strange page made the browser send."""
        self._first = await self._caller(None)
        return self._first

    async def within(self, organization_id: UUID) -> Caller | None:
        """The caller in this organization; None when he may not be there."""
        first = self._first
        if first is not None and first.organization_id == organization_id:
            return first
        if organization_id not in self._others and len(self._others) < MOST_ORGANIZATIONS:
            try:
                self._others[organization_id] = await self._caller(organization_id)
            except (Forbidden, Unauthenticated):
                self._others[organization_id] = None
        return self._others.get(organization_id)

    async def _caller(self, wanted: UUID | None) -> Caller:
        request = self._request
        header = None if wanted is None else str(wanted)
        if "authorization" in request.headers:
            return await authenticate(request, self._parts, None, header)
        cookie = request.cookies.get(cookie_name(self._parts))
        if cookie is None:
            raise Unauthenticated
        # Neither UI nor command line knows a form token: the browser itself says which page is asking.
        origin = request.headers.get("origin")
        if origin is None or origin not in (self._parts.security.public_url, self._parts.temporal_ui_url):
            raise Forbidden("Only Temporal's UI at PERDURE_TEMPORAL_UI_URL may ask with this cookie.")
        return await identification_of(request).by_cookie(cookie, wanted)


async def reader(request: Request, parts: Parts) -> Reader:
    found = Reader(request, parts)
    await found.identify()
    return found


async def sealing(parts: Parts) -> SealedPayloads:
    if parts.payloads is None:
        raise NotFound("This process has no codec.")
    return parts.payloads


Reading = Annotated[Reader, Depends(reader)]
Sealing = Annotated[SealedPayloads, Depends(sealing)]


@router.post("/codec/decode", operation_id="codec_decode", response_model=Payloads)
async def decode(who: Reading, sealed: Sealing, parts: Parts, device: From, body: Payloads) -> Any:
    """Payloads of executions you may read, opened; all others as they were sent."""
    answer: list[dict[str, Any]] = list(body.payloads)
    found: defaultdict[UUID, list[tuple[int, WorkflowId]]] = defaultdict(list)
    for position, payload in enumerate(body.payloads):
        id = _workflow_id(sealed.workflow_of(payload))
        if id is not None:
            found[id.organization_id].append((position, id))
    for organization_id, places in found.items():
        caller = await who.within(organization_id)
        if caller is None or not caller.may(Permission.EXECUTIONS_READ):
            continue
        opened: dict[int, dict[str, Any]] = {}
        for position, _ in places:
            try:
                opened[position] = await sealed.open(body.payloads[position])
            except Unreadable:
                continue
        read = [id for position, id in places if position in opened]
        await _note(parts, caller, device, "decode", read)
        for position, payload in opened.items():
            answer[position] = payload
    return {"payloads": answer}


@router.post("/codec/encode", operation_id="codec_encode", response_model=Payloads)
async def encode(
    *,
    who: Reading,
    sealed: Sealing,
    parts: Parts,
    device: From,
    body: Payloads,
    x_workflow_id: Annotated[
        str | None, Header(max_length=200, description="The execution that the payloads are for.")
    ] = None,
) -> Any:
    """Seals what you send to one execution with Temporal's command line; the engine refuses anything else.

    Temporal's UI cannot name the execution, so it cannot send values: use `/v1/executions/{id}/signal`.
    """
    id = _workflow_id(x_workflow_id)
    if id is None:
        raise Invalid(
            problems=[
                Problem(
                    "header/X-Workflow-Id",
                    "The header does not name the execution that the values are for.",
                    "Add --codec-header X-Workflow-Id=<workflow id>, or signal by POST /v1/executions/{id}/signal.",
                )
            ]
        )
    caller = await who.within(id.organization_id)
    if caller is None:
        raise NotFound
    if not caller.may(Permission.EXECUTIONS_CONTROL):
        raise Forbidden(f"This needs the permission {Permission.EXECUTIONS_CONTROL}.")
    async with parts.database.transaction(caller.access) as tx:
        await Executions(tx).get(id.execution_id)
    try:
        answer = [await sealed.seal(str(id), payload) for payload in body.payloads]
    except Unreadable as error:
        raise Invalid(problems=[Problem("#/payloads", f"Not a payload: {error}.")]) from error
    await _note(parts, caller, device, "encode", [id] * len(answer))
    return {"payloads": answer}


def _workflow_id(text: str | None) -> WorkflowId | None:
    try:
        return None if text is None else WorkflowId.parse(text)
    except ValueError:
        return None


async def _note(
    parts: Collaborators, caller: Caller, device: Device, action: str, read: Sequence[WorkflowId]
) -> None:
    """Who read how much of which executions, committed before he gets to see it."""
    if not read:
        return
    async with parts.database.transaction(caller.access) as tx:
        await Activities(tx).note(
            [
                Activity(
                    organization_id=caller.organization,
                    actor_type=caller.actor,
                    user_id=caller.user_id,
                    action=f"payloads.{action}",
                    resource="workflow_executions",
                    resource_id=str(id.execution_id),
                    metadata={"payloads": count, "actor": caller.name},
                    ip_address=device.address,
                    user_agent=device.user_agent,
                )
                for id, count in Counter(read).items()
            ]
        )
