"""How large an organization is, and how much of the platform it uses, month by month."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from api.auth import Caller
from api.collaborators import Parts
from api.inside import inside
from db.statistics import Statistics
from db.usage import MonthOfUse, Usage
from domain.errors import Invalid, Problem
from domain.permissions import Permission
from domain.usage import Metric, month_of

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["statistics"])
Reader = Annotated[Caller, Depends(inside(Permission.STATISTICS_READ))]
MOST_MONTHS = 36
Month = Annotated[
    str | None, Query(pattern=r"^(19|20)[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"], max_length=7)
]


class StatsView(BaseModel):
    """Null until it was counted for the first time."""

    user_count: int | None = Field(description="Active members.")
    client_count: int | None
    document_count: int | None = Field(description="Current versions.")
    total_storage_bytes: int | None = Field(description="Of current versions.")
    refreshed_at: datetime | None


class UsageView(BaseModel):
    """The use of one month, in UTC."""

    period: str
    executions_started: int
    steps_run: int
    api_calls: int
    members: int = Field(description="The most there were on any day.")
    storage_bytes: int = Field(description="The most there were on any day.")


class UsagePage(BaseModel):
    items: list[UsageView]
    counted_at: datetime | None = Field(description="What happened since then is not in it yet.")


@router.get("/stats", operation_id="statistics_get", response_model=StatsView)
async def get_stats(caller: Reader, parts: Parts) -> Any:
    """Counted every ten minutes."""
    async with parts.database.transaction(caller.access) as tx:
        found = await Statistics(tx).of_organization()
    return {name: getattr(found, name, None) for name in StatsView.model_fields}


@router.get("/usage", operation_id="statistics_usage", response_model=UsagePage)
async def get_usage(
    caller: Reader,
    parts: Parts,
    first: Annotated[Month, Query(alias="from", description="The first month; this one if absent.")] = None,
    last: Annotated[Month, Query(alias="to", description="The last month; this one if absent.")] = None,
) -> Any:
    """Month by month, oldest first; what happened in the last minutes is not counted yet."""
    now = month_of(parts.clock())
    begins, ends = _month(first, now), _month(last, now)
    months = (ends.year - begins.year) * 12 + ends.month - begins.month + 1
    if not 1 <= months <= MOST_MONTHS:
        message = f"From `from` to `to` there are {months} months."
        raise Invalid(problems=[Problem("query/to", message, f"Ask for 1 to {MOST_MONTHS} months.")])
    async with parts.database.transaction(caller.access) as tx:
        usage = Usage(tx)
        found, counted_at = await usage.months(begins, ends), await usage.counted_at()
    return {"items": [_view(month) for month in found], "counted_at": counted_at}


def _month(text: str | None, otherwise: datetime) -> datetime:
    return otherwise if text is None else otherwise.replace(year=int(text[:4]), month=int(text[5:]))


def _view(month: MonthOfUse) -> dict[str, Any]:
    amounts = {metric.value: month.amounts[metric] for metric in Metric}
    return {"period": f"{month.month:%Y-%m}", **amounts}
