"""For whoever runs the node: is the process alive, and can it work?"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from api.auth import NOBODY
from api.collaborators import Collaborators

#: A part of the node that must answer before it takes traffic: raises when it does not.
Probe = Callable[[], Awaitable[None]]

router = APIRouter(tags=["operations"])


@router.get("/healthz", operation_id="operations_health")
async def health() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="operations_ready")
async def ready(request: Request) -> JSONResponse:
    """Every part this node depends on answers (200), or which does not (503)."""
    probes: Mapping[str, Probe] = request.app.state.probes
    parts: dict[str, Any] = {}
    for name, probe in probes.items():
        try:
            await probe()
            parts[name] = "ok"
        except Exception as error:  # noqa: BLE001  what is wrong is the answer; its text may hold addresses
            parts[name] = f"unavailable ({type(error).__name__})"
    fine = all(state == "ok" for state in parts.values())
    return JSONResponse({"status": "ok" if fine else "unavailable", "parts": parts}, 200 if fine else 503)


def database_probe(collaborators: Collaborators) -> Probe:
    async def probe() -> None:
        async with collaborators.database.transaction(NOBODY) as tx:
            await tx.execute(text("SELECT 1"))

    return probe
