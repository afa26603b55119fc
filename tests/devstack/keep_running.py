"""Run a stack until a stop signal: `keep_running.py DATA_DIR PART…` prints "running" once it serves."""

import asyncio
import os
import sys
from pathlib import Path

from perdure.cli import foreground
from workers.devstack.stack import Stack


async def serve(data_dir: Path, parts: list[str]) -> None:
    async with Stack(data_dir, parts=parts, migrate=False):
        print("running", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        foreground.run(serve(Path(sys.argv[1]), sys.argv[2:]))
    except foreground.Interrupted:
        os._exit(0)
