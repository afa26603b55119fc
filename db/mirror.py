"""Writes what workflows report into `workflow_executions` and `execution_steps`; never backwards, in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.answers import answer
from db.engine import to_json
from db.outbox import OutboxEntry
from db.outcomes import OUTCOME
from domain.definitions.commands import StepRecord
from domain.executions import ExecutionStatus, StepStatus
from domain.mirror import Snapshot
from domain.redaction import redacted
from domain.segments import Ended

#: Ways in which a step ends that had asked for something.
_GIVEN_UP = frozenset({StepStatus.FAILED, StepStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Reporter:
    """Which run of which execution is reporting."""

    organization_id: UUID
    execution_id: UUID
    #: None only where somebody else closes the row of an execution that never ran.
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Closing:
    """The outcome that stands in a closed row."""

    ended: Ended
    #: The run whose outcome it is: "" when it was closed before any run reported, None when the row is gone.
    run_id: str | None
    #: The whole row, when it was closed just now.
    row: RowMapping | None = None
    #: The word to the execution that waited for this one, to be dispatched after the commit.
    answer: OutboxEntry | None = None


class Mirror:
    def __init__(self, connection: AsyncConnection, reporter: Reporter) -> None:
        self._connection = connection
        self._reporter = reporter
        self._answer: OutboxEntry | None = None

    async def report(
        self, snapshot: Snapshot, steps: Sequence[StepRecord], waiting_on: dict[str, Any] | None = None
    ) -> bool:
        """Write steps, and the snapshot unless a newer one stands; False when the row is closed or gone.

        The first report also proves that the start has arrived: its outbox row is done. The first report of a run
        by which somebody reset the execution opens a closed row again.
        """
        if snapshot.reset_run_id is not None:
            await self._forget(snapshot, steps)
        await self._withdraw(snapshot, steps)
        if waiting_on is None and snapshot.compensating:
            waiting_on = {"kind": "compensation"}
        values = {
            **self._values(snapshot, steps),
            "waiting_on": None if waiting_on is None else to_json(waiting_on),
        }
        await self._stop_listening(steps)
        if await self._connection.scalar(_REPORT, values) is not None:
            return True
        # Older than what stands, or closed, or gone; asked apart, since the statement above saw an older snapshot.
        status = await self._connection.scalar(_STATUS, {"execution_id": self._reporter.execution_id})
        return status is not None and not ExecutionStatus(status).is_terminal

    async def steps(self, snapshot: Snapshot, steps: Sequence[StepRecord]) -> None:
        if not steps:
            return
        if snapshot.reset_run_id is not None:
            await self._forget(snapshot, steps)
        await self._withdraw(snapshot, steps)
        await self._connection.execute(_STEPS, self._steps(snapshot, steps))
        await self._stop_listening(steps)

    async def _stop_listening(self, steps: Sequence[StepRecord]) -> None:
        """No more events are brought to steps that have ended."""
        ended = [step.occurrence for step in steps if step.kind == "listen" and step.completed is not None]
        if ended:
            values = {"execution_id": self._reporter.execution_id, "ended": ended}
            await self._connection.execute(_STOP_LISTENING, values)

    async def log(self) -> None:
        """Renew the short log kept in the execution's row."""
        await self._connection.execute(_LOG, {"execution_id": self._reporter.execution_id})

    async def finish(
        self, snapshot: Snapshot, steps: Sequence[StepRecord], output: Any, error: dict[str, Any] | None
    ) -> Closing:
        """Close the row for good; answers the outcome that stands, since a closed row keeps its first one."""
        await self.steps(snapshot, steps)
        row = await self.close(snapshot, output, error)
        if row is not None:
            return Closing(Ended(snapshot.status, error), self._reporter.run_id, row, self._answer)
        execution = {"execution_id": self._reporter.execution_id}
        standing = (await self._connection.execute(_OUTCOME, execution)).one_or_none()
        if standing is None:  # the row is gone: nothing contradicts this outcome
            return Closing(Ended(snapshot.status, error), None)
        return Closing(
            Ended(ExecutionStatus(standing.status), standing.error), standing.temporal_run_id or ""
        )

    async def close(self, snapshot: Snapshot, output: Any, error: dict[str, Any] | None) -> RowMapping | None:
        """The one statement that closes a row, whoever found out; None when another outcome stands.

        Open tasks are cancelled with it, listens are closed, and steps that a lost workflow task had begun and that
        its repetition, cancelled meanwhile, never came to. Executions it waited for are asked to end, and the one that
        waits for it is answered; whoever wants to hear of such ends will. A row that was closed before is closed anew
        only by a later reset run.
        """
        closed = await self._connection.execute(
            _FINISH,
            {
                **self._snapshot(snapshot),
                "progress": snapshot.progress,
                "output": None if output is None else to_json(output),
                "error": None if error is None else to_json(error),
                "message": None if error is None else _sentence(error),
            },
        )
        row = closed.mappings().one_or_none()
        if row is not None:
            self._answer = await answer(self._connection, row)
        return row

    async def _forget(self, snapshot: Snapshot, steps: Sequence[StepRecord]) -> None:
        """Drop lines of the course that a reset gave up, before those of the new one are written.

        A step beyond what the new course has entered was not taken, and where it took another step, that one
        stands in its place. What the two courses share stays.
        """
        values = {
            "execution_id": self._reporter.execution_id,
            "run_started": snapshot.version[0],
            "occurrences": snapshot.occurrences,
            "positions": [step.position for step in steps],
            "told": [step.occurrence for step in steps],
        }
        await self._connection.execute(_FORGET, values)

    async def _withdraw(self, snapshot: Snapshot, steps: Sequence[StepRecord]) -> None:
        """Nobody shall decide any more what a step that was given up had asked."""
        given_up = [step.occurrence for step in steps if step.status in _GIVEN_UP]
        if given_up:
            values = {
                "execution_id": self._reporter.execution_id,
                "reset_run_id": snapshot.reset_run_id,
                "run_started": snapshot.version[0],
                "occurrences": given_up,
            }
            await self._connection.execute(_WITHDRAW, values)

    def _values(self, snapshot: Snapshot, steps: Sequence[StepRecord]) -> dict[str, Any]:
        return {**self._steps(snapshot, steps), **self._snapshot(snapshot)}

    def _snapshot(self, snapshot: Snapshot) -> dict[str, Any]:
        return {
            "execution_id": self._reporter.execution_id,
            "run_id": self._reporter.run_id,
            "reset_run_id": snapshot.reset_run_id,
            "status": snapshot.status.value,
            "version": list(snapshot.version),
            "progress": min(snapshot.progress, 99),
            "current_step": snapshot.current_step,
            "run_started": snapshot.version[0],
            "at": snapshot.at or None,
        }

    def _steps(self, snapshot: Snapshot, steps: Sequence[StepRecord]) -> dict[str, Any]:
        return {
            "organization_id": self._reporter.organization_id,
            "execution_id": self._reporter.execution_id,
            "run_id": self._reporter.run_id,
            "reset_run_id": snapshot.reset_run_id,
            "run_started": snapshot.version[0],
            "steps": to_json([_step(step) for step in steps]),
        }


