"""The steps of an export; `activities/exporting.py` does the work."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from activities.actions.context import ActionContext
from activities.actions.declaration import Action, Arguments, Result, action
from activities.exporting import Exporting
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault

#: Everything of an organization, read in one transaction.
_TIMEOUT = timedelta(hours=6)


class OneExport(Arguments):
    id: UUID


class Written(Result):
    is_ready: bool


def _exporting(context: ActionContext) -> Exporting:
    if context.services.exporting is None:
        raise Fault("configuration", 501, "No exporting", "this worker was wired without what exports")
    return context.services.exporting


@action(
    "export.write",
    version="1.0.0",
    title="Write an export",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=_TIMEOUT,
    is_internal=True,
)
async def write(context: ActionContext, arguments: OneExport) -> Written:
    """Write all rows of one moment into sealed pieces; repeating it begins with a moment of its own."""
    exporting = _exporting(context)
    return Written(is_ready=await exporting.write(context.organization_id, arguments.id))


@action(
    "export.fail",
    version="1.0.0",
    title="Give an export up",
    effect=Effect.IDEMPOTENT,
    lane=Lane.ACTIVITY,
    timeout=timedelta(minutes=1),
    is_internal=True,
)
async def fail(context: ActionContext, arguments: OneExport) -> Written:
    """Nothing of it can be fetched; what was written is swept."""
    await _exporting(context).fail(context.organization_id, arguments.id)
    return Written(is_ready=False)


ACTIONS: tuple[Action[Any], ...] = (write, fail)
