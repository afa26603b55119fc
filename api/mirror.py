"""How far the mirror can be trusted right now, in numbers about the caller's own organization."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.collaborators import Parts
from db.mirrorhealth import MirrorHealth
from domain.executions import ExecutionStatus
from domain.mirror import Mismatch
from domain.permissions import Permission

router = APIRouter(tags=["executions"])

Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]


class Unreported(BaseModel):
    execution_id: UUID
    status: ExecutionStatus
    since: datetime


class Undelivered(BaseModel):
    """Starts, signals and cancellations on their way to the engine."""

    number: int
    since: datetime | None


class Finding(BaseModel):
    found: Mismatch
    number: int
    mended: int


class Lag(BaseModel):
    """From what happened in an execution to its commit here, of its latest report; null without reports.

    Two clocks are compared: the engine's and the database's.
    """

    p50_ms: float | None
    p99_ms: float | None
    reports: int = Field(
        description="Executions accepted within 15 minutes that have reported; at most 10 000."
    )


class MirrorHealthView(BaseModel):
    as_of: datetime
    open: dict[str, int] = Field(description="Open executions by status.")
    stalled: int = Field(description="Open executions that the engine fails to carry on.")
    oldest_unreported: Unreported | None = Field(
        description="Of those that should be doing something, the one that has told nothing for longest."
    )
    undelivered: Undelivered
    found_in_24_hours: list[Finding] = Field(
        description="Differences from the engine's own account: ended, reset or deleted by an operator, stalled."
    )
    lag: Lag


@router.get("/v1/mirror/health", operation_id="mirror_health", response_model=MirrorHealthView)
async def mirror_health(caller: Reader, parts: Parts) -> Any:
    """Rows follow the engine by themselves; this says how fast, and what had to be mended."""
    async with parts.database.transaction(caller.access) as tx:
        health = MirrorHealth(tx)
        open, numbers = await health.open(), await health.numbers()
        oldest, findings = await health.oldest_unreported(), await health.findings()
    return {
        "as_of": parts.clock(),
        "open": open,
        "stalled": numbers["stalled"],
        "oldest_unreported": None
        if oldest is None
        else {"execution_id": oldest["id"], "status": oldest["status"], "since": oldest["updated_at"]},
        "undelivered": {"number": numbers["undelivered"], "since": numbers["undelivered_since"]},
        "found_in_24_hours": findings,
        "lag": {
            "p50_ms": numbers["lag_p50"],
            "p99_ms": numbers["lag_p99"],
            "reports": numbers["reports"],
        },
    }
