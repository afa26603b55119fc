"""Writes down the attempts at a step that is tried again: only then does an attempt cost a statement."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import to_json
from db.mirror import CURRENT, Reporter
from domain.attempts import Tried, begun, failed
from domain.mirror import Snapshot

#: When a step is to be tried again; NULL while an attempt is under way, and for steps that have ended.
RETRY_AT: Final = """
    CASE WHEN status IN ('running', 'waiting') THEN CAST(attempts #>> '{made,-1,retry}' AS timestamptz) END
"""


class StepAttempts:
    """What stands in `execution_steps.attempts`; `domain.attempts` says what belongs there."""

    def __init__(self, connection: AsyncConnection, reporter: Reporter) -> None:
        self._connection = connection
        self._reporter = reporter

    async def begin(self, snapshot: Snapshot, occurrence: str, number: int, now: datetime) -> None:
        """A further attempt begins, after a lost worker or a peer that could not be reached."""
        run = self._run

        def changed(step: RowMapping) -> dict[str, Any]:
            return begun(step["attempts"], run, number, now=now, first=step["started_at"])

        await self._change(snapshot, occurrence, number, changed)

    async def fail(self, snapshot: Snapshot, occurrence: str, tried: Tried) -> None:
        """An attempt has ended, and another one will follow."""
        run = self._run

        def changed(step: RowMapping) -> dict[str, Any]:
            return failed(step["attempts"], run, tried)

        await self._change(snapshot, occurrence, tried.number, changed)

    @property
    def _run(self) -> str:
        return str(self._reporter.run_id)

    async def _change(
        self,
        snapshot: Snapshot,
        occurrence: str,
        number: int,
        changed: Callable[[RowMapping], dict[str, Any]],
    ) -> None:
        """Nothing is written for a step that has ended, or that a later run has taken anew."""
        values = {
            "execution_id": self._reporter.execution_id,
            "occurrence": occurrence,
            "run_id": self._run,
            "reset_run_id": snapshot.reset_run_id,
            "run_started": snapshot.version[0],
        }
        # The execution before its steps, as whoever reports takes them. Its new revision tells who watches it.
        if await self._connection.scalar(_TOUCH, values) is None:
            return
        step = (await self._connection.execute(_LOCK, values)).mappings().one_or_none()
        if step is None:
            return
        kept = {"attempts": to_json(changed(step)), "attempt": number}
        await self._connection.execute(_WRITE, {**values, **kept})


_TOUCH = text(
    f"""
    UPDATE workflow_executions SET updated_at = now()
    WHERE id = :execution_id AND completed_at IS NULL AND {CURRENT}
    RETURNING id
    """  # noqa: S608 - assembled from constants only
)

_LOCK = text(
    """
    SELECT attempts, started_at FROM execution_steps
    WHERE execution_id = :execution_id AND occurrence = :occurrence AND status IN ('running', 'waiting')
      AND (run_started <= :run_started OR attempts ->> 'run' = :run_id)
    FOR UPDATE
    """
)

#: The word of somebody who was taken for lost does not count attempts back.
_WRITE = text(
    """
    UPDATE execution_steps
    SET attempt = CASE WHEN attempts ->> 'run' = :run_id THEN greatest(attempt, :attempt) ELSE :attempt END,
        attempts = CAST(:attempts AS jsonb)
    WHERE execution_id = :execution_id AND occurrence = :occurrence
    """
)
