"""One organization with an execution, and people who may or may not decide what it asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.actions.registry import built_in
from db.engine import create_engine
from db.processes import Processes
from db.session import Access, Database, Role
from db.tables import metadata
from db.taskdeciding import Decided, Deciding
from db.taskduties import Duties
from db.taskopening import NewTask, open_task
from db.tasks import Tasks
from domain.executions import TaskOutcome
from domain.permissions import RoleName
from domain.tasks import Decider, Decision, digest_of
from tests.factories import rows

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
APPROVED, REJECTED = Decision(TaskOutcome.APPROVED), Decision(TaskOutcome.REJECTED)
SECRET = b"t" * 32
PROCESSES = Processes(built_in().every_spec())


class TaskWorld:
    def __init__(
        self, database: Database, admin: AsyncEngine, organization_id: UUID, execution: Any, owner: Decider
    ) -> None:
        self.database = database
        self.admin = admin
        self.organization_id = organization_id
        self.execution = execution
        self.owner = owner
        self.worker = Access(Role.WORKER, organization_id)

    async def person(self, role: RoleName = RoleName.REVIEWER, **given: Any) -> Decider:
        """A new member of the organization."""
        async with self.admin.begin() as connection:
            user = await rows.user(connection)
            await rows.member(connection, self.organization_id, user_id=user["id"], role=role, **given)
        return Decider(user["id"], user["email"], role.value)

    async def client(self, **given: Any) -> Decider:
        given = {"email": f"client-{uuid4().hex[:8]}@example.test", **given}
        async with self.admin.begin() as connection:
            row = await rows.client(connection, self.organization_id, **given)
        return Decider(None, row["email"] or "", client_id=row["id"])

    def access(self, decider: Decider) -> Access:
        """How the API acts for a person, and a worker for a client or a deadline."""
        if decider.user_id is None:
            return self.worker
        return Access(Role.API, self.organization_id, decider.user_id)

    @asynccontextmanager
    async def as_(self, decider: Decider | None = None) -> AsyncIterator[AsyncConnection]:
        access = self.worker if decider is None else self.access(decider)
        async with self.database.transaction(access) as tx:
            yield tx

    def new(self, **given: Any) -> NewTask:
        arguments = given.get("arguments")
        values = {
            "id": uuid4(),
            "occurrence": f"/do/0/ask#{uuid4().hex[:6]}",
            "kind": "approval",
            "title": "May we?",
            "arguments_digest": None if arguments is None else digest_of(arguments),
        }
        return NewTask(
            organization_id=self.organization_id, execution_id=self.execution["id"], **{**values, **given}
        )

    async def open(self, **given: Any) -> UUID:
        new = self.new(**given)
        async with self.as_() as tx:
            assert await open_task(tx, new)
        return new.id

    async def decide(self, id: UUID, decision: Decision, by: Decider, *, at: datetime = NOW) -> Decided:
        async with self.as_(by) as tx:
            return await Deciding(tx).decide(id, decision, by, at=at)

    async def due(self, id: UUID, now: datetime) -> list[Any]:
        """What is due about one task at a moment is done."""
        async with self.as_() as tx:
            return list(await Duties(tx, PROCESSES, SECRET, now).see_to(id))

    async def row(self, id: UUID) -> Any:
        async with self.as_() as tx:
            return await Tasks(tx).get(id)

    async def everything(self, table: str, **where: Any) -> list[Any]:
        found = metadata.tables[table]
        async with self.admin.connect() as connection:
            statement = select(found).where(*(found.c[name] == value for name, value in where.items()))
            return list((await connection.execute(statement)).mappings())

    async def history(self, id: UUID) -> list[Any]:
        lines = await self.everything("task_events", task_id=id)
        return sorted(lines, key=lambda line: (line["created_at"], line["kind"]))

    async def words(self) -> list[Any]:
        """What executions are told."""
        return [row["payload"]["arguments"] for row in await self.everything("outbox", kind="signal")]

    async def mails(self) -> list[Any]:
        """Inputs of the mails that were begun."""
        return [
            row["trigger_data"]["input"] for row in await self.everything("workflow_executions", kind="mail")
        ]

    async def started_by(self, decider: Decider | None) -> None:
        executions = metadata.tables["workflow_executions"]
        changed = update(executions).where(executions.c.id == self.execution["id"])
        async with self.admin.begin() as connection:
            await connection.execute(changed.values(started_by=None if decider is None else decider.user_id))


@pytest.fixture
async def tasks(database_url: str, admin_url: str) -> AsyncIterator[TaskWorld]:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=6)
    try:
        async with admin.begin() as connection:
            acme = await rows.organization(connection, name="Acme", timezone="Europe/London")
            execution = await rows.execution(connection, acme["id"], started_by=acme["created_by"])
            users = metadata.tables["users"]
            email = await connection.scalar(select(users.c.email).where(users.c.id == acme["created_by"]))
        owner = Decider(acme["created_by"], email, "owner")
        yield TaskWorld(database, admin, acme["id"], execution, owner)
    finally:
        await database.close()
        await admin.dispose()


def hours(number: float) -> timedelta:
    return timedelta(hours=number)
