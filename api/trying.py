"""The values an expression is tried against: those of a recorded execution, as a step of it saw them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from db.definitions import Versions
from db.executions import Executions
from domain.definitions.commands import StepRecord
from domain.definitions.expressions import ExpressionError, Json, Meter
from domain.definitions.faults import Fault
from domain.definitions.interpreter import begin
from domain.definitions.program import PROGRAMS, Program
from domain.definitions.recall import NotRecalled, Recalled, before_step
from domain.definitions.state import State
from domain.errors import Invalid, Problem
from domain.executions import StepStatus
from domain.ids import occurrence_name

#: A longer log is not walked again for a trial.
MAX_STEPS = 1_000
#: What walking it may cost: about half a second at the dearest.
FUEL = 400_000


class Recorded:
    """One execution as the database holds it, read within the transaction of the caller."""

    def __init__(self, row: RowMapping, version: RowMapping, steps: Sequence[RowMapping]) -> None:
        self._program: Program = PROGRAMS.load(version["sha256"], version["compiled"])
        self._row = row
        self._steps = steps

    @classmethod
    async def read(cls, tx: AsyncConnection, id: UUID) -> "Recorded":
        """Raises NotFound."""
        row = await Executions(tx).get(id)
        version = await Versions(tx).find(row["workflow_version_id"])
        return cls(row, version, await Executions(tx).steps(id, limit=MAX_STEPS))

    def values(self, step: str | None, visit: int | None, after: bool) -> Recalled:
        """What `.` and the names were at a step, or at the start of the execution; raises Invalid."""
        if step is None:
            return self._beginning()
        pointer = self._pointer(step)
        log = {record.occurrence: record for record in map(_record, self._steps)}
        visits = [record.visit for record in log.values() if record.pointer == pointer]
        at = visit or max(visits, default=1)
        found = log.get(occurrence_name(pointer, at))
        if after and (found is None or found.status is not StepStatus.COMPLETED):
            raise _invalid("step", "This step has no output yet; leave `moment` out to try what it is given.")
        until = found.position if found is not None else None
        if len(self._steps) > MAX_STEPS and (until is None or until > MAX_STEPS):
            raise _invalid("step", f"Only the first {MAX_STEPS} steps of an execution can be walked again.")
        try:
            seen = before_step(self._program, self._state(), log, pointer, at, Meter(FUEL))
        except NotRecalled as why:
            raise _invalid("step", f"What this step saw cannot be found again: {why}.") from None
        except (ExpressionError, Fault) as error:
            raise _invalid("step", f"The step's own `input.from` has no value: {error}") from None
        if not after or found is None:
            return seen
        return Recalled(found.output, {**seen.scope, "output": found.output})

    def _beginning(self) -> Recalled:
        state = self._state()
        started = state.execution
        workflow: dict[str, Json] = {
            "id": started["id"],
            "trigger": started["trigger"],
            "definition": dict(self._program.document),
            "input": state.input,
        }
        steps: dict[str, Json] = {
            row["name"]: row["output"] for row in self._steps if row["status"] == StepStatus.COMPLETED
        }
        scope = {"input": state.input, "context": state.context, "workflow": workflow, "steps": steps}
        return Recalled(state.input, scope)

    def _state(self) -> State:
        row = self._row
        kind, _, name = row["trigger_event"].partition(":")
        return begin(
            self._program,
            input=row["trigger_data"].get("input"),
            execution={"id": str(row["id"]), "trigger": {"type": kind, "name": name}},
            now=_milliseconds(row["started_at"] or row["created_at"]) or 0,
        )

    def _pointer(self, step: str) -> str:
        """A step is named by its pointer, or by its name where only one step has it."""
        if step in self._program.steps:
            return step
        found = [where for where, known in self._program.steps.items() if known.name == step]
        if len(found) == 1:
            return found[0]
        if found:
            raise _invalid("step", "Several steps have this name.", f"Send one of {', '.join(found[:10])}.")
        names = sorted({known.name for known in self._program.steps.values()})
        raise _invalid("step", "This version has no such step.", f"Its steps are {', '.join(names[:20])}.")


def _record(row: Mapping[str, Any]) -> StepRecord:
    plain = {
        name: row[name] for name in StepRecord.__slots__ if name not in ("started", "completed", "status")
    }
    return StepRecord(
        **plain,
        status=StepStatus(row["status"]),
        started=_milliseconds(row["started_at"]) or 0,
        completed=_milliseconds(row["completed_at"]),
    )


def _milliseconds(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _invalid(field: str, message: str, suggestion: str | None = None) -> Invalid:
    problem = Problem(f"#/execution/{field}", message, suggestion, "not_recalled")
    return Invalid("The values of this execution cannot be shown; see `errors`.", problems=[problem])
