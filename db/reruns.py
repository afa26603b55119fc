"""Repeating executions: what was recorded of one is read, and the one that continues it is queued with its past.

    recorded = await Reruns(tx).read(id, step, visit)
    prepared = await recorded.prepare(...)              # walks the log again, on a thread
    entry = await Reruns(tx).queue(recorded, prepared, …)   # in a transaction that holds the original

The rerun is an execution like any other: its row and the word that starts it commit together. The word carries the
state in which it begins, as a run carries its own to the next one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Versions, Workflows
from db.effects import Effect
from db.engine import to_json
from db.executions import Executions, ExecutionStep
from db.outbox import OutboxEntry, OutboxRow
from db.rows import many
from db.starts import KIND, start_of
from domain.actions import Catalogue
from domain.actions import Effect as EffectClass
from domain.definitions.commands import CallAction, StepRecord, command_as_json
from domain.definitions.expressions import ACTIVATION_FUEL, Json, Meter
from domain.definitions.interpreter import begin
from domain.definitions.lifecycle import DefinitionStatus
from domain.definitions.program import PROGRAMS
from domain.definitions.retracing import Leg, Retraced
from domain.executions import ExecutionStatus, OutboxKind, StepStatus
from domain.rerun import (
    MOST_LEGS,
    MOST_STEPS,
    Original,
    PlanOutOfDate,
    Prepared,
    Refusal,
    chosen,
    nothing_entered,
    prepare,
)

#: What walking a log again may compute: about two seconds.
FUEL: Final = ACTIVATION_FUEL * 10
#: The budget of steps does not count in memory: the execution had its own.
_NO_BUDGET: Final = 2**53
#: Whoever walks keeps a core busy; more at once would only delay everybody else.
_one_at_a_time = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reruns")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An execution as its rows tell it, with everything that a plan depends on."""

    row: RowMapping
    version: RowMapping
    workflow_status: str
    steps: Sequence[RowMapping]
    trigger: Mapping[str, Any]
    ledger: Sequence[RowMapping]
    undone: frozenset[str]
    #: Executions that repeat this one already.
    reruns: Sequence[RowMapping]

    @property
    def stamp(self) -> Json:
        return _stamp(self.row, len(self.steps), self.reruns, self.undone)

    async def prepare(
        self, step: str | None, visit: int | None, catalogue: Catalogue, *, then: UUID, now: datetime
    ) -> Prepared:
        """The plan to repeat it from this step on; `then` is the rerun's id. Raises Invalid for no such step."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_one_at_a_time, self._prepare, step, visit, catalogue, then, now)

    def _prepare(
        self, step: str | None, visit: int | None, catalogue: Catalogue, then: UUID, now: datetime
    ) -> Prepared:
        row = self.row
        if not self.steps:
            raise nothing_entered()
        program = PROGRAMS.load(self.version["sha256"], self.version["compiled"])
        log = {line.occurrence: line for line in map(_line, self.steps)}
        at = chosen(program, log, step, visit, row["error"])
        first = min(log.values(), key=lambda line: line.position)
        legs = [Leg(**each) for each in _rerun(row).get("legs", ())]
        beginning = begin(
            program,
            input=row["trigger_data"].get("input"),
            execution={"id": _rerun(row).get("first", str(row["id"])), "trigger": dict(self.trigger)},
            now=first.started,
            budget=_NO_BUDGET,
        )
        original = Original(
            id=str(row["id"]),
            program=program,
            beginning=beginning,
            log=log,
            legs=legs,
            taken_over={each["occurrence"] for each in self.steps if each["is_taken_over"]},
            ledger={each["occurrence"]: EffectClass(each["effect"]) for each in self.ledger},
            undone=self.undone,
            hands_over=self._hands_over(),
            hands_over_taken=self._hands_over() and bool(_rerun(row).get("hands_over")),
            stamp=self.stamp,
        )
        leg = Leg(at.occurrence, str(then), round(now.timestamp() * 1000))
        return prepare(original, at, leg, catalogue, Meter(FUEL), self._refusals())

    def _hands_over(self) -> bool:
        """What a completed execution did stands, whatever becomes of its reruns; else one of them answers for it."""
        others = any(_rerun(each).get("hands_over") for each in self.reruns)
        return self.row["status"] != ExecutionStatus.COMPLETED and not others

    def _refusals(self) -> list[Refusal]:
        row = self.row
        if row["kind"] != KIND:
            told = "This is one of the product's own processes; ask for what it does once more where you asked first."
            return [Refusal("own_process", told)]
        if not ExecutionStatus(row["status"]).is_terminal:
            told = f"It is still {row['status']}. Wait for its end, or cancel it first: two of it would act at once."
            return [Refusal("execution_open", told)]
        if self.workflow_status != DefinitionStatus.ACTIVE:
            told = f"Its workflow is {self.workflow_status}, so nothing of it can be started."
            return [Refusal("not_runnable", told)]
        if len(self.steps) > MOST_STEPS:
            return [Refusal("too_many_steps", f"It entered more than {MOST_STEPS} steps; start it anew.")]
        if len(_rerun(row).get("legs", ())) >= MOST_LEGS:
            return [Refusal("too_many_reruns", f"It is the {MOST_LEGS}th rerun in a row; start it anew.")]
        return []


class Reruns:
    """Of executions of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def read(self, id: UUID) -> Recorded:
        """Raises NotFound."""
        row = await Executions(self._tx).get(id)
        version = await Versions(self._tx).find(row["workflow_version_id"])
        status, _ = await Workflows(self._tx).standing(row["workflow_id"])
        table = ExecutionStep.__table__.c
        columns = [
            column for column in table if column.name not in ("input", "organization_id", "execution_id")
        ]
        lines = (
            select(*columns).where(table.execution_id == id).order_by(table.position).limit(MOST_STEPS + 1)
        )
        ledger = select(Effect.occurrence, Effect.effect).where(Effect.execution_id == id)
        return Recorded(
            row=row,
            version=version,
            workflow_status=status,
            steps=await many(self._tx, lines),
            trigger=await self._trigger(row),
            ledger=await many(self._tx, ledger),
            undone=await self._undone(id),
            reruns=await many(self._tx, _RERUNS.bindparams(id=id)),
        )

    async def of(self, id: UUID) -> Sequence[RowMapping]:
        """The reruns of an execution, oldest first: id, status, execution_context, created_at."""
        return await many(self._tx, _RERUNS.bindparams(id=id))

    async def _trigger(self, row: RowMapping) -> Mapping[str, Any]:
        """The whole trigger, as the start carried it; an imported execution has only the trigger's type and name."""
        payload = select(OutboxRow.payload).where(
            OutboxRow.execution_id == row["id"], OutboxRow.kind == OutboxKind.START
        )
        started = await self._tx.scalar(payload)
        if started is not None:
            found: Mapping[str, Any] = started["trigger"]
            return found
        kind, _, name = row["trigger_event"].partition(":")
        return {"type": kind, "name": name}

    async def queue(
        self,
        recorded: Recorded,
        prepared: Prepared,
        *,
        id: UUID,
        now: datetime,
        started_by: UUID | None,
        trigger_key: str | None = None,
    ) -> OutboxEntry | None:
        """Write the rerun with the steps it takes over, and the word that starts it, to be dispatched after the commit.

        None when its trigger key has started one already. Raises PlanOutOfDate when anything that the plan depends on
        has changed since `recorded` was read.
        """
        retraced, original = prepared.retraced, recorded.row
        assert retraced is not None, "a plan that refuses is not carried out"
        await self._tx.execute(_LOCK, {"id": original["id"]})
        if (await self._stamp(original["id"])) != recorded.stamp:
            raise PlanOutOfDate
        new, entry = start_of(
            original["organization_id"],
            id,
            workflow_id=original["workflow_id"],
            version_id=original["workflow_version_id"],
            sha256=recorded.version["sha256"],
            definition_name=recorded.version["compiled"]["document"]["document"]["name"],
            trigger=dict(recorded.trigger),
            input=original["trigger_data"].get("input"),
            started_by=started_by,
            trigger_key=trigger_key,
        )
        new = replace(
            new,
            trigger_event=original["trigger_event"],
            context={"rerun_of": prepared.plan.execution_id, "rerun": _past(recorded, prepared)},
        )
        carried = {
            "state": retraced.state.as_json(),
            "commands": [*map(command_as_json, retraced.commands), {"is": "Yield"}],
        }
        # What came in is part of the state.
        entry = replace(entry, payload={**entry.payload, "input": None, "carried": carried})
        if not await Executions(self._tx).queue(original["organization_id"], new, entry):
            return None
        await self._take_over(original, retraced, id, now)
        return entry

    async def _stamp(self, id: UUID) -> Json:
        row = await Executions(self._tx).get(id)
        lines = await self._tx.scalar(_LINES, {"id": id})
        reruns = await self.of(id)
        return _stamp(row, lines, reruns, await self._undone(id))

    async def _undone(self, id: UUID) -> frozenset[str]:
        return frozenset((await self._tx.scalars(_UNDONE, {"id": id})).all())

    async def _take_over(self, original: RowMapping, retraced: Retraced, id: UUID, now: datetime) -> None:
        again = {command.occurrence for command in retraced.commands if isinstance(command, CallAction)}
        lines = [
            {
                "occurrence": line.occurrence,
                "position": line.position,
                "status": line.status.value,
                "is_taken_over": line.occurrence not in again,
            }
            for line in retraced.records.values()
        ]
        values = {"id": id, "original": original["id"], "lines": to_json(lines), "now": now}
        await self._tx.execute(_TAKE_OVER, values)
        state = retraced.state
        changes = {"id": id, "original": original["id"]}
        await self._tx.execute(
            _DESCEND, {**changes, "progress": min(state.progress, 99), "current_step": state.current_step}
        )


