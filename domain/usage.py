"""What of an organization's use of the platform is counted, and how the counts of many hours make one of a month."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final


class Metric(StrEnum):
    """The first three are counted as they happen; the others stand at some height, and the highest counts."""

    EXECUTIONS_STARTED = "executions_started"
    STEPS_RUN = "steps_run"
    API_CALLS = "api_calls"
    MEMBERS = "members"
    STORAGE_BYTES = "storage_bytes"


#: Metrics of which a period has a highest value and no sum.
HEIGHTS: Final = frozenset({Metric.MEMBERS, Metric.STORAGE_BYTES})


def combined(metric: Metric, amounts: Iterable[int]) -> int:
    """What a period holds whose parts hold these."""
    return max(amounts, default=0) if metric in HEIGHTS else sum(amounts)


def hour_of(moment: datetime) -> datetime:
    """The hour, in UTC, in which something is counted."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def month_of(moment: datetime) -> datetime:
    """The first moment of its month, in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
