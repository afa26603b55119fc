"""Deciding tasks: the one way by which anybody does, and their deadlines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import OutboxEntry
from db.taskdeciders import Deciders
from db.taskhistory import TaskEvents, TaskLinks
from db.tasks import Tasks
from db.tasktelling import TaskTelling
from domain.errors import Forbidden
from domain.executions import TaskOutcome, TaskStatus
from domain.tasks import (
    AlreadyDecided,
    Decider,
    Decision,
    OnOverdue,
    is_same_word,
    is_theirs,
    overdue,
    require_arguments,
    require_assigned,
    require_form,
    require_outcome,
    require_repeat,
)
from domain.tasks.history import TaskEventKind


@dataclass(frozen=True, slots=True)
class Decided:
    """The task as it stands; `entry` is to be dispatched after the commit (None: nobody has to be told)."""

    task: RowMapping
    entry: OutboxEntry | None


class Deciding:
    """Of tasks of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._tasks = Tasks(tx)

    async def decide(self, id: UUID, decision: Decision, decider: Decider, *, at: datetime) -> Decided:
        """Say one's word about a task; the one that closes it is queued for its execution.

        The one way by which anybody decides: API, pages and links come here, and every rule is judged while the
        row is locked. The same word by the same person again changes nothing and answers the same. Raises
        NotFound, Forbidden (assigned to others, may not decide tasks), FourEyes, Invalid (outcome, digest or
        `data` do not fit), TaskClosed, TaskOverdue, TaskClaimed, ArgumentsChanged, AlreadyDecided.
        """
        task = await self._tasks.locked(id)
        require_assigned(task["assignees"], decider)
        words = await TaskEvents(self._tx).words(id)
        own = next((word for word in words if is_theirs(word, decider)), None)
        if task["status"] != TaskStatus.OPEN:
            require_repeat(decision, decider, task["status"], task["decision"], own)
            return Decided(await self._tasks.get(id), None)
        if own is not None:
            if not is_same_word(decision, own):
                raise AlreadyDecided(
                    f"You have {own['outcome']} this task at {own['created_at'].isoformat()}; everybody's word "
                    "counts once."
                )
            return Decided(await self._tasks.get(id), None)
        await Deciders(self._tx).require_able(task, decider, at)
        require_outcome(task, decision)
        require_arguments(task, decision)
        require_form(task["form"], decision)
        before = None if task["quorum"] == 1 else [_said(word) for word in words]
        given = {
            "outcome": decision.outcome.value,
            "comment": decision.comment,
            "data": decision.data,
            "arguments_digest": decision.arguments_digest,
            "decision": decision.as_json(decider, at, before=before),
        }
        await self._write(id, given, decider, at)
        await TaskLinks(self._tx).used(id, decider, at)
        return await self._told(task)

    async def expire(self, id: UUID, *, at: datetime) -> Decided | None:
        """Close a task that its deadline ends; None when somebody was quicker, or it stays open. A worker alone."""
        task = await self._tasks.locked(id)
        passed = task["due_at"] is not None and task["due_at"] <= at
        if task["status"] != TaskStatus.OPEN or task["on_overdue"] == OnOverdue.KEEP or not passed:
            return None
        await self._write(id, {"decision": overdue(task, at)}, Decider(None), at)
        await TaskEvents(self._tx).note(task, TaskEventKind.EXPIRED, on_overdue=task["on_overdue"])
        return await self._told(task)

    async def _write(self, id: UUID, given: Mapping[str, Any], decider: Decider, at: datetime) -> None:
        """The database judges once more, and writes: no other statement may. Raises Forbidden."""
        person = {
            "user_id": None if decider.user_id is None else str(decider.user_id),
            "client_id": None if decider.client_id is None else str(decider.client_id),
            "at": at.isoformat(),
        }
        try:
            await self._tx.execute(_DECIDE, {"id": id, "given": {**given, **person}})
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _DENIED:
                raise
            raise Forbidden(  # whoever asked was looked up earlier than the database did
                "What you may decide has changed in the meantime, and nothing was recorded. Read the task again."
            ) from error

    async def _told(self, before: RowMapping) -> Decided:
        task = await self._tasks.get(before["id"])
        return Decided(task, await TaskTelling(self._tx).tell(task, before["temporal_workflow_id"]))


def _said(word: Mapping[Any, Any]) -> dict[str, Any]:
    """A word that did not close the task, as those that did are told."""
    decision = Decision(TaskOutcome(word["outcome"]), word["comment"], word["data"])
    return decision.as_json(Decider(word["user_id"], client_id=word["client_id"]), word["created_at"])


_DENIED: Final = "42501"
_DECIDE: Final = text("SELECT app.decide_task(:id, :given)").bindparams(bindparam("given", type_=JSONB))
