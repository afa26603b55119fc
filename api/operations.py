"""For whoever runs the node: is the process alive, and can it work?"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from api.auth import NOBODY
from api.collaborators import Collaborators

#: A part of the node that must answer before it takes traffic: raises when it does not.
Probe = Callable[[], Coroutine[Any, Any, None]]

#: A part that has not answered by then counts as away; whoever asks has a deadline too.
PROBE_SECONDS = 2.0

router = APIRouter(tags=["operations"])


@router.get("/healthz", operation_id="operations_health")
async def health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="operations_ready")
async def ready(request: Request) -> JSONResponse:
    """Every part this node depends on answers (200), or which does not (503)."""
    probes: Mapping[str, Probe] = request.app.state.probes
    states = await asyncio.gather(*(_state(probe) for probe in probes.values()))
    parts = dict(zip(probes, states, strict=True))
    fine = all(state == "ok" for state in parts.values())
    return JSONResponse({"status": "ok" if fine else "unavailable", "parts": parts}, 200 if fine else 503)


async def _state(probe: Probe) -> str:
    """One word for a part that answers, a few for one that does not, never later than `PROBE_SECONDS`."""
    asking = asyncio.create_task(probe())
    # Waiting leaves a probe behind that would not even be cancelled in time, as one that hangs in a driver.
    done, _ = await asyncio.wait((asking,), timeout=PROBE_SECONDS)
    if not done:
        asking.cancel()
        return "unavailable (TimeoutError)"
    error = asking.exception()
    # What is wrong is the answer; its text may hold addresses.
    return "ok" if error is None else f"unavailable ({type(error).__name__})"


def database_probe(collaborators: Collaborators) -> Probe:
    async def probe() -> None:
        async with collaborators.database.transaction(NOBODY) as tx:
            await tx.execute(text("SELECT 1"))

    return probe
