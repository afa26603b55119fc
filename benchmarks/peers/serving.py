"""How a peer is told what to do: one JSON object per line on its standard input, one answer per line."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import uvloop

Handlers = Mapping[str, Callable[..., Awaitable[Any]]]
Peer = Callable[[Path], AbstractAsyncContextManager[Handlers]]


def serve(peer: Peer) -> None:
    """Run a peer until its input ends; `{"do": name, …}` calls the handler of that name with the rest."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(peer, answers.write))
    for stream in (answers, sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # a Temporal client can crash the interpreter while it shuts down (sdk-python#300)


async def _serve(peer: Peer, write: Callable[[str], Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", ignore_cleanup_errors=True) as folder:
        async with peer(Path(folder)) as handlers:
            write(json.dumps({"ready": sorted(handlers)}) + "\n")
            while line := await asyncio.to_thread(sys.stdin.readline):
                asked = json.loads(line)
                try:
                    answer = {"answer": await handlers[asked.pop("do")](**asked)}
                except Exception as error:  # noqa: BLE001  the driver must learn of it, whatever it is
                    answer = {"error": f"{type(error).__name__}: {error}"}
                write(json.dumps(answer) + "\n")
