"""The steps of a bulk operation; `activities/bulk.py` does the work."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import Field

from activities.actions.context import ActionContext
from activities.actions.declaration import Action, Arguments, Result, action
from activities.bulk import BulkWork
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.errors import NotFound

#: Each of a part's executions may have a long log to be walked again.
_TIMEOUT = timedelta(minutes=15)


class Part(Arguments):
    operation: UUID
    number: int = Field(ge=0)


class Whole(Arguments):
    operation: UUID


class Worked(Result):
    executions: int


class Finished(Result):
    done: int
    refused: int


def _work(context: ActionContext) -> BulkWork:
    if context.services.bulk is None:
        raise Fault("configuration", 501, "No bulk work", "this worker was wired without what works on many")
    return context.services.bulk


def _gone() -> Fault:
    return Fault("runtime", 404, "Operation gone", "its report is older than reports are kept")


@action(
    "bulk.part",
    version="1.0.0",
    title="Act on some executions",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def part(context: ActionContext, arguments: Part) -> Worked:
    """What was done stays done; repeating it goes on with the rest."""
    work = _work(context)
    try:
        done = await work.part(
            context.organization_id, context.execution_id, arguments.operation, arguments.number
        )
    except NotFound:
        raise _gone() from None
    return Worked(executions=done)


@action(
    "bulk.finish",
    version="1.0.0",
    title="Finish a bulk operation",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=timedelta(minutes=1),
    is_internal=True,
)
async def finish(context: ActionContext, arguments: Whole) -> Finished:
    """Note that all were come to, and what came of them: the outcome of the process."""
    try:
        done, refused = await _work(context).complete(context.organization_id, arguments.operation)
    except NotFound:
        raise _gone() from None
    return Finished(done=done, refused=refused)


ACTIONS: tuple[Action[Any], ...] = (part, finish)