def _step(record: StepRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in StepRecord.__slots__} | {"input": redacted(record.input)}


def _sentence(error: dict[str, Any]) -> str:
    where = f" (at {error['instance']})" if error.get("instance") else ""
    detail = f": {error['detail']}" if error.get("detail") else ""
    return f"{error.get('title', 'Failed')}{detail}{where}"


#: A run that somebody's reset has replaced may still be reporting. A row follows the latest course alone.
CURRENT = """
    (reset_run_id IS NOT DISTINCT FROM CAST(:reset_run_id AS text)
     OR mirror_version[1] <= CAST(:run_started AS bigint))
"""
#: Only a reset that the row has not followed yet opens it again: not a late start, not a repeated workflow task.
_OPEN = """
    (completed_at IS NULL
     OR (CAST(:reset_run_id AS text) IS NOT NULL AND reset_run_id IS DISTINCT FROM CAST(:reset_run_id AS text)))
"""
_FOLLOWED = """
    reset_run_id = CAST(:reset_run_id AS text),
    lag_ms = CASE WHEN CAST(:at AS bigint) IS NULL THEN lag_ms ELSE CAST(
        least(greatest(extract(epoch FROM clock_timestamp()) * 1000 - CAST(:at AS bigint), 0), 2e9) AS integer) END
"""

