"""What is due about open tasks: announcing, reminding, escalating, and closing those that nobody decided in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import User
from db.outbox import OutboxEntry
from db.processes import Processes
from db.taskcandidates import Candidates, Found
from db.taskdeciders import Deciders
from db.taskdeciding import Deciding
from db.taskhistory import TaskEvents
from db.taskmails import TaskMails
from db.tasks import TASK, Task
from domain.executions import TaskStatus
from domain.tasks import APPROVAL, CandidateKind, Due, Moments, OnOverdue
from domain.tasks.history import TaskEventKind

#: After something could not be done about a task, it is tried again this much later.
AGAIN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DueTask:
    organization_id: UUID
    id: UUID


async def due_tasks(tx: AsyncConnection, now: datetime, limit: int) -> list[DueTask]:
    """Of all organizations that are active, in turn, each one's longest overdue first. As app_system."""
    rows = await tx.execute(_DUE, {"now": now, "limit": limit})
    return [DueTask(row.organization_id, row.id) for row in rows]


class Duties:
    """What is due about one task, in one transaction of a worker of its organization."""

    def __init__(self, tx: AsyncConnection, processes: Processes, token_secret: bytes, now: datetime) -> None:
        self._tx = tx
        self._processes = processes
        self._secret = token_secret
        self._now = now

    async def see_to(self, id: UUID) -> list[OutboxEntry]:
        """Everything due at this moment; what is to be dispatched after the commit.

        Nothing for a task that somebody else is seeing to, or that is not due any more.
        """
        due = (Task.id == id, Task.status == TaskStatus.OPEN, Task.next_due <= self._now)
        locked = select(*TASK).where(*due).with_for_update(skip_locked=True)
        task = (await self._tx.execute(locked)).mappings().one_or_none()
        if task is None:
            return []
        moments, entries = moments_of(task), []
        changed: dict[str, Any] = {}
        for duty in moments.due(self._now):
            match duty:
                case Due.ANNOUNCE:
                    entries += await self._announce(task)
                    changed["announced_at"] = self._now
                case Due.REMIND:
                    entries += await self._remind(task)
                case Due.ESCALATE:
                    added, told = await self._escalate(task)
                    entries += told
                    changed |= {**added, "escalated_at": self._now}
                case Due.OVERDUE:
                    changed["overdue_at"] = self._now
        left = moments.after(self._now)
        await self._change(id, **changed, remind_at=list(left.remind_at), next_due=left.next)
        if "overdue_at" in changed:
            entries += await self._overdue(task)
        return entries

    async def put_off(self, id: UUID) -> None:
        """Something about this task cannot be done now; others must not wait for it."""
        await self._change(id, next_due=self._now + AGAIN)

    async def _change(self, id: UUID, **values: Any) -> None:
        await self._tx.execute(update(Task).where(Task.id == id).values(**values))

    async def _announce(self, task: RowMapping) -> list[OutboxEntry]:
        """The moment makes the mails' keys, as of all of them: a task that a reset opens anew is told of anew."""
        mails, found = self._mails(task), await self._candidates(task, task["assignees"])
        about = await mails.send(
            "task-open", found, members=task["links"], key=f"open/{self._now.isoformat()}"
        )
        await TaskEvents(self._tx).note(task, TaskEventKind.ANNOUNCED, **about)
        return mails.entries

    async def _remind(self, task: RowMapping) -> list[OutboxEntry]:
        """Whoever claimed the task; else candidates who have said nothing yet."""
        mails, found = self._mails(task), await self._candidates(task, task["assignees"])
        said = {word["user_id"] or word["client_id"] for word in await TaskEvents(self._tx).words(task["id"])}
        found.people = [person for person in found.people if person.user_id not in said]
        found.customers = [each for each in found.customers if each.client_id not in said]
        if task["claimed_by"] is not None:
            address = await self._tx.scalar(select(User.email).where(User.id == task["claimed_by"]))
            found = Found() if address is None else await self._candidates(task, [f"user:{address}"])
        about = await mails.send("task-reminder", found, key=f"remind/{self._now.isoformat()}")
        await TaskEvents(self._tx).note(task, TaskEventKind.REMINDED, **about)
        return mails.entries

    async def _escalate(self, task: RowMapping) -> tuple[Mapping[str, Any], list[OutboxEntry]]:
        """More people are asked. A claim that led to nothing ends: they could not decide beside it."""
        mails, found = self._mails(task), await self._candidates(task, task["escalate_to"])
        about: dict[str, Any] = {"to": task["escalate_to"]}
        about |= await mails.send("task-escalated", found, key=f"escalate/{self._now.isoformat()}")
        changed: dict[str, Any] = {"claimed_by": None, "claimed_at": None}
        if task["claimed_by"] is not None:
            about["released_from"] = str(task["claimed_by"])
        if task["assignees"]:  # without candidates it is everybody's already
            changed["assignees"] = list(dict.fromkeys([*task["assignees"], *task["escalate_to"]]))
        if found.unknown:
            about["unknown"] = found.unknown
        await TaskEvents(self._tx).note(task, TaskEventKind.ESCALATED, **about)
        return changed, mails.entries

    async def _overdue(self, task: RowMapping) -> list[OutboxEntry]:
        if task["on_overdue"] == OnOverdue.KEEP:
            await TaskEvents(self._tx).note(task, TaskEventKind.OVERDUE)
            return []
        expired = await Deciding(self._tx).expire(task["id"], at=self._now)
        return [] if expired is None or expired.entry is None else [expired.entry]

    async def _candidates(self, task: RowMapping, names: Sequence[str]) -> Found:
        if not names:
            return Found()
        found = await Candidates(self._tx).resolve(names, authorizing=task["kind"] == APPROVAL)
        barred = {
            each["user_id"] or each["client_id"] for each in await Deciders(self._tx).barred(task["id"])
        }
        found.people = [person for person in found.people if person.user_id not in barred]
        found.customers = [each for each in found.customers if each.client_id not in barred]
        return found

    def _mails(self, task: RowMapping) -> TaskMails:
        return TaskMails(self._tx, self._processes, self._secret, task, self._now)


def moments_of(task: Mapping[Any, Any]) -> Moments:
    """What is still to come for a task, as its row says."""
    clients = any(name.startswith(f"{CandidateKind.CLIENT.value}:") for name in task["assignees"])
    announces = (task["links"] or clients) and task["announced_at"] is None
    return Moments(
        # At once, by whichever of two clocks is behind.
        announce_at=min(task["created_at"], task["next_due"]) if announces and task["next_due"] else None,
        remind_at=tuple(task["remind_at"]),
        escalate_at=task["escalate_at"] if task["escalated_at"] is None else None,
        due_at=task["due_at"] if task["overdue_at"] is None else None,
    )


_DUE = text(
    """
    SELECT organization_id, id FROM (
        SELECT t.organization_id, t.id, t.next_due,
            row_number() OVER (PARTITION BY t.organization_id ORDER BY t.next_due) AS turn
        FROM tasks AS t JOIN organizations AS o ON o.id = t.organization_id AND o.is_active
        WHERE t.status = 'open' AND t.next_due <= :now) AS lined
    ORDER BY turn, next_due LIMIT :limit
    """
)
