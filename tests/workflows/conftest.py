"""Fixtures of the whole engine; see `engine.py`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import WorkflowRunner

from api.app import create_app
from db.session import Access, Role
from tests.workflows.engine import Engine, checked, settings_for, working
from workers.settings import Settings
from workers.wiring import Parts, wire
from workers.worker import SANDBOX


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str) -> Settings:
    return settings_for(database_url, temporal_server)


@pytest.fixture
async def idle_engine(engine_settings: Settings) -> AsyncIterator[Engine]:
    """API and database, but no worker and no relay: what is accepted stays where it is."""
    parts = wire(engine_settings, pool_size=8)
    client = await parts.connection.connect()
    app = create_app(parts.api)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://perdure.test", timeout=60) as http:
        account = {
            "email": "ada@example.com",
            "password": "tidal ferns at dusk",
            "name": "Ada",
            "organization_name": "Acme",
        }
        registered = checked(await http.post("/v1/auth/register", json=account))
        http.headers["Authorization"] = f"Bearer {registered['access_token']}"
        yield Engine(parts, http, client, UUID(registered["organization"]["id"]))
    await _terminate_all(parts, client)
    await parts.close()


async def _terminate_all(parts: Parts, client: Client) -> None:
    """Tests share one Temporal server, and a worker would find the executions of a database that is gone."""
    async with parts.database.transaction(Access(Role.SYSTEM)) as tx:
        ids = (await tx.execute(text("SELECT temporal_workflow_id FROM workflow_executions"))).scalars().all()
    for id in ids:
        with contextlib.suppress(RPCError):  # never started, or closed already
            await client.get_workflow_handle(id).terminate("the test is over")


@pytest.fixture(params=["sandboxed", "as shipped"])
def runner(request: pytest.FixtureRequest) -> WorkflowRunner | None:
    """Workflow code must be deterministic: the sandbox proves it, production does without."""
    return SANDBOX if request.param == "sandboxed" else None


@pytest.fixture
async def engine(idle_engine: Engine) -> AsyncIterator[Engine]:
    """Everything running as in a node."""
    async with working(idle_engine.parts, idle_engine.client):
        running = [
            asyncio.create_task(part.run())
            for part in (idle_engine.parts.relay, idle_engine.parts.reconciler, idle_engine.parts.routing)
        ]
        yield idle_engine
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
