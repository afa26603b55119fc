"""An execution as a line of a list: how long it took, and what it waits for or why it failed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.console.frame.shell import Visit
from api.console.frame.wording import moment
from domain.executions import ExecutionStatus
from domain.waterfall import brief


def row_of(row: Mapping[str, Any], visitor: Visit, now: datetime) -> dict[str, Any]:
    """What `executions/rows.html` shows of a row of `Runs.page`."""
    began = row["started_at"]
    return {
        **row,
        "name": row["workflow"] or "A workflow you cannot see",
        "took": "" if began is None else brief((row["completed_at"] or now) - began),
        "detail": _detail(row, visitor),
        "is_open": row["completed_at"] is None,
    }


def _detail(row: Mapping[str, Any], visitor: Visit) -> str:
    """Empty while there is nothing to tell."""
    waiting = row["waiting_on"]
    if row["status"] == ExecutionStatus.WAITING and isinstance(waiting, dict):
        what = waiting.get("title") or waiting.get("step") or "an event"
        until = waiting.get("until")
        when = f", until {moment(datetime.fromisoformat(until), visitor.zone)}" if until else ""
        return f"Waits for: {what}{when}"
    return row["error_message"] or ""
