"""What people do with a task besides deciding it: claim, release, delegate, comment."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.rows import one
from db.taskcandidates import Candidates
from db.taskdeciders import Deciders
from db.taskhistory import TaskEvents
from db.tasks import Task, Tasks
from domain.errors import Conflict, DomainError, Invalid, Problem
from domain.executions import TaskStatus
from domain.tasks import (
    Candidate,
    CandidateKind,
    Decider,
    FourEyes,
    TaskClaimed,
    TaskClosed,
    is_assigned,
    require_assigned,
)
from domain.tasks.history import TaskEventKind


class Handling:
    """Of tasks of the organization the transaction belongs to; each answers the task, or the line of a comment."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        self._tasks = Tasks(tx)
        self._deciders = Deciders(tx)

    @property
    def connection(self) -> AsyncConnection:
        """For what belongs into the same transaction."""
        return self._tx

    async def claim(self, id: UUID, decider: Decider, *, at: datetime) -> RowMapping:
        """Take a task upon oneself: nobody else decides it until it is released. Again changes nothing.

        Raises what `decide` raises for a person who may not decide, and Conflict for one that several decide.
        """
        task = await self._open(id)
        require_assigned(task["assignees"], decider)
        await self._deciders.require_able(task, decider, at)
        if task["quorum"] > 1:
            raise Conflict(
                f"{task['quorum']} people decide this task, so nobody can have it alone; just decide it."
            )
        if task["claimed_by"] is None:
            await self._move(id, claimed_by=decider.user_id, claimed_at=at)
            await TaskEvents(self._tx).note(task, TaskEventKind.CLAIMED, by=decider)
        return await self._tasks.get(id)

    async def release(self, id: UUID, decider: Decider, *, for_others: bool = False) -> RowMapping:
        """Give a claimed task back to all candidates; with `for_others` also one that somebody else has claimed.

        Raises TaskClaimed, TaskClosed. One that nobody has claimed stays as it is.
        """
        task = await self._open(id)
        if task["claimed_by"] is None:
            return await self._tasks.get(id)
        if task["claimed_by"] != decider.user_id and not for_others:
            raise TaskClaimed(
                f"User {task['claimed_by']} has claimed this task; they can release it, or somebody who may "
                "control executions."
            )
        about = {} if task["claimed_by"] == decider.user_id else {"of": str(task["claimed_by"])}
        # Noted first: for some it is this line by which they go on seeing the task.
        await TaskEvents(self._tx).note(task, TaskEventKind.RELEASED, by=decider, **about)
        await self._move(id, claimed_by=None, claimed_at=None)
        return await self._tasks.get(id)

    async def delegate(
        self, id: UUID, decider: Decider, to: str, *, at: datetime, comment: str | None = None
    ) -> RowMapping:
        """Hand a task to a member who may decide it: from now on it is theirs (where one person decides).

        `to` is an e-mail address, with or without `user:`. Raises Invalid at #/to when that member may not decide
        it, and what `decide` raises for a delegator who may not decide, save for four eyes: whom these keep away
        hands the task to one of its candidates, and does not choose further ones.
        """
        task = await self._open(id)
        require_assigned(task["assignees"], decider)
        await self._deciders.require_able(task, decider, at, four_eyes=False)
        delegate = await self._delegate(task, decider, to)
        mine: dict[str, Any] = (
            {} if task["quorum"] > 1 else {"claimed_by": delegate.user_id, "claimed_at": at}
        )
        name = delegate.names[0]
        if task["assignees"] and name not in task["assignees"]:
            mine["assignees"] = [*task["assignees"], name]
        about = {"to": name}
        # Noted first, as above.
        await TaskEvents(self._tx).note(task, TaskEventKind.DELEGATED, by=decider, comment=comment, **about)
        await self._move(id, **mine)
        return await self._tasks.get(id)

    async def comment(self, id: UUID, decider: Decider, words: str) -> RowMapping:
        """Say something about a task, open or closed, to whoever reads it; the line. Raises NotFound."""
        task = one(await self._tx.execute(select(Task.id, Task.organization_id).where(Task.id == id)))
        return await TaskEvents(self._tx).note(task, TaskEventKind.COMMENTED, by=decider, comment=words)

    async def _delegate(self, task: RowMapping, decider: Decider, to: str) -> Decider:
        try:
            wanted = Candidate.parse(to if ":" in to else f"user:{to}")
        except ValueError as error:
            raise _bad_delegate(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        if wanted.kind is not CandidateKind.USER:
            raise _bad_delegate("A task is delegated to a member, not to a role or a client.")
        found = await Candidates(self._tx).resolve([str(wanted)])
        if found.unknown:
            raise _bad_delegate(f"{found.unknown[str(wanted)]}.")
        [person] = found.people
        if person.user_id == decider.user_id:
            raise _bad_delegate("That is you.")
        if not person.sees_every and not task["assignees"] and task["quorum"] > 1:
            raise _bad_delegate(f"{person.email} sees only tasks that name them, and this one names nobody.")
        delegate = Decider(person.user_id, person.email, person.role)
        try:
            await self._deciders.require_other_eyes(task, delegate)
        except DomainError as error:
            raise _bad_delegate(error.message) from None
        if not is_assigned(task["assignees"], delegate) and not await self._may_choose(task, decider):
            raise _bad_delegate(
                f"Four eyes keep you from deciding, so you may hand this task to its candidates alone; {person.email} "
                "is none of them."
            )
        return delegate

    async def _may_choose(self, task: RowMapping, decider: Decider) -> bool:
        """Whoever could pick any second pair of eyes would have picked the decision."""
        try:
            await self._deciders.require_other_eyes(task, decider)
        except FourEyes:
            return False
        return True

    async def _open(self, id: UUID) -> RowMapping:
        task = await self._tasks.locked(id)
        if task["status"] != TaskStatus.OPEN:
            raise TaskClosed(f"This task is {task['status']}; nothing about it changes any more.")
        return task

    async def _move(self, id: UUID, **values: Any) -> None:
        await self._tx.execute(update(Task).where(Task.id == id).values(**values))


def _bad_delegate(message: str) -> Invalid:
    mend = "Name an active member of your organization who may decide this task, by e-mail address."
    return Invalid(problems=[Problem("#/to", message, mend, "not_a_delegate")])
