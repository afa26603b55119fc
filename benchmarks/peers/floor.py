"""The floor: what Temporal itself costs with everything we can use.

One process, one client, eager start, no sandbox; the workflow is a single local activity that does nothing.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.service import GrpcCompression
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from benchmarks import load
from benchmarks.peers.serving import Handlers, serve
from workers.devstack.stack import Stack

QUEUE = "bench"


@activity.defn
async def nothing() -> None:
    return


@workflow.defn
class Floor:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_local_activity(nothing, start_to_close_timeout=timedelta(seconds=10))


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder, parts=("temporal",)) as stack:
        client = await Client.connect(stack.urls["temporal"], grpc_compression=GrpcCompression.NONE)
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Floor],
            activities=[nothing],
            workflow_runner=UnsandboxedWorkflowRunner(),
            no_remote_activities=True,
        )

        async def run(_: int) -> None:
            await client.execute_workflow(
                Floor.run, id=uuid.uuid4().hex, task_queue=QUEUE, request_eager_start=True
            )

        async def measure(concurrency: int, count: int, **_: Any) -> Any:
            return (await load.by_tasks(run, concurrency, count)).as_json()

        async with worker:
            yield {"measure": measure}


if __name__ == "__main__":
    serve(peer)
