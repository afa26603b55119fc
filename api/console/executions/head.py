"""The top of every page about an execution: what it is, what happens to it, and what may be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.console.frame.jsonview import json_view
from api.console.frame.shell import Visit
from api.executionviews import show_one
from db.executions import Executions
from db.explaining import explanation
from db.runs import Runs
from domain.executions import ExecutionStatus
from domain.permissions import Permission
from domain.waterfall import brief

#: Tasks it waits for that lead to the inbox from the top of the page.
MOST_TASKS: Final = 5


async def run_head(visitor: Visit, tx: AsyncConnection, id: UUID) -> dict[str, Any]:
    """What every page about this execution shows on top. Raises NotFound."""
    row = await Executions(tx).get(id)
    view = await show_one(tx, row)
    runs = Runs(tx)
    named = await runs.named(id)
    status = ExecutionStatus(row["status"])
    may = visitor.may
    is_open = not status.is_terminal
    told = await explanation(
        tx, row, visitor.parts.clock(), visitor.zone, names_clients=may(Permission.CLIENTS_READ)
    )
    return {
        "execution": row,
        "view": view,
        "name": named["workflow"] or "A workflow you cannot see",
        "started_by": None if row["started_by"] is None else await runs.starter(row["started_by"]),
        "is_open": is_open,
        "may_cancel": is_open and may(Permission.EXECUTIONS_CANCEL),
        "may_pause": is_open and not view.pause_requested and may(Permission.EXECUTIONS_CONTROL),
        "may_resume": is_open
        and (view.pause_requested or status is ExecutionStatus.PAUSED)
        and may(Permission.EXECUTIONS_CONTROL),
        "may_signal": is_open and may(Permission.EXECUTIONS_CONTROL),
        "may_rerun": may(Permission.EXECUTIONS_START),
        "signal_id": uuid4(),
        "typed": {},
        "awaited": _awaited(row["waiting_on"]),
        "engine_page": _engine_page(visitor, row),
        "took": _took(row, visitor.parts.clock()),
        "brief": brief,
        "clock": Clock(visitor),
        "json_view": json_view,
        "explanation": told,
        "open_tasks": await runs.open_tasks(id, MOST_TASKS) if "decide" in told.acts else [],
    }


@dataclass(frozen=True, slots=True)
class Clock:
    """Moments of steps need their milliseconds."""

    visitor: Visit

    def __call__(self, at: datetime) -> str:
        local = at.astimezone(self.visitor.zone)
        return f"{local:%d %b %Y, %H:%M:%S}.{local.microsecond // 1000:03d} {local.tzname()}"


def _awaited(waiting: Any) -> list[str]:
    """The types of events it listens to just now, as far as its row says."""
    types = waiting.get("types") if isinstance(waiting, Mapping) else None
    return [each for each in types if isinstance(each, str)] if isinstance(types, list) else []


def _took(row: RowMapping, now: datetime) -> timedelta | None:
    began = row["started_at"]
    return None if began is None else (row["completed_at"] or now) - began


def _engine_page(visitor: Visit, row: RowMapping) -> str | None:
    """Temporal's UI is for those who operate the platform: it has its own sign-in, and we name it to few."""
    parts = visitor.parts
    is_operator = visitor.may(Permission.EXECUTIONS_CONTROL) and visitor.may(Permission.AUDIT_READ)
    if parts.temporal_ui_url is None or not is_operator:
        return None
    namespace, workflow = (
        quote(parts.temporal_namespace, safe=""),
        quote(row["temporal_workflow_id"], safe=""),
    )
    return f"{parts.temporal_ui_url}/namespaces/{namespace}/workflows/{workflow}"
