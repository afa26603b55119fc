"""What supervision reads of all organizations' rows, and how it writes into one of them what Temporal says."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.children import Children
from db.eventlisteners import Listeners
from db.mirror import Mirror, Reporter
from db.tasktelling import TaskTelling
from domain.executions import ExecutionStatus
from domain.mirror import Course, Mismatch, Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """A row as supervision saw it. Whatever is reported afterwards makes the look at it worthless."""

    id: UUID
    organization_id: UUID
    workflow_id: str
    run_id: str | None
    reset_run_id: str | None
    status: ExecutionStatus
    version: tuple[int, int, int]
    progress: int
    current_step: int
    updated_at: datetime
    stalled_since: datetime | None
    #: Its start is still in the outbox, or has left it a moment ago.
    is_starting: bool
    #: Already compared with Temporal in this version, not long ago.
    is_verified: bool


class Supervision:
    """Reads across organizations, as `app_system`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def standing(self, ids: Collection[UUID], settled: timedelta = timedelta(0)) -> list[Standing]:
        """The rows among `ids` that exist."""
        rows = await self._connection.execute(_STANDING, {"ids": list(ids), "settled": settled})
        return [_standing(row) for row in rows.mappings()]

    async def open(
        self,
        after: tuple[datetime, UUID],
        *,
        limit: int,
        quiet: timedelta,
        settled: timedelta,
        daily: timedelta,
    ) -> list[Standing]:
        """Open rows that nobody has touched for `quiet`, a page at a time, the longest untouched first."""
        rows = await self._connection.execute(
            _OPEN_ROWS,
            {
                "updated_at": after[0],
                "id": after[1],
                "limit": limit,
                "quiet": quiet,
                "settled": settled,
                "daily": daily,
            },
        )
        return [_standing(row) for row in rows.mappings()]

    async def verified(self, rows: Sequence[Standing]) -> None:
        """Note that these rows agree with Temporal, unless something was reported meanwhile."""
        values = [{"id": row.id, "version": list(row.version)} for row in rows]
        if values:
            await self._connection.execute(_VERIFIED, values)

    async def stalled(self) -> list[Standing]:
        """Rows that are shown as stalled, those that have ended since included."""
        rows = await self._connection.execute(_STALLED, {"settled": timedelta(0)})
        return [_standing(row) for row in rows.mappings()]


