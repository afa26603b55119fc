"""A real application on a real database, people in two organizations and a dispatcher that writes down."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import event, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.actions.registry import built_in
from api.app import create_app
from api.collaborators import Closed, Collaborators, Security
from api.tokens import ApiKey
from db.engine import create_engine
from db.keys import DataKeys
from db.outbox import OutboxEntry
from db.processes import Processes
from db.session import Access, Database, Role
from db.tables import metadata
from domain.actions import ActionSpec, Catalogue, Effect, Lane
from domain.permissions import Permission, RoleName
from tests.factories import rows
from workers.secret_values import MasterKey

SECURITY = Security(b"t" * 32, b"p" * 32, "http://127.0.0.1", password_cost=4, sign_up="open")

POOL = 8


def action(name: str, effect: Effect, lane: Lane) -> ActionSpec:
    anything = {"type": "object"}
    return ActionSpec(name, "1.0.0", name, "", effect, lane, timedelta(seconds=5), anything, anything)


CATALOGUE = Catalogue(
    [
        action("data.template", Effect.PURE, Lane.SEGMENT),
        action("email.send", Effect.KEYED, Lane.ACTIVITY),
        action("approve", Effect.IDEMPOTENT, Lane.TASK),
    ]
)
#: The product's own, with the actions that only they call.
PROCESSES = Processes(built_in().every_spec())
#: A definition with nothing wrong: what most tests store and publish.
GREETING = {"do": [{"greet": {"set": {"text": "hello"}}}]}


@dataclass
class Recorder:
    """Implements Dispatcher: remembers what was told, and says when an execution counts as finished."""

    told: list[OutboxEntry] = field(default_factory=list)
    waited: list[tuple[str, float]] = field(default_factory=list)
    #: Called with Temporal's workflow id while a request waits; returns whether it finished.
    finish: Any = None

    async def dispatch(self, entry: OutboxEntry) -> None:
        self.told.append(entry)

    async def settled(self, workflow_id: str) -> None:
        return None

    async def finished(self, workflow_id: str, timeout: float) -> Closed | None:  # noqa: ASYNC109 - the protocol's word
        self.waited.append((workflow_id, timeout))
        return Closed(None) if self.finish is not None and await self.finish(workflow_id) else None


@dataclass
class Person:
    """Somebody with an API key of one organization, and an HTTP client that uses it."""

    id: UUID
    email: str
    organization_id: UUID
    http: httpx2.AsyncClient

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.http.get(path, **options)

    async def post(self, path: str, json: Any = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(path, json=json, headers=named)

    async def change(self, path: str, json: Any, tag: str | None, method: str = "PATCH") -> httpx2.Response:
        headers = {} if tag is None else {"If-Match": tag}
        return await self.http.request(method, path, json=json, headers=headers)


@dataclass
class House:
    """`owner` and `member` work at one organization, `stranger` owns another."""

    database: Database
    dispatcher: Recorder
    owner: Person
    member: Person
    reviewer: Person
    stranger: Person
    admin: AsyncEngine
    app: Any

    async def warm(self) -> None:
        """Open every connection of the pool, so that concurrent requests really meet in the database."""
        async with AsyncExitStack() as opened:
            for _ in range(POOL):
                await opened.enter_async_context(self.database.transaction(Access(Role.API)))

    async def everything(self, table: str) -> list[Any]:
        """All rows of a table, whoever they belong to."""
        async with self.admin.connect() as connection:
            return list((await connection.execute(select(metadata.tables[table]))).mappings())

    async def put(self, table: str, **values: Any) -> Any:
        async with self.admin.begin() as connection:
            return await rows.row(connection, table, self.owner.organization_id, **values)

    @asynccontextmanager
    async def working(self, person: Person | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction as a worker of the organization has it."""
        access = Access(Role.WORKER, (person or self.owner).organization_id)
        async with self.database.transaction(access) as tx:
            yield tx

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[list[str]]:
        """The statements sent to PostgreSQL in the meantime."""
        sent: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            sent.append(statement)

        engine = self.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    async def published(self, definition: Any = None, **fields: Any) -> str:
        """The id of a published workflow."""
        body = {"name": "Greeting", "definition": definition or GREETING, **fields}
        created = await self.owner.post("/v1/workflows", body)
        assert created.status_code == 201, created.text
        id: str = created.json()["id"]
        done = await self.owner.post(f"/v1/workflows/{id}/publish")
        assert done.status_code == 201, done.text
        return id


@pytest.fixture
async def house(database_url: str, admin_url: str) -> AsyncIterator[House]:
    database, admin, dispatcher = Database(database_url, pool_size=POOL), create_engine(admin_url), Recorder()
    keys = DataKeys(database, [MasterKey("test", b"m" * 32)])
    app = create_app(
        Collaborators(database, keys, CATALOGUE, dispatcher, SECURITY, lambda: datetime.now(UTC), PROCESSES)
    )

    async def person(connection: AsyncConnection, organization_id: UUID, user_id: UUID) -> Person:
        key = ApiKey.new()
        await connection.execute(
            insert(metadata.tables["api_keys"]).values(
                organization_id=organization_id,
                user_id=user_id,
                name="test",
                key_id=key.key_id,
                secret_sha256=key.secret_sha256,
                scopes=[permission.value for permission in Permission],
            )
        )
        users = metadata.tables["users"]
        email = await connection.scalar(select(users.c.email).where(users.c.id == user_id))
        http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {key}"},
        )
        return Person(user_id, email, organization_id, http)

    people: list[Person] = []
    try:
        async with admin.begin() as connection:
            acme = await rows.organization(connection, slug=f"acme-{uuid4().hex[:6]}")
            other = await rows.organization(connection)
            worker = await rows.member(connection, acme["id"])
            reviewer = await rows.member(connection, acme["id"], role=RoleName.REVIEWER)
            for organization_id, user_id in (
                (acme["id"], acme["created_by"]),
                (acme["id"], worker["user_id"]),
                (acme["id"], reviewer["user_id"]),
                (other["id"], other["created_by"]),
            ):
                people.append(await person(connection, organization_id, user_id))
        yield House(database, dispatcher, *people, admin, app)
    finally:
        for each in people:
            await each.http.aclose()
        await database.close()
        await admin.dispose()


def problems(answer: httpx2.Response) -> dict[str, str]:
    """Pointer and code of every entry in `errors`."""
    return {each["pointer"]: each["code"] for each in answer.json()["errors"]}


def details(answer: httpx2.Response) -> Iterator[str]:
    yield answer.json()["detail"]
    for each in answer.json().get("errors", []):
        yield each["detail"]
