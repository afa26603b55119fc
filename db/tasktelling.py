"""What executions are told of their tasks: the decision, and once more a run that a reset began."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import Outbox, OutboxEntry, OutboxRow
from db.tasks import WITH_EXECUTION, Task
from domain.executions import OutboxKind, TaskStatus
from domain.ids import derived_id


class TaskTelling:
    """Queued in the transaction of whoever decides, so that a decision and its word are never apart."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def tell(self, task: RowMapping, workflow_id: str | None) -> OutboxEntry | None:
        """Queue the word to the execution, once the task is closed; a task of no execution is told nobody."""
        if task["status"] == TaskStatus.OPEN or workflow_id is None:
            return None
        entry = _decision(task, workflow_id, f"{task['id']}/decision")
        await Outbox(self._tx).add(entry)
        return entry

    async def tell_again(self, execution_id: UUID, occurrences: Sequence[str], run_id: str) -> None:
        """Tell a run that a reset began what was decided in an earlier one; people are not asked twice.

        TaskTelling it twice changes nothing.
        """
        decided = (
            Task.execution_id == execution_id,
            Task.occurrence.in_(occurrences),
            Task.status.in_((TaskStatus.DECIDED, TaskStatus.EXPIRED)),
        )
        for task in (await self._tx.execute(WITH_EXECUTION.where(*decided))).mappings():
            told = _decision(task, task["temporal_workflow_id"], f"{task['id']}/decision/{run_id}")
            known = select(OutboxRow.id).where(OutboxRow.id == told.id)
            if await self._tx.scalar(known) is None:
                await Outbox(self._tx).add(told)


def _decision(task: RowMapping, workflow_id: str, key: str) -> OutboxEntry:
    return OutboxEntry(
        id=derived_id(key),
        organization_id=task["organization_id"],
        execution_id=task["execution_id"],
        kind=OutboxKind.SIGNAL,
        workflow_id=workflow_id,
        payload={
            "signal": "decide",
            "arguments": {
                "task_id": str(task["id"]),
                "occurrence": task["occurrence"],
                "decision": task["decision"],
            },
        },
    )
