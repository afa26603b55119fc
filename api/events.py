"""Watching an execution: Server-Sent Events that begin with the whole and go on with what changes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.types import Send

from api.auth import Caller, authenticate, require
from api.collaborators import Collaborators, Parts
from api.errors import is_unavailable
from api.executionviews import ExecutionSummary, show_all
from api.idempotency import plain
from api.revisions import revision_of
from api.watching import Watch, Watching
from db.executions import Executions
from db.watching import Changes
from domain.errors import DomainError
from domain.executions import ExecutionStatus
from domain.permissions import Permission
from domain.watching import MAXIMUM_ID, Seen, course_of

router = APIRouter(tags=["executions"])
Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]

#: As often a quiet stream says that it lives, and every stream is asked again whether it may.
HEARTBEAT_SECONDS = 15.0
#: As many steps are told at a time; the snapshot says how many came before.
STEPS = 500
_HEADERS = {"X-Accel-Buffering": "no"}
#: One event of the stream: OpenAPI 3.1 has no word for the stream itself.
EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["snapshot", "step", "execution", "end"]},
        "id": {"type": "string", "description": "Goes into `Last-Event-ID` to go on from here."},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": EVENT}},
        "description": "`snapshot` {execution, steps, earlier_steps}, then `step` and `execution` as they change, "
        "at last `end` with the execution. A `snapshot` replaces all that was told before it: it comes again after a "
        "reset, which takes steps back.",
    },
    204: {"description": "The end was told before: an EventSource stops."},
}


class EventStream(StreamingResponse):
    """Frees what its events hold as soon as the client leaves."""

    media_type = "text/event-stream"
    body_iterator: AsyncGenerator[str, None]

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


@router.get(
    "/v1/executions/{id}/events",
    operation_id="executions_events",
    response_class=EventStream,
    responses=_DOCUMENTED,
)
async def watch_execution(
    caller: Reader,
    parts: Parts,
    request: Request,
    id: UUID,
    last_event_id: Annotated[str | None, Header(description="Go on after the event with this id.")] = None,
) -> Response:
    """Server-Sent Events; works with `EventSource` and its cookie as well."""
    seen = None if last_event_id is None else Seen.parse(last_event_id)
    story = _Story(parts, caller, request, id, seen)
    first = await story.read()  # what is not yours is answered before anything is sent
    if story.is_over and not first:  # this very end was told before; a reset may have led to another
        return Response(status_code=204)
    watching: Watching = request.app.state.watching
    # Entered here, so that too many streams are answered as a problem, not as a stream that breaks.
    entered = watching.watch(caller.name, caller.organization, id)
    watch = await entered.__aenter__()

    async def events() -> AsyncGenerator[str, None]:
        try:
            yield "retry: 2000\n\n"
            async with aclosing(story.tell(watch, first)) as told:
                async for text in told:
                    yield text
        finally:
            await entered.__aexit__(None, None, None)

    return EventStream(events(), headers=_HEADERS)


class _Story:
    """What one client is told of one execution."""

    def __init__(
        self, parts: Collaborators, caller: Caller, request: Request, id: UUID, seen: Seen | None
    ) -> None:
        self._parts = parts
        self._caller = caller
        self._request = request
        self._id = id
        self._seen = seen
        self._allowed_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        return self._seen is not None and self._seen.is_over

    async def tell(self, watch: Watch, first: list[str]) -> AsyncGenerator[str, None]:
        news = first
        try:
            while True:
                for text in news:
                    await self._require_access()
                    yield text
                if self.is_over:
                    return
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        if not await watch.changed():
                            return
                except TimeoutError:
                    news = [": still here\n\n"]
                else:
                    news = await self.read()
        except DomainError:  # the key, the session or the membership ended: whoever comes back is told why
            return
        except Exception as error:
            if not is_unavailable(error):
                raise
            return  # the client comes back with the id of the last event it has

    async def _require_access(self) -> None:
        """Asked of the credential itself, now and then: a busy stream must not outlive what opened it."""
        if time.monotonic() - self._allowed_at < HEARTBEAT_SECONDS:
            return
        # The organization it began in: that of a request without one may be another by now.
        caller = await authenticate(self._request, self._parts, None, str(self._caller.organization))
        await require(Permission.EXECUTIONS_READ)(caller)
        self._allowed_at = time.monotonic()

    async def read(self) -> list[str]:
        """What is new since the last reading. Raises NotFound, Forbidden."""
        async with self._parts.database.transaction(self._caller.access) as tx:
            # The row before the steps: what it ends with is told after all of them.
            row = await Executions(tx).get(self._id)
            [view] = await show_all(tx, [row], ExecutionSummary)
            course = course_of(row["reset_run_id"])
            if self._seen is None or self._seen.course != course or len(str(self._seen)) > MAXIMUM_ID:
                return await self._whole(tx, view, course)
            return [text async for text in self._changes(tx, view, self._seen)]

    async def _whole(self, tx: AsyncConnection, view: ExecutionSummary, course: str) -> list[str]:
        steps, earlier = await Changes(tx).latest_steps(self._id, STEPS)
        seen = Seen(course, highest=steps[0]["position"] - 1 if steps else 0)
        for step in steps:
            seen = seen.step(*_standing(step), is_due=step["retry_at"] is not None)
        is_over = view.status.is_terminal
        self._seen = seen.row(0 if is_over else revision_of(view.updated_at), is_over=False)
        whole = {"execution": view, "steps": [dict(step) for step in steps], "earlier_steps": earlier}
        told = [_event("snapshot", self._seen, whole)]
        if is_over:
            told.append(self._end(view, self._seen))
        return told

    async def _changes(self, tx: AsyncConnection, view: ExecutionSummary, seen: Seen) -> AsyncIterator[str]:
        more = True
        while more:
            steps = await Changes(tx).steps_after(self._id, seen, STEPS)
            before = seen
            for step in steps:
                is_due = step["retry_at"] is not None
                if seen.is_news(*_standing(step), is_due=is_due):
                    self._seen = seen = seen.step(*_standing(step), is_due=is_due)
                    yield _event("step", seen, dict(step))
            more = len(steps) == STEPS and seen != before
        revision = revision_of(view.updated_at)
        if revision == seen.revision:
            return
        if view.status.is_terminal:
            yield self._end(view, seen)
        else:
            self._seen = seen = seen.row(revision, is_over=False)
            yield _event("execution", seen, view)

    def _end(self, view: ExecutionSummary, seen: Seen) -> str:
        assert ExecutionStatus(view.status).is_terminal
        self._seen = seen.row(revision_of(view.updated_at), is_over=True)
        return _event("end", self._seen, view)


def _standing(step: RowMapping) -> tuple[int, str, int]:
    return step["position"], step["status"], step["attempt"]


def _event(name: str, seen: Seen, data: Any) -> str:
    """JSON has no line breaks, so one `data` line holds it."""
    return f"event: {name}\nid: {seen}\ndata: {orjson.dumps(data, default=plain).decode()}\n\n"