class Mending:
    """Writes one row, as its organization's worker, inside one transaction."""

    def __init__(self, connection: AsyncConnection, standing: Standing) -> None:
        self._connection = connection
        self._row = standing

    async def close(
        self,
        status: ExecutionStatus,
        error: Mapping[str, Any],
        *,
        found: Mismatch,
        run_id: str | None,
        began: datetime | None,
        is_reset: bool = False,
    ) -> RowMapping | None:
        """Close the row as Temporal says, through the statement by which executions close it themselves.

        `is_reset` says that an operator's reset began the run that ended: only then is a closed row closed anew.
        None when the row has moved on since it was looked at.
        """
        if not await self._is_unchanged():
            return None
        row = self._row
        snapshot = Snapshot(
            version=(_epoch_ms(began), 0, 0) if is_reset or not row.version[0] else row.version,
            status=status,
            progress=row.progress,
            current_step=row.current_step,
            reset_run_id=run_id if is_reset else row.reset_run_id,
        )
        # Before the row, whose short log is made of them.
        await self._connection.execute(_CLOSE_STEPS, {"execution_id": row.id})
        closed = await self._mirror(run_id or row.run_id).close(snapshot, None, dict(error))
        if closed is not None:
            await self.note(found, str(closed["error_message"]))
        return closed

    async def follow(self, course: Course, detail: str) -> bool:
        """Show where a reset run stands, which waits without a word. False when it has shown that itself."""
        snapshot = Snapshot.from_json(course.snapshot)
        if snapshot.reset_run_id in (None, self._row.reset_run_id) or not await self._is_unchanged():
            return False
        waits = list(course.waits)
        values = {
            "execution_id": self._row.id,
            "run_started": snapshot.version[0],
            "open": course.open,
            "waits": waits,
        }
        waiting_on = await self._waiting_on(course)
        if not await self._mirror(course.run_id).report(snapshot, [], waiting_on):
            return False
        await self._connection.execute(_REOPEN_STEPS, values)
        await self._connection.execute(_REOPEN_TASKS, values)
        await TaskTelling(self._connection).tell_again(self._row.id, waits, course.run_id)
        await Listeners(self._connection).reopen(
            self._row.organization_id, self._row.id, waits, snapshot.reset_run_id
        )
        await Children(self._connection).tell_again(self._row.id, waits, course.run_id)
        await self._mirror(course.run_id).log()
        await self.note(Mismatch.RESET, detail)
        return True

    async def stall(self, reason: str) -> bool:
        """Show that the execution cannot go on until somebody mends its code or its worker."""
        values = {"execution_id": self._row.id, "reason": reason}
        if await self._connection.scalar(_STALL, values) is None:
            return False
        await self.note(Mismatch.STALLED, f"Its workflow task keeps failing: {reason}", mended=False)
        return True

    async def recover(self) -> None:
        """The execution goes on."""
        await self._connection.execute(_RECOVER, {"execution_id": self._row.id})

    async def contradict(self, detail: str) -> bool:
        """Note, once, that Temporal tells another end than the one the execution had committed."""
        return (
            await self._connection.scalar(_CONTRADICT, self._finding(Mismatch.CONTRADICTED, detail))
            is not None
        )

    async def note(self, found: Mismatch, detail: str, *, mended: bool = True) -> None:
        await self._connection.execute(_NOTE, {**self._finding(found, detail), "mended": mended})

    def _finding(self, found: Mismatch, detail: str) -> dict[str, Any]:
        return {
            "organization_id": self._row.organization_id,
            "execution_id": self._row.id,
            "found": found.value,
            "detail": detail,
        }

    def _mirror(self, run_id: str | None) -> Mirror:
        return Mirror(self._connection, Reporter(self._row.organization_id, self._row.id, run_id))

    async def _is_unchanged(self) -> bool:
        """Locks the row; False when anything was reported since it was looked at."""
        row = self._row
        values = {
            "execution_id": row.id,
            "status": row.status.value,
            "version": list(row.version),
            "run_id": row.run_id,
        }
        return await self._connection.scalar(_UNCHANGED, values) is not None

    async def _waiting_on(self, course: Course) -> dict[str, Any] | None:
        """What the row says it waits for; with several waits, the one that began last."""
        values = {"execution_id": self._row.id, "waits": list(course.waits)}
        wait = (await self._connection.execute(_WAIT, values)).mappings().one_or_none()
        if wait is None:
            return None
        shown = {"kind": wait["kind"], "step": wait["name"], "occurrence": wait["occurrence"]}
        until = course.waits[wait["occurrence"]]
        if wait["task_id"] is not None:
            return {
                **shown,
                "task_id": str(wait["task_id"]),
                "title": wait["title"],
                "assignees": wait["assignees"],
            }
        if wait["child_id"] is not None:
            return {**shown, "execution_id": str(wait["child_id"]), "workflow": wait["child_name"]}
        return shown if until is None else {**shown, "until": _moment(until).isoformat()}


def _standing(row: RowMapping) -> Standing:
    start, length, counter = row["mirror_version"]
    return Standing(
        id=row["id"],
        organization_id=row["organization_id"],
        workflow_id=row["temporal_workflow_id"],
        run_id=row["temporal_run_id"],
        reset_run_id=row["reset_run_id"],
        status=ExecutionStatus(row["status"]),
        version=(start, length, counter),
        progress=row["progress"],
        current_step=row["current_step"],
        updated_at=row["updated_at"],
        stalled_since=row["stalled_since"],
        is_starting=row["is_starting"],
        is_verified=row["is_verified"],
    )


def _epoch_ms(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp() * 1000)


def _moment(epoch_ms: int) -> datetime:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


_COLUMNS = """
    e.id, e.organization_id, e.temporal_workflow_id, e.temporal_run_id, e.reset_run_id, e.status,
    e.mirror_version, e.progress, e.current_step, e.updated_at, e.stalled_since,
    EXISTS (SELECT 1 FROM outbox o
            WHERE o.organization_id = e.organization_id AND o.execution_id = e.id AND o.kind = 'start'
              AND (o.dispatched_at IS NULL OR o.dispatched_at > now() - CAST(:settled AS interval))) AS is_starting
"""
_IS_OPEN = "e.status IN ('queued', 'running', 'waiting', 'paused')"

_STANDING = text(
    f"SELECT {_COLUMNS}, false AS is_verified FROM workflow_executions e WHERE e.id = ANY (:ids)"  # noqa: S608
)