def _past(recorded: Recorded, prepared: Prepared) -> dict[str, Any]:
    """What the rerun's own row says of it, and what its reruns will need to know."""
    plan = prepared.plan
    return {
        "from": plan.occurrence,
        "step": plan.step,
        "answered": len(plan.answered),
        "hands_over": bool(plan.undoes),
        "first": _rerun(recorded.row).get("first", plan.execution_id),
        "legs": [asdict(leg) for leg in prepared.legs],
    }


def _stamp(row: RowMapping, lines: int, reruns: Sequence[RowMapping], undone: frozenset[str]) -> Json:
    """Whatever changes when the row, its log or its reruns do."""
    others: list[Json] = [*sorted(str(rerun["id"]) for rerun in reruns)]
    version: list[Json] = [row["status"], *row["mirror_version"], row["reset_run_id"], lines]
    return [version, others, [*sorted(undone)]]


def _rerun(row: RowMapping) -> dict[str, Any]:
    found: dict[str, Any] = row["execution_context"].get("rerun") or {}
    return found


def _line(row: RowMapping) -> StepRecord:
    plain = {name: row[name] for name in _PLAIN}
    return StepRecord(
        **plain,
        status=StepStatus(row["status"]),
        started=_milliseconds(row["started_at"]) or 0,
        completed=_milliseconds(row["completed_at"]),
    )


