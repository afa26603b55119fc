"""Tasks as the engine opens them; what an end had cancelled that a reset undid is opened again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.taskhistory import TaskEvents
from db.tasks import Task
from domain.executions import TaskStatus
from domain.tasks import OnOverdue
from domain.tasks.history import TaskEventKind


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as the engine registers it; `id` comes from the occurrence, so registering twice is harmless."""

    id: UUID
    organization_id: UUID
    execution_id: UUID
    occurrence: str
    kind: str
    title: str
    step: str | None = None
    description: str | None = None
    form: Mapping[str, Any] | None = None
    assignees: Sequence[str] = ()
    arguments: Any = None
    arguments_digest: str | None = None
    four_eyes: bool = False
    four_eyes_steps: Sequence[str] = ()
    quorum: int = 1
    links: bool = False
    due_at: datetime | None = None
    on_overdue: OnOverdue = OnOverdue.KEEP
    remind_at: Sequence[datetime] = ()
    escalate_at: datetime | None = None
    escalate_to: Sequence[str] = ()
    next_due: datetime | None = None


#: What a task that is opened again keeps, and what it forgets.
_IDENTITY: Final = frozenset({"id", "organization_id", "execution_id", "occurrence"})
_AFRESH: Final[Mapping[str, Any]] = {
    "status": TaskStatus.OPEN,
    "claimed_by": None,
    "claimed_at": None,
    "escalated_at": None,
    "overdue_at": None,
    "announced_at": None,
}


async def open_task(tx: AsyncConnection, new: NewTask, **about: Any) -> bool:
    """Open a task, again if it had been cancelled (by an end that a reset undid); False when it stands already.

    `about` is what its history begins with.
    """
    given = {field.name: getattr(new, field.name) for field in fields(new)}
    given |= {name: [each.lower() for each in given[name]] for name in ("assignees", "escalate_to")}
    given |= {name: list(given[name]) for name in ("four_eyes_steps", "remind_at")}
    statement = insert(Task).values(given)
    again: dict[str, Any] = {name: statement.excluded[name] for name in given if name not in _IDENTITY}
    result = await tx.execute(
        statement.on_conflict_do_update(
            index_elements=[Task.id], set_={**again, **_AFRESH}, where=Task.status == TaskStatus.CANCELLED
        )
    )
    if result.rowcount != 1:
        return False
    row = {"id": new.id, "organization_id": new.organization_id}
    await TaskEvents(tx).note(row, TaskEventKind.OPENED, **about)
    return True
