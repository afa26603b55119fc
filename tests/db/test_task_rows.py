"""The inbox in the database: registered once, decided once, closed with its execution."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.executions import ExecutionStep
from db.mirror import Mirror, Reporter
from db.outbox import OutboxRow
from db.session import Access, Database, Role
from db.tables import metadata
from db.taskdeciding import Deciding
from db.taskopening import NewTask, open_task
from db.tasks import TaskFilters, Tasks
from domain.definitions.commands import StepRecord
from domain.errors import Forbidden, Invalid, NotFound
from domain.executions import ExecutionStatus, OutboxKind, StepStatus, TaskOutcome, TaskStatus
from domain.mirror import Snapshot
from domain.permissions import RoleName
from domain.tasks import Decider, Decision, TaskClosed
from tests.factories import rows

APPROVED, REJECTED = Decision(TaskOutcome.APPROVED), Decision(TaskOutcome.REJECTED)


class World:
    """One organization with an execution; `worker` and `api` are its two kinds of access."""

    def __init__(self, database: Database, admin: AsyncEngine, execution: Any, owner: Any) -> None:
        self.database = database
        self.admin = admin
        self.organization_id: UUID = execution["organization_id"]
        self.execution = execution
        self.decider = Decider(owner["id"], owner["email"], "owner")
        self.worker = Access(Role.WORKER, self.organization_id)
        self.api = Access(Role.API, self.organization_id, owner["id"])

    def task(self, **given: Any) -> NewTask:
        values = {
            "id": uuid4(),
            "occurrence": f"/do/0/ask#{uuid4().hex[:4]}",
            "kind": "approve",
            "title": "May we?",
        }
        return NewTask(
            organization_id=self.organization_id, execution_id=self.execution["id"], **{**values, **given}
        )

    async def person(self, role: RoleName = RoleName.REVIEWER, **given: Any) -> Decider:
        """A new member of the organization."""
        async with self.admin.begin() as connection:
            user = await rows.user(connection)
            await rows.member(connection, self.organization_id, user_id=user["id"], role=role, **given)
        return Decider(user["id"], user["email"], role.value)

    def as_(self, decider: Decider) -> Access:
        """How the API acts for a person, and a worker for a client or a deadline."""
        return Access(Role.API, self.organization_id, decider.user_id) if decider.user_id else self.worker

    async def register(self, new: NewTask) -> bool:
        async with self.database.transaction(self.worker) as tx:
            return await open_task(tx, new)

    async def decide(
        self,
        id: UUID,
        decision: Decision,
        decider: Decider | None = None,
        *,
        at: datetime | None = None,
        dies_before_commit: bool = False,
    ) -> Any:
        by = decider or self.decider
        async with self.database.transaction(self.as_(by)) as tx:
            decided = await Deciding(tx).decide(id, decision, by, at=at or datetime.now(UTC))
            if dies_before_commit:
                raise RuntimeError
            return decided


@pytest.fixture
async def world(database_url: str, admin_url: str) -> AsyncIterator[World]:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=4)
    try:
        async with admin.begin() as connection:
            acme = await rows.organization(connection)
            execution = await rows.execution(connection, acme["id"])
            users = metadata.tables["users"]
            email = await connection.scalar(select(users.c.email).where(users.c.id == acme["created_by"]))
            owner = {"id": acme["created_by"], "email": email}
        yield World(database, admin, execution, owner)
    finally:
        await database.close()
        await admin.dispose()


async def test_a_task_is_registered_once(world: World) -> None:
    new = world.task(assignees=["Role:Reviewer"], form={"type": "object"})
    assert [await world.register(new) for _ in range(2)] == [True, False]
    async with world.database.transaction(world.api) as tx:
        row = await Tasks(tx).get(new.id)
    assert (row["assignees"], row["form"], row["status"]) == (["role:reviewer"], {"type": "object"}, "open")
    await world.decide(new.id, APPROVED, await world.person())
    assert await world.register(new) is False
    async with world.database.transaction(world.api) as tx:
        assert (await Tasks(tx).get(new.id))["status"] == "decided"


async def test_a_decision_and_its_word_stand_together(world: World) -> None:
    new = world.task()
    await world.register(new)
    with pytest.raises(RuntimeError):
        await world.decide(new.id, APPROVED, dies_before_commit=True)
    async with world.database.transaction(world.api) as tx:
        assert (await Tasks(tx).get(new.id))["status"] == "open"
        assert (await tx.execute(select(OutboxRow.id))).all() == []
    decided = await world.decide(new.id, APPROVED)
    async with world.database.transaction(world.api) as tx:
        [word] = (await tx.execute(select(*OutboxRow.__table__.c))).mappings().all()
    assert (word["id"], word["kind"]) == (decided.entry.id, OutboxKind.SIGNAL)
    assert word["workflow_id"] == world.execution["temporal_workflow_id"]


async def test_the_first_of_two_decisions_wins(world: World) -> None:
    new = world.task()
    await world.register(new)
    async with world.database.transaction(world.api) as tx:
        won = await Deciding(tx).decide(new.id, APPROVED, world.decider, at=datetime.now(UTC))
        late = asyncio.create_task(world.decide(new.id, REJECTED))
        await asyncio.sleep(0.3)  # it has read the task as open and waits for the row
        assert not late.done()
    with pytest.raises(TaskClosed, match="approved"):
        await late
    again = await world.decide(new.id, APPROVED)
    assert (again.entry, again.task["decision"]) == (None, won.task["decision"])


async def test_refusals_leave_the_task_open(world: World) -> None:
    new = world.task(assignees=["role:reviewer"], form={"type": "object", "required": ["a"]})
    await world.register(new)
    with pytest.raises(Forbidden, match="role:reviewer"):
        await world.decide(new.id, APPROVED)
    reviewer = await world.person()
    with pytest.raises(Invalid) as refused:
        await world.decide(new.id, APPROVED, reviewer)
    assert refused.value.problems[0].pointer.startswith("#/data")
    with pytest.raises(NotFound):
        await world.decide(uuid4(), APPROVED)
    decided = await world.decide(new.id, Decision(TaskOutcome.APPROVED, None, {"a": 1}), reviewer)
    assert decided.task["decision"]["data"] == {"a": 1}


async def test_open_tasks_end_with_their_execution(world: World) -> None:
    first, second = world.task(), world.task()
    for new in (first, second):
        await world.register(new)
    await world.decide(first.id, REJECTED)
    reporter = Reporter(world.organization_id, world.execution["id"], "run")
    completed = Snapshot((1, 1, 1), ExecutionStatus.COMPLETED, 100, 0)
    async with world.database.transaction(world.worker) as tx:
        await Mirror(tx, reporter).finish(completed, [], output=None, error=None)
    with pytest.raises(TaskClosed, match="execution ended"):
        await world.decide(second.id, APPROVED)
    async with world.database.transaction(world.api) as tx:
        page = await Tasks(tx).page(TaskFilters(TaskStatus.CANCELLED), before=None, limit=10)
    assert [row["id"] for row in page] == [second.id]


async def test_steps_that_were_left_behind_end_with_their_execution(world: World) -> None:
    """A lost workflow task had begun a wait; its repetition was cancelled before it came there."""
    reporter = Reporter(world.organization_id, world.execution["id"], "run")
    wait = StepRecord("/do/0/rest#1", "/do/0/rest", "rest", "wait", None, 1, 1, StepStatus.WAITING, 1)
    async with world.database.transaction(world.worker) as tx:
        await Mirror(tx, reporter).report(Snapshot((1, 3, 1), ExecutionStatus.WAITING, 0, 0), [wait])
    async with world.database.transaction(world.worker) as tx:
        cancelled = Snapshot((1, 6, 1), ExecutionStatus.CANCELLED, 0, 0)
        await Mirror(tx, reporter).finish(cancelled, [], output=None, error=None)
    async with world.database.transaction(world.api) as tx:
        step = (await tx.execute(select(ExecutionStep.status, ExecutionStep.completed_at))).one()
    assert step.status == "cancelled"
    assert step.completed_at is not None
