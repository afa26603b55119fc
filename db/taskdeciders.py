"""Who may decide a task at this moment: standing, deadline, four eyes and claims, whatever the word they would say."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.taskcandidates import Candidates
from db.taskhistory import TaskEvents
from domain.errors import DomainError, Forbidden
from domain.executions import TaskStatus
from domain.tasks import (
    AlreadyDecided,
    Decider,
    TaskClosed,
    is_theirs,
    require_assigned,
    require_in_time,
    require_other_eyes,
    require_unclaimed,
)


class Deciders:
    """Of tasks of the entered organization."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def obstacle(
        self, task: Mapping[Any, Any], decider: Decider, *, at: datetime
    ) -> DomainError | None:
        """Why this person could not decide the task now, whatever they said; None when they could."""
        try:
            require_assigned(task["assignees"], decider)
            if task["status"] != TaskStatus.OPEN:
                return TaskClosed()
            await self.require_able(task, decider, at)
            words = await TaskEvents(self._tx).words(task["id"]) if task["quorum"] > 1 else ()
            if any(is_theirs(word, decider) for word in words):
                return AlreadyDecided("You have approved this; others still have to.")
        except DomainError as error:
            return error
        return None

    async def require_able(
        self, task: Mapping[Any, Any], decider: Decider, at: datetime, *, four_eyes: bool = True
    ) -> None:
        """Whoever may not decide this open task for whatever reason but its contents.

        Raises Forbidden, TaskOverdue, FourEyes, TaskClaimed.
        """
        if decider.user_id is not None and not await Candidates(self._tx).may_decide(decider.user_id):
            raise Forbidden("You may not decide tasks; ask an administrator of the organization.")
        require_in_time(task, at)
        if four_eyes:
            await self.require_other_eyes(task, decider)
        require_unclaimed(task, decider)

    async def require_other_eyes(self, task: Mapping[Any, Any], decider: Decider) -> None:
        """Raises FourEyes."""
        if task["four_eyes"] or task["four_eyes_steps"]:
            require_other_eyes(await self.barred(task["id"]), decider)

    async def barred(self, id: UUID) -> Sequence[RowMapping]:
        """Whom four eyes keep from a task: user_id or client_id, and the step they decided (None: started it)."""
        return (await self._tx.execute(_BARRED, {"id": id})).mappings().all()


_BARRED: Final = text("SELECT user_id, client_id, step FROM app.barred_from_task(:id)")
