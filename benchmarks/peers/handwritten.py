"""What a programmer writes with temporalio and its defaults: a workflow that calls one activity per step.

Client and worker share a process, which favours it: on two cores a second process costs.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from benchmarks.peers.serving import Handlers, serve

with workflow.unsafe.imports_passed_through():
    from benchmarks import load
    from workers.devstack.stack import Stack

QUEUE = "bench"


@activity.defn
async def text_of(number: int) -> str:
    return f"{number}"


@workflow.defn
class ByHand:
    @workflow.run
    async def run(self, steps: int) -> str:
        text = ""
        for number in range(1, steps + 1):
            text = await workflow.execute_activity(
                text_of, number, start_to_close_timeout=timedelta(seconds=30)
            )
        return text


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Handlers]:
    async with Stack(folder, parts=("temporal",)) as stack:
        client = await Client.connect(stack.urls["temporal"])

        async def measure(steps: int, concurrency: int, count: int) -> Any:
            async def run(_: int) -> None:
                await client.execute_workflow(ByHand.run, steps, id=uuid.uuid4().hex, task_queue=QUEUE)

            return (await load.by_tasks(run, concurrency, count)).as_json()

        async with Worker(client, task_queue=QUEUE, workflows=[ByHand], activities=[text_of]):
            yield {"measure": measure}


if __name__ == "__main__":
    serve(peer)
