"""The whole engine in one process: real API, workers and relay on a real database and Temporal server."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx2
from sqlalchemy import RowMapping
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.worker import WorkflowRunner

from db.executions import Executions
from db.session import Access, Role
from domain.executions import ExecutionStatus
from workers.settings import Settings
from workers.wiring import Parts
from workers.worker import create_workers, run_workers

SECRET = base64.b64encode(b"s" * 32).decode()
HEADER = {"dsl": "1.0.3", "namespace": "tests", "name": "test", "version": "1.0.0"}


@dataclass
class Engine:
    parts: Parts
    http: httpx2.AsyncClient
    client: Client
    organization_id: UUID

    async def publish(self, do: list[dict[str, Any]], **document: Any) -> str:
        """Store and publish a definition; answers the workflow's id."""
        body = {"name": "test", "definition": {"document": HEADER, "do": do, **document}}
        created = await self.post("/v1/workflows", body)
        await self.post(f"/v1/workflows/{created['id']}/publish", {})
        return str(created["id"])

    async def start(self, workflow_id: str, input: Any = None) -> dict[str, Any]:
        return await self.post(
            f"/v1/workflows/{workflow_id}/executions", {"input": {} if input is None else input}
        )

    async def run(self, do: list[dict[str, Any]], input: Any = None, **document: Any) -> RowMapping:
        """Publish, start and wait for the end; answers the execution's row."""
        started = await self.start(await self.publish(do, **document), input)
        return await self.ended(started["id"])

    async def row(self, id: str) -> RowMapping:
        async with self.parts.database.transaction(Access(Role.WORKER, self.organization_id)) as tx:
            return await Executions(tx).get(UUID(id))

    async def steps(self, id: str) -> list[RowMapping]:
        async with self.parts.database.transaction(Access(Role.WORKER, self.organization_id)) as tx:
            return list(await Executions(tx).steps(UUID(id)))

    async def until(self, id: str, happened: Callable[[RowMapping], bool], seconds: float = 30) -> RowMapping:
        ends = time.monotonic() + seconds
        while not happened(row := await self.row(id)):
            assert time.monotonic() < ends, f"still {row['status']} after {seconds} s: {dict(row)}"
            await asyncio.sleep(0.02)
        return row

    async def ended(self, id: str, seconds: float = 30) -> RowMapping:
        return await self.until(id, lambda row: ExecutionStatus(row["status"]).is_terminal, seconds)

    async def waiting(self, id: str, seconds: float = 30) -> RowMapping:
        return await self.until(id, lambda row: row["status"] == "waiting", seconds)

    async def described(self, id: str) -> WorkflowExecutionDescription:
        """Temporal's own account, once the execution has closed there too."""
        handle = self.client.get_workflow_handle((await self.row(id))["temporal_workflow_id"])
        for _ in range(500):
            description = await handle.describe()
            if description.close_time is not None:
                return description
            await asyncio.sleep(0.01)
        raise AssertionError("the execution did not close in Temporal")

    async def events(self, id: str) -> list[str]:
        """The types of all events in the execution's history."""
        await self.described(id)
        handle = self.client.get_workflow_handle((await self.row(id))["temporal_workflow_id"])
        history = await handle.fetch_history()
        return [event.WhichOneof("attributes").removesuffix("_event_attributes") for event in history.events]

    async def get(self, path: str) -> dict[str, Any]:
        return checked(await self.http.get(path))

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        return checked(await self.http.post(path, json=body))


def checked(answer: httpx2.Response) -> dict[str, Any]:
    assert not answer.is_error, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def settings_for(database_url: str, temporal_address: str, **given: Any) -> Settings:
    return Settings.load(
        database_url=database_url,
        temporal_address=temporal_address,
        master_keys=f"test:{SECRET}",
        token_secret=SECRET,
        password_pepper=SECRET,
        **{"sign_up": "open", **given},
    )


@asynccontextmanager
async def working(
    parts: Parts, client: Client, runner: WorkflowRunner | None = None, cached_workflows: int = 1000
) -> AsyncIterator[None]:
    """Workers for as long as the block lasts."""
    workers = create_workers(client, parts.activities, runner=runner, cached_workflows=cached_workflows)
    running = asyncio.create_task(run_workers(workers))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=15)
