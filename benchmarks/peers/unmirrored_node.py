"""A node of Perdure whose executions are started with `ExecutionStart.mirror` off, which no shipped switch can do.

It has no relay: nobody reports these executions, so the relay would start them again and again.
"""

import asyncio
import os
from dataclasses import replace
from typing import Any

from temporalio import worker
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle

from workers import node
from workers.temporal.closings import Closings
from workers.temporal.connection import Connection
from workers.temporal.dispatcher import TemporalDispatcher
from workflows.contracts import executions as contract


class MirrorOff(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        if input.workflow == contract.WORKFLOW:
            input.args = [replace(input.args[0], mirror=False)]
        return await super().start_workflow(input)


class Announced(worker.WorkflowInboundInterceptor):
    """Tells who waits that the workflow has ended, as the commit of its row does otherwise."""

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        try:
            return await super().execute_workflow(input)
        finally:
            announce(input.args[0].execution_id)


class Unmirrored(Interceptor, worker.Interceptor):
    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return MirrorOff(next)

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[worker.WorkflowInboundInterceptor]:
        return Announced


class Ends:
    """Who waits for which execution; workflows run on threads of their own."""

    closings = Closings()
    loop: asyncio.AbstractEventLoop


def announce(execution_id: str) -> None:
    Ends.loop.call_soon_threadsafe(Ends.closings.announce, execution_id)


async def finished(_: TemporalDispatcher, workflow_id: str, timeout: float) -> None:  # noqa: ASYNC109
    """Like the dispatcher's own, but there is no row to answer with."""
    async with asyncio.timeout(timeout):
        await Ends.closings.wait(workflow_id.rpartition("/")[2])


_connect = Connection.connect


async def connected(connection: Connection) -> Client:
    """The connection's own client, with the interceptor."""
    client = await _connect(connection)
    if not any(isinstance(one, Unmirrored) for one in client.config()["interceptors"]):
        Ends.loop = asyncio.get_running_loop()
        client = Client(**{**client.config(), "interceptors": [Unmirrored()]})
        connection._client = client
    return client


if __name__ == "__main__":
    # Patched from outside: the product has no place for such a wish, and must not have one.
    Connection.connect = connected  # type: ignore[method-assign]  # replacing it is the point
    TemporalDispatcher.finished = finished  # type: ignore[method-assign,assignment]  # likewise
    status = node.main(["--roles", "api,worker"])
    os._exit(status)  # as the node itself does