#: A step that ended stays as it ended: a repeated report of it changes nothing, unless a later run did it again.
_CHANGES = """
    (execution_steps.status IN ('running', 'waiting') OR execution_steps.run_started < excluded.run_started)
"""
#: Attempts are those of one run: another one that takes the step anew begins to count.
_TRIES_ANEW = """
    (execution_steps.run_started < excluded.run_started
     AND execution_steps.attempts ->> 'run' IS DISTINCT FROM CAST(:run_id AS text))
"""
#: Parallel branches report as they come, the end of a step before the report that brings its arguments.
_WRITE_STEPS = f"""
    INSERT INTO execution_steps
        (organization_id, execution_id, occurrence, pointer, name, kind, action, visit, position, status,
         started_at, completed_at, input, output, error, run_started)
    SELECT :organization_id, :execution_id, s.occurrence, s.pointer, s.name, s.kind, s.action, s.visit,
           s.position, s.status, to_timestamp(s.started / 1000.0), to_timestamp(s.completed / 1000.0),
           s.input, s.output, s.error, :run_started
    FROM jsonb_to_recordset(CAST(:steps AS jsonb)) AS s(
        occurrence text, pointer text, name text, kind text, action text, visit integer, position bigint,
        status text, started bigint, completed bigint, input jsonb, output jsonb, error jsonb)
    WHERE EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {CURRENT})
    ON CONFLICT (organization_id, execution_id, occurrence) DO UPDATE
    SET status = CASE WHEN {_CHANGES} THEN excluded.status ELSE execution_steps.status END,
        completed_at = CASE WHEN {_CHANGES} THEN excluded.completed_at ELSE execution_steps.completed_at END,
        output = CASE WHEN {_CHANGES} THEN excluded.output ELSE execution_steps.output END,
        error = CASE WHEN {_CHANGES} THEN excluded.error ELSE execution_steps.error END,
        input = coalesce(excluded.input, execution_steps.input),
        position = CASE WHEN {_CHANGES} THEN excluded.position ELSE execution_steps.position END,
        attempt = CASE WHEN {_TRIES_ANEW} THEN 1 ELSE execution_steps.attempt END,
        attempts = CASE WHEN {_TRIES_ANEW} THEN NULL ELSE execution_steps.attempts END,
        run_started = CASE WHEN {_CHANGES} THEN excluded.run_started ELSE execution_steps.run_started END
    WHERE {_CHANGES} OR (execution_steps.input IS NULL AND excluded.input IS NOT NULL)
"""  # noqa: S608 - assembled from constants only

_STEPS = text(_WRITE_STEPS)

_FORGET = text(
    """
    DELETE FROM execution_steps
    WHERE execution_id = :execution_id AND run_started < :run_started
      AND (position > :occurrences
           OR (position = ANY (CAST(:positions AS bigint[])) AND occurrence <> ALL (CAST(:told AS text[]))))
    """
)

_REPORT = text(
    f"""
    WITH steps AS ({_WRITE_STEPS}),
    arrived AS (
        UPDATE outbox SET dispatched_at = now(), last_error = NULL
        WHERE execution_id = :execution_id AND kind = 'start' AND dispatched_at IS NULL
    ),
    reported AS (
        UPDATE workflow_executions
        SET status = :status, mirror_version = CAST(:version AS bigint[]), temporal_run_id = :run_id,
            progress = CASE WHEN reset_run_id IS NOT DISTINCT FROM CAST(:reset_run_id AS text)
                            THEN greatest(progress, :progress) ELSE :progress END,
            current_step = :current_step, waiting_on = CAST(:waiting_on AS jsonb),
            started_at = coalesce(started_at, to_timestamp(nullif(CAST(:run_started AS bigint), 0) / 1000.0)),
            completed_at = NULL, output = NULL, error = NULL, error_message = NULL,
            cancel_requested_at = CASE WHEN completed_at IS NULL THEN cancel_requested_at END,
            {_FOLLOWED}
        WHERE id = :execution_id AND {_OPEN} AND mirror_version <= CAST(:version AS bigint[])
        RETURNING status
    )
    SELECT status FROM reported
    """  # noqa: S608 - assembled from constants only
)

