"""A process with workers that holds still at chosen activities, waiting to be killed there.

`python -m tests.conformance.killable FOLDER DATABASE_URL TEMPORAL_ADDRESS`. `plan.json` in the folder says for each
execution at which of its activities, counted over all processes, and whether before or after its work. A file
named after the execution in `held` says that this has happened.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio import activity

from activities import interceptors
from tests.conformance.world import World
from tests.workflows.engine import settings_for
from workers import wiring
from workers.worker import create_workers, run_workers

Around = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


def around_activities(around: Around) -> Callable[[], None]:
    """Let every activity of this process pass through `around(execution, work)`; answers how to undo that."""
    inbound: Any = interceptors._Inbound
    original = inbound.execute_activity

    async def execute(self: Any, input: Any) -> Any:
        execution = str(activity.info().workflow_id).rpartition("/")[2]
        return await around(execution, lambda: original(self, input))

    inbound.execute_activity = execute

    def undo() -> None:
        inbound.execute_activity = original

    return undo


def holding(folder: Path) -> Around:
    plan: dict[str, tuple[int, str]] = json.loads((folder / "plan.json").read_text())

    async def around(execution: str, work: Callable[[], Awaitable[Any]]) -> Any:
        begun = folder / "begun" / execution
        with begun.open("ab") as counter:
            counter.write(b".")
        number, when = plan.get(execution, (0, ""))
        held = folder / "held" / execution
        if begun.stat().st_size < number or held.exists() or not number:
            return await work()
        if when == "after":
            await work()
        held.touch()
        await asyncio.Event().wait()
        raise AssertionError("it is killed here")

    return around


async def main(folder: Path, database_url: str, temporal_address: str) -> None:
    for name in ("held", "begun"):
        (folder / name).mkdir(exist_ok=True)
    around_activities(holding(folder))
    wiring.GuardedHttpClient = World  # type: ignore[misc, assignment]  # the peer of the scenarios
    parts = wiring.wire(settings_for(database_url, temporal_address), pool_size=8)
    client = await parts.connection.connect()
    await run_workers(create_workers(client, parts.activities))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
