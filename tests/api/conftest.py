"""The real application over its ASGI interface, on a real, freshly migrated database."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actions.registry import built_in
from api.app import create_app
from api.collaborators import Collaborators, Security
from db.engine import create_engine
from db.keys import DataKeys
from db.outbox import OutboxEntry
from db.processes import Processes
from db.session import Database
from domain.actions import Catalogue
from workers.secret_values import MasterKey

PASSWORD = "tidal ferns at dusk"
PROCESSES = Processes(built_in().every_spec())
MASTER_KEYS = [MasterKey("test", b"m" * 32)]
SECURITY = Security(b"t" * 32, b"p" * 32, "http://perdure.test", password_cost=4, sign_up="open")


def keys_of(database: Database) -> DataKeys:
    return DataKeys(database, MASTER_KEYS)


@dataclass
class Clock:
    """The application's time; tests move it forward instead of waiting."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **amount: float) -> None:
        self.ahead += timedelta(**amount)


@dataclass
class Recorder:
    """A dispatcher that keeps what it was given; the relay's own tests carry it further."""

    entries: list[OutboxEntry] = field(default_factory=list)

    async def dispatch(self, entry: OutboxEntry) -> None:
        self.entries.append(entry)

    async def settled(self, workflow_id: str) -> None:
        return None

    async def finished(self, workflow_id: str, timeout: float) -> None:  # noqa: ASYNC109  the protocol's own
        return None


@dataclass(frozen=True)
class Account:
    """A registered person and what they sign in with."""

    http: httpx2.AsyncClient
    email: str
    user_id: str
    organization_id: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.request("POST", path, **options)

    async def api_key(self, *scopes: str) -> dict[str, Any]:
        answer = await self.post("/v1/me/api-keys", json={"name": "a key", "scopes": list(scopes)})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created


@dataclass
class World:
    """One application with its parts in reach."""

    app: FastAPI
    http: httpx2.AsyncClient
    database: Database
    clock: Clock
    dispatcher: Recorder
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def account(self, organization: str = "Lindqvist Tax") -> Account:
        email = f"mara{next(self.numbers)}@lind.example"
        body = {"email": email, "password": PASSWORD, "name": "Mara Lind", "organization_name": organization}
        answer = await self.http.post("/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Account(
            self.http,
            email,
            made["user"]["id"],
            made["organization"]["id"],
            made["access_token"],
            made["refresh_token"],
        )

    def browser(self, **options: Any) -> httpx2.AsyncClient:
        """A client with cookies of its own."""
        return _client(self.app, **options)


def _client(app: FastAPI, **options: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url=SECURITY.public_url, **options
    )


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue([])


@pytest.fixture
async def world(database_url: str, catalogue: Catalogue) -> AsyncIterator[World]:
    database, clock, dispatcher = Database(database_url, pool_size=5), Clock(), Recorder()
    app = create_app(
        Collaborators(database, keys_of(database), catalogue, dispatcher, SECURITY, clock, PROCESSES)
    )
    async with _client(app) as http:
        yield World(app, http, database, clock, dispatcher)
    await database.close()


@pytest.fixture
async def account(world: World) -> Account:
    return await world.account()


@pytest.fixture
async def behind(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()
