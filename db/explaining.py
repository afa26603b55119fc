"""What an explanation of an execution is made of: its row, its open steps and tasks, and what stands around it."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Versions
from db.rows import many
from db.stepattempts import RETRY_AT
from domain.executions import ExecutionStatus
from domain.explaining import Explanation, Facts, LoggedStep, OpenTask, explained


async def zone_of(tx: AsyncConnection, organization_id: UUID) -> ZoneInfo:
    """The organization's time zone; UTC for one that no release knows (an imported row's)."""
    name = await tx.scalar(text("SELECT timezone FROM organizations WHERE id = :id"), {"id": organization_id})
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


async def explanation(
    tx: AsyncConnection, row: RowMapping, now: datetime, zone: ZoneInfo, *, names_clients: bool
) -> Explanation:
    """Of a whole row of `workflow_executions`, with the moments told in this zone.

    Clients who are candidates are named only with `names_clients`: to somebody who may read clients.
    """
    values = {"id": row["id"]}
    version = await Versions(tx).find(row["workflow_version_id"])
    steps = await many(tx, _STEPS.bindparams(**values))
    tasks = [] if row["completed_at"] else await many(tx, _TASKS.bindparams(**values))
    beside = (await tx.execute(_BESIDE, values)).one()
    return explained(
        Facts(
            status=ExecutionStatus(row["status"]),
            created_at=row["created_at"],
            now=now,
            zone=zone,
            definition=version["document"],
            waiting_on=row["waiting_on"],
            error=row["error"],
            error_message=row["error_message"],
            started_at=row["started_at"],
            completed_at=row["completed_at"],
            cancel_requested_at=row["cancel_requested_at"],
            stalled_since=row["stalled_since"],
            steps=[LoggedStep(**step) for step in steps],
            undone=beside.undone,
            tasks=[OpenTask(**task) for task in tasks],
            clients=await _clients(tx, tasks) if names_clients else {},
            child_status=await _child(tx, row["waiting_on"]),
            rerun_from=(row["execution_context"].get("rerun") or {}).get("step"),
            reruns=beside.reruns,
        )
    )


async def _clients(tx: AsyncConnection, tasks: Any) -> dict[str, str]:
    """Names of those among the candidates who are clients."""
    named = [each for task in tasks for each in (*task["candidates"], *task["escalate_to"])]
    ids = [each.partition(":")[2] for each in named if each.startswith("client:")]
    if not ids:
        return {}
    return {str(found.id): found.name for found in await tx.execute(_CLIENTS, {"ids": ids})}


async def _child(tx: AsyncConnection, waiting_on: Any) -> str | None:
    if not waiting_on or waiting_on.get("kind") != "execution":
        return None
    found: str | None = await tx.scalar(_CHILD, {"id": waiting_on["execution_id"]})
    return found


#: Composite steps are open as long as what is inside of them.
_STEPS = text(
    f"""
    SELECT occurrence, pointer, name, kind, status, started_at, is_taken_over, attempt,
           {RETRY_AT} AS retry_at, attempts #>> '{{made,-1,error,title}}' AS failure
    FROM execution_steps
    WHERE execution_id = :id AND status IN ('running', 'waiting') ORDER BY position LIMIT 200
    """  # noqa: S608 - assembled from constants only
)
_TASKS = text(
    """
    SELECT t.title, t.occurrence, t.assignees AS candidates, t.quorum, t.due_at, t.on_overdue, t.escalate_at,
           t.escalate_to, t.escalated_at,
           nullif(trim(concat_ws(' ', u.first_name, u.last_name)), '') AS claimed_by
    FROM tasks t
    LEFT JOIN users u ON u.id = t.claimed_by AND app.decides_tasks(t.organization_id, t.claimed_by)
    WHERE t.execution_id = :id AND t.status = 'open' ORDER BY t.created_at LIMIT 50
    """
)
_BESIDE = text(
    """
    SELECT (SELECT count(*) FROM execution_steps
            WHERE execution_id = :id AND occurrence LIKE '%!compensate' AND status = 'completed') AS undone,
           (SELECT count(*) FROM workflow_executions WHERE rerun_of_id = :id) AS reruns
    """
)
_CLIENTS = text("SELECT id, name FROM clients WHERE id = ANY (CAST(:ids AS uuid[]))")
_CHILD = text("SELECT status FROM workflow_executions WHERE id = CAST(:id AS uuid)")