def _milliseconds(moment: datetime | None) -> int | None:
    """Exactly as the engine told it: a float of seconds is a little less or more."""
    return None if moment is None else round(moment.timestamp() * 1000)


#: What travels from the log to the walk; the arguments of calls are worked out again.
_PLAIN = ("occurrence", "pointer", "name", "kind", "action", "visit", "position", "output", "error")

_LOCK = text("SELECT id FROM workflow_executions WHERE id = :id FOR UPDATE")
_LINES = text("SELECT count(*) FROM execution_steps WHERE execution_id = :id")
_RERUNS = text(
    "SELECT id, status, execution_context, created_at FROM workflow_executions WHERE rerun_of_id = :id"
    " ORDER BY created_at, id"
)

#: Of its steps, those that it has undone itself, and those that another one undid who had taken them over: from it,
#: or like it from somebody before.
_UNDONE = text(
    """
    WITH RECURSIVE up AS (
        SELECT id, rerun_of_id FROM workflow_executions WHERE id = :id
        UNION ALL
        SELECT e.id, e.rerun_of_id FROM workflow_executions e JOIN up ON e.id = up.rerun_of_id
    ),
    family AS (
        SELECT id, id = :id AS is_below FROM up WHERE rerun_of_id IS NULL
        UNION ALL
        SELECT e.id, family.is_below OR e.id = :id
        FROM workflow_executions e JOIN family ON e.rerun_of_id = family.id
    )
    SELECT DISTINCT own.occurrence
    FROM family
    JOIN execution_steps undoing ON undoing.execution_id = family.id AND undoing.occurrence LIKE '%!compensate'
    JOIN execution_steps own
      ON own.execution_id = :id AND own.occurrence = replace(undoing.occurrence, '!compensate', '')
    LEFT JOIN execution_steps theirs
      ON theirs.execution_id = undoing.execution_id AND theirs.occurrence = own.occurrence
    WHERE undoing.execution_id = :id OR (theirs.is_taken_over AND (own.is_taken_over OR family.is_below))
    """
)

#: A step that is still open here has no end yet, whatever came of it in the original.
_TAKE_OVER = text(
    """
    INSERT INTO execution_steps
        (organization_id, execution_id, occurrence, pointer, name, kind, action, visit, position, attempt,
         attempts, status, input, output, error, started_at, completed_at, is_taken_over)
    SELECT s.organization_id, :id, s.occurrence, s.pointer, s.name, s.kind, s.action, s.visit, l.position,
           CASE WHEN l.is_taken_over THEN s.attempt ELSE 1 END, CASE WHEN l.is_taken_over THEN s.attempts END,
           l.status, s.input,
           CASE WHEN l.status NOT IN ('running', 'waiting') THEN s.output END,
           CASE WHEN l.status NOT IN ('running', 'waiting') THEN s.error END,
           CASE WHEN l.is_taken_over THEN s.started_at ELSE :now END,
           CASE WHEN l.status NOT IN ('running', 'waiting') THEN s.completed_at END, l.is_taken_over
    FROM jsonb_to_recordset(CAST(:lines AS jsonb))
      AS l(occurrence text, position bigint, status text, is_taken_over boolean)
    JOIN execution_steps s ON s.execution_id = :original AND s.occurrence = l.occurrence
    """
)

_DESCEND = text(
    "UPDATE workflow_executions SET rerun_of_id = :original, progress = :progress, current_step = :current_step"
    " WHERE id = :id"
)
