"""Registers waits, in the transaction that shows them: somebody else must know of them before they begin."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities import listening
from activities.actions.approvals import Approve, Ask
from activities.actions.executions import RunWorkflow
from activities.actions.registry import Registry
from activities.asking import Opening, asked
from db.children import Children
from db.outbox import OutboxEntry
from db.tasktelling import TaskTelling
from domain.definitions.faults import Fault
from domain.ids import WorkflowId
from domain.keys import KeyRing
from domain.mirror import Snapshot
from domain.segments import Registered, Registration


class Registering:
    """Tasks enter the inbox, listens are subscribed, other executions are queued.

    What cannot be registered is a fault of its step alone. `told` is to be dispatched
    once the transaction has committed.
    """

    def __init__(
        self, registry: Registry, id: WorkflowId, snapshot: Snapshot | None, run_id: str, now: datetime
    ) -> None:
        self._registry = registry
        self._id = id
        self._snapshot = snapshot
        self._run_id = run_id
        self._now = now
        self._pages: dict[str, listening.Page] = {}
        self.faults: dict[str, dict[str, Any]] = {}
        self.told: list[OutboxEntry] = []

    async def register(self, connection: AsyncConnection, registration: Registration) -> None:
        wait = registration.wait
        try:
            match wait.kind:
                case "task":
                    async with connection.begin_nested():  # a task that is refused leaves nothing behind
                        await self._ask(connection, registration)
                case "event":
                    listener = listening.listener(self._id, self._snapshot, wait.occurrence, wait.types)
                    spent = sum(page.size for page in self._pages.values())
                    self._pages[wait.occurrence] = await listening.subscribe(connection, listener, spent)
                case "execution":
                    await self._run(connection, wait.occurrence, registration.arguments)
        except Fault as fault:
            self.faults[wait.occurrence] = fault.as_json()

    async def registered(self, keys: KeyRing) -> Registered:
        """What the workflow is told, once the transaction has committed."""
        earlier = {occurrence: await page.opened(keys) for occurrence, page in self._pages.items()}
        return Registered(earlier, self.faults)

    async def _ask(self, connection: AsyncConnection, registration: Registration) -> None:
        """A task that was decided before this run asked for it was reset: the run is told."""
        wait = registration.wait
        arguments = self._registry.check(registration.action, registration.version, registration.arguments)
        assert isinstance(arguments, Approve | Ask)
        task = asked(arguments, self._id, wait, self._now)
        opening = Opening(connection, task)
        if not await opening.open():
            await TaskTelling(connection).tell_again(self._id.execution_id, [wait.occurrence], self._run_id)

    async def _run(self, connection: AsyncConnection, occurrence: str, given: Any) -> None:
        """One that has ended answers once more only to a run that a reset began."""
        arguments = self._registry.check("workflow.run", "1.0.0", given)
        assert isinstance(arguments, RunWorkflow)
        id, children = self._id, Children(connection)
        child = arguments.child(id.organization_id, id.execution_id, occurrence, is_awaited=True)
        begun = await children.start(child)
        is_reset = self._snapshot is not None and self._snapshot.reset_run_id is not None
        if begun.row["completed_at"] is not None and is_reset:
            self.told += (await children.tell_again(id.execution_id, [occurrence], self._run_id))[:1]
        elif begun.entry is not None:
            self.told.append(begun.entry)
