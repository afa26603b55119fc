"""What Temporal's core says comes out as our own lines do; in a process of its own, since it can be told once."""

import json
import subprocess
import sys

#: Connects through a door that then closes: the core repeats the call, and complains.
TALKATIVE = """
import asyncio, sys
from temporalio.client import Client
from workers import logs

logs.configure("info", "json")
logs.forward_core()

async def main():
    host, port = sys.argv[1].split(":")
    open_ends = []

    async def carry(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)

    async def enter(reader, writer):
        there, away = await asyncio.open_connection(host, port)
        open_ends.extend([writer, away])
        await asyncio.gather(carry(reader, away), carry(there, writer), return_exceptions=True)

    door = await asyncio.start_server(enter, "127.0.0.1", 0)
    client = await Client.connect("127.0.0.1:%d" % door.sockets[0].getsockname()[1])
    door.close()
    for end in open_ends:
        end.close()
    await client.get_workflow_handle("some workflow").describe()

asyncio.run(main())
"""


def test_the_core_of_temporal_logs_as_we_do(temporal_server: str) -> None:
    command = [sys.executable, "-c", TALKATIVE, temporal_server]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        try:
            line = json.loads(child.stderr.readline())
        finally:
            child.kill()
    assert line["logger"] == "temporalio.core"
    assert line["level"] == "warning"
    assert line["target"].startswith("temporalio_client")
    assert "describe_workflow_execution" in line["event"]
