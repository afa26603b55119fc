"""Executions follow their organization: still while it is deleted, going when it is restored."""

from datetime import timedelta

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.standstill import Standstill
from domain.actions import Effect, Lane


class Settle(Arguments):
    """Nothing: the organization is the execution's own."""


class SettledExecutions(Result):
    asked: int
    is_done: bool


@action(
    "organization.settle",
    version="1.0.0",
    title="Hold or release executions",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=10),
    is_internal=True,
)
async def settle(context: ActionContext, arguments: Settle) -> SettledExecutions:
    """Ask a batch of executions to stand still, or to go on, as the organization is deleted or not by now."""
    settled = await Standstill(context.transaction).settle(context.organization_id)
    context.told.extend(settled.entries)
    return SettledExecutions(asked=settled.asked, is_done=settled.is_done)