_OPEN_ROWS = text(
    f"""
    SELECT {_COLUMNS}, coalesce(e.verified_version = e.mirror_version
        AND e.verified_at > now() - CAST(:daily AS interval), false) AS is_verified
    FROM workflow_executions e
    WHERE {_IS_OPEN} AND (e.updated_at, e.id) > (:updated_at, :id)
      AND e.updated_at <= now() - CAST(:quiet AS interval)
    ORDER BY e.updated_at, e.id
    LIMIT :limit
    """  # noqa: S608 - assembled from constants only
)

_STALLED = text(
    f"SELECT {_COLUMNS}, false AS is_verified FROM workflow_executions e "  # noqa: S608
    "WHERE e.stalled_since IS NOT NULL"
)

_VERIFIED = text(
    """
    UPDATE workflow_executions SET verified_at = now(), verified_version = mirror_version
    WHERE id = :id AND mirror_version = CAST(:version AS bigint[])
    """
)

_UNCHANGED = text(
    """
    SELECT 1 FROM workflow_executions
    WHERE id = :execution_id AND status = :status AND mirror_version = CAST(:version AS bigint[])
      AND temporal_run_id IS NOT DISTINCT FROM CAST(:run_id AS text)
    FOR UPDATE
    """
)

_CLOSE_STEPS = text(
    """
    UPDATE execution_steps SET status = 'cancelled', completed_at = now()
    WHERE execution_id = :execution_id AND status IN ('running', 'waiting')
    """
)

_REOPEN_STEPS = text(
    """
    UPDATE execution_steps
    SET status = CASE WHEN occurrence = ANY (CAST(:waits AS text[])) THEN 'waiting' ELSE 'running' END,
        completed_at = NULL, output = NULL, error = NULL, run_started = :run_started, attempt = 1, attempts = NULL
    WHERE execution_id = :execution_id AND occurrence = ANY (CAST(:open AS text[]))
      AND run_started < :run_started
    """
)

_REOPEN_TASKS = text(
    """
    UPDATE tasks SET status = 'open'
    WHERE execution_id = :execution_id AND occurrence = ANY (CAST(:waits AS text[])) AND status = 'cancelled'
    """
)

_WAIT = text(
    """
    SELECT s.occurrence, s.name, t.id AS task_id, t.title, t.assignees,
           c.id AS child_id, v.document_namespace || '/' || v.document_name AS child_name,
           CASE WHEN t.id IS NOT NULL THEN 'task' WHEN c.id IS NOT NULL THEN 'execution'
                WHEN s.kind = 'listen' THEN 'event' ELSE 'timer' END AS kind
    FROM execution_steps s
    LEFT JOIN tasks t ON t.execution_id = s.execution_id AND t.occurrence = s.occurrence
    LEFT JOIN workflow_executions c ON c.parent_id = s.execution_id AND c.parent_occurrence = s.occurrence
        AND c.organization_id = s.organization_id
    LEFT JOIN workflow_versions v ON v.organization_id = c.organization_id AND v.id = c.workflow_version_id
    WHERE s.execution_id = :execution_id AND s.occurrence = ANY (CAST(:waits AS text[]))
    ORDER BY s.position DESC
    LIMIT 1
    """
)

_STALL = text(
    """
    UPDATE workflow_executions SET stalled_since = now(), stalled_reason = :reason
    WHERE id = :execution_id AND completed_at IS NULL AND stalled_since IS NULL
    RETURNING id
    """
)

_RECOVER = text(
    """
    WITH mended AS (
        UPDATE reconciliations SET mended_at = now()
        WHERE execution_id = :execution_id AND found = 'stalled' AND mended_at IS NULL
    )
    UPDATE workflow_executions SET stalled_since = NULL, stalled_reason = NULL
    WHERE id = :execution_id AND stalled_since IS NOT NULL
    """
)

_NOTE = text(
    """
    INSERT INTO reconciliations (organization_id, execution_id, found, detail, mended_at)
    VALUES (:organization_id, :execution_id, :found, :detail, CASE WHEN :mended THEN now() END)
    """
)

_CONTRADICT = text(
    """
    INSERT INTO reconciliations (organization_id, execution_id, found, detail)
    SELECT :organization_id, :execution_id, :found, :detail
    WHERE NOT EXISTS (SELECT 1 FROM reconciliations WHERE execution_id = :execution_id AND found = :found)
    RETURNING id
    """
)
