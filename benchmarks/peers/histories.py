"""What executions leave in Temporal, counted in their own histories."""

import asyncio

import asyncpg
from temporalio.client import Client

from benchmarks.peers.tenants import Tenant

SHOWN = ("5", "waits")
CLOSED = "workflow_execution_completed"


async def events(tenant: Tenant, database: asyncpg.Connection, temporal: str) -> dict[str, list[str]]:
    """The types of all events of one execution per kind of definition."""
    client = await Client.connect(temporal)
    found = {}
    for name in SHOWN:
        (line,) = await tenant.lines(1)
        answer = await tenant.run(line, tenant.starting(name))
        line.close()
        id = await database.fetchval(
            "SELECT temporal_workflow_id FROM workflow_executions WHERE id = $1", answer["id"]
        )
        found[name] = await _history(client, id)
    return found


async def _history(client: Client, id: str) -> list[str]:
    """The row is closed just before the workflow is: wait for the end of the history."""
    for _ in range(200):
        history = await client.get_workflow_handle(id).fetch_history()
        types = [str(event.WhichOneof("attributes")) for event in history.events]
        names = [type.removesuffix("_event_attributes") for type in types]
        if names[-1] == CLOSED:
            return names
        await asyncio.sleep(0.05)
    raise RuntimeError(f"{id} did not complete: {names}")