_WITHDRAW = text(
    f"""
    UPDATE tasks SET status = 'cancelled'
    WHERE execution_id = :execution_id AND status = 'open' AND occurrence = ANY (CAST(:occurrences AS text[]))
      AND EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {CURRENT})
    """  # noqa: S608 - assembled from constants only
)

_STATUS = text("SELECT status FROM workflow_executions WHERE id = :execution_id")

_THROUGH = "(SELECT coalesce(max(e.number), 0) FROM events e WHERE e.organization_id = s.organization_id)"

_STOP_LISTENING = text(
    f"""
    UPDATE event_subscriptions s SET closed_at = now(), through = {_THROUGH}
    WHERE execution_id = :execution_id AND occurrence = ANY (CAST(:ended AS text[])) AND closed_at IS NULL
    """  # noqa: S608 - assembled from constants only
)

_LOG_ENTRIES = """
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'step', name, 'status', status, 'at', coalesce(completed_at, started_at)) ORDER BY position), '[]')
     FROM (SELECT name, status, started_at, completed_at, position FROM execution_steps
           WHERE execution_id = :execution_id ORDER BY position DESC LIMIT 100) AS latest)
"""

_LOG = text(f"UPDATE workflow_executions SET execution_log = {_LOG_ENTRIES} WHERE id = :execution_id")  # noqa: S608

_OUTCOME = text("SELECT status, error, temporal_run_id FROM workflow_executions WHERE id = :execution_id")

_FINISH = text(
    f"""
    WITH arrived AS (
        UPDATE outbox SET dispatched_at = now(), last_error = NULL
        WHERE execution_id = :execution_id AND kind = 'start' AND dispatched_at IS NULL
    ),
    inbox AS (
        UPDATE tasks SET status = 'cancelled'
        WHERE execution_id = :execution_id AND status = 'open'
          AND EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {_OPEN} AND {CURRENT})
    ),
    listens AS (
        UPDATE event_subscriptions s SET closed_at = now(), through = {_THROUGH}
        WHERE execution_id = :execution_id AND closed_at IS NULL
          AND EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {_OPEN} AND {CURRENT})
    ),
    orphans AS (
        UPDATE workflow_executions c SET cancel_requested_at = coalesce(c.cancel_requested_at, now())
        WHERE c.parent_id = :execution_id AND c.is_awaited AND c.completed_at IS NULL
          AND EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {_OPEN} AND {CURRENT})
        RETURNING c.organization_id, c.id, c.temporal_workflow_id
    ),
    unwanted AS (
        INSERT INTO outbox (id, organization_id, execution_id, kind, workflow_id, payload, leased_until)
        SELECT gen_random_uuid(), organization_id, id, 'cancel', temporal_workflow_id,
               '{{"reason": "the execution that waited for it has ended"}}', now()
        FROM orphans
    ),
    abandoned AS (
        UPDATE execution_steps SET status = 'cancelled', completed_at = clock_timestamp()
        WHERE execution_id = :execution_id AND status IN ('running', 'waiting')
          AND EXISTS (SELECT 1 FROM workflow_executions WHERE id = :execution_id AND {_OPEN} AND {CURRENT})
    ),
    closed AS (
    UPDATE workflow_executions
    SET status = :status, mirror_version = CAST(:version AS bigint[]), temporal_run_id = :run_id,
        progress = CASE WHEN CAST(:status AS text) = 'completed' THEN 100
                        WHEN reset_run_id IS NOT DISTINCT FROM CAST(:reset_run_id AS text)
                        THEN greatest(progress, least(CAST(:progress AS integer), 99))
                        ELSE least(CAST(:progress AS integer), 99) END,
        current_step = :current_step, waiting_on = NULL,
        output = CAST(:output AS jsonb), error = CAST(:error AS jsonb), error_message = :message,
        started_at = coalesce(started_at, to_timestamp(nullif(CAST(:run_started AS bigint), 0) / 1000.0)),
        completed_at = clock_timestamp(), execution_log = {_LOG_ENTRIES}, {_FOLLOWED}
    WHERE id = :execution_id AND {_OPEN} AND {CURRENT}
    RETURNING workflow_executions.*
    ),
    {OUTCOME}
    SELECT * FROM closed
    """  # noqa: S608 - assembled from constants only
)
