"""The steps of an erasure; `activities/erasing.py` does the work. Each may be repeated at any time."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from activities.actions.context import ActionContext
from activities.actions.declaration import Action, Arguments, Result, action
from activities.actions.mails import TemplateMail, deliver
from activities.erasing import Erasing
from db.erasure import Belonging
from db.tenants import PLATFORM
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.erasure import ErasureStatus

#: A step works for seconds; a batch of rows that many others refer to may take longer.
_TIMEOUT = timedelta(minutes=10)


class OneErasure(Arguments):
    id: UUID


class Rows(OneErasure):
    """The rows of `table` whose `column` names the subject."""

    table: str
    column: str


class Begun(Result):
    goes_on: bool
    #: By the worker's clock, until it may begin; 0 once it has begun, or was called off.
    seconds_left: int
    #: Erasures of organizations that go with a person.
    parts: list[UUID]


class Done(Result):
    is_done: bool


class StillOpen(Result):
    open: int


class Target(Result):
    table: str
    column: str


class Plan(Result):
    targets: list[Target]


class Told(Result):
    is_sent: bool


def _erasing(context: ActionContext) -> Erasing:
    erasing = context.services.erasing
    if erasing is None:
        raise Fault("configuration", 501, "No erasing", "this worker was wired without what erases")
    if context.organization_id != PLATFORM:
        raise Fault("authorization", 403, "Not here", "erasures run in the platform's own organization")
    return erasing


@action(
    "erasure.begin",
    version="1.0.0",
    title="Begin an erasure",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def begin(context: ActionContext, arguments: OneErasure) -> Begun:
    """From here there is no way back; an erasure that was called off does not go on."""
    erasing = _erasing(context)
    row = await erasing.begin(arguments.id)
    goes_on = row["status"] in (ErasureStatus.ERASING, ErasureStatus.ERASED)
    return Begun(
        goes_on=goes_on, seconds_left=erasing.seconds_left(row), parts=await erasing.parts(arguments.id)
    )


@action(
    "erasure.stop",
    version="1.0.0",
    title="Let nobody in any more",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def stop(context: ActionContext, arguments: OneErasure) -> Done:
    """The organization takes no requests, hooks or keys from now on."""
    await _erasing(context).stop(arguments.id)
    return Done(is_done=True)


@action(
    "erasure.end_executions",
    version="1.0.0",
    title="End all executions",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def end_executions(context: ActionContext, arguments: OneErasure) -> StillOpen:
    """Terminate everything that runs; answers how much is still open."""
    return StillOpen(open=await _erasing(context).end_executions(arguments.id))


@action(
    "erasure.delete_objects",
    version="1.0.0",
    title="Delete stored objects",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def delete_objects(context: ActionContext, arguments: OneErasure) -> Done:
    """Delete objects under the organization's prefix for some seconds."""
    return Done(is_done=await _erasing(context).delete_objects(arguments.id))


@action(
    "erasure.plan",
    version="1.0.0",
    title="List whose rows go",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def plan(context: ActionContext, arguments: OneErasure) -> Plan:
    """Tables in the order in which they are emptied, as this release knows them."""
    found = await _erasing(context).plan(arguments.id)
    return Plan(targets=[Target(table=each.table, column=each.column) for each in found])


@action(
    "erasure.loosen",
    version="1.0.0",
    title="Empty references that run in circles",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def loosen(context: ActionContext, arguments: OneErasure) -> Done:
    """So that rows can go in any order."""
    return Done(is_done=await _erasing(context).loosen(arguments.id))


@action(
    "erasure.delete_rows",
    version="1.0.0",
    title="Delete rows",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def delete_rows(context: ActionContext, arguments: Rows) -> Done:
    """Delete rows of one table in batches for some seconds."""
    belonging = Belonging(arguments.table, arguments.column)
    return Done(is_done=await _erasing(context).delete_rows(arguments.id, belonging))


@action(
    "erasure.shred",
    version="1.0.0",
    title="Shred the data keys",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def shred(context: ActionContext, arguments: OneErasure) -> Done:
    """Nothing that was sealed for the organization can be opened again, wherever a copy of it lies."""
    return Done(is_done=await _erasing(context).shred(arguments.id))


@action(
    "erasure.tell",
    version="1.0.0",
    title="Tell who asked for it",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(minutes=1),
    is_internal=True,
)
async def tell(context: ActionContext, arguments: OneErasure) -> Told:
    """One mail. The address is read where it is needed and stands in no step."""
    erasing = _erasing(context)
    told = await erasing.told(arguments.id)
    if told is None:
        return Told(is_sent=False)
    address, what = told
    mail = TemplateMail(template="erasure-done", to=address, values={"what": what})
    await deliver(context, mail)
    return Told(is_sent=True)


@action(
    "erasure.finish",
    version="1.0.0",
    title="Leave the tombstone",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def finish(context: ActionContext, arguments: OneErasure) -> Done:
    """The subject's own row is removed, or says nothing any more; what was erased, and when, is kept."""
    await _erasing(context).finish(arguments.id)
    return Done(is_done=True)


ACTIONS: tuple[Action[Any], ...] = (
    begin,
    stop,
    end_executions,
    delete_objects,
    plan,
    loosen,
    delete_rows,
    shred,
    tell,
    finish,
)
