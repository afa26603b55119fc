"""What must hold whatever was killed, cut or ended by hand: the invariants 1, 2 and 7 of the security design.

    watch = Watch(database)              # sample it while faults are injected: `await watch.look()`
    await settled(database, seconds=60)  # every row closed, every outbox entry delivered
    assert await violations(database, client, accepted=ids, watch=watch) == []

It reads as the product's own roles do, so it needs no other login. Executions that a test leaves open on purpose
are named in `open_on_purpose`.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from db.session import Access, Database, Role
from domain.definitions.program import COMPENSATE
from domain.executions import ExecutionStatus
from domain.ids import WorkflowId
from domain.mirror import same_end

#: What Temporal calls the same end.
SAME = {
    WorkflowExecutionStatus.COMPLETED: ExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: ExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: ExecutionStatus.CANCELLED,
    WorkflowExecutionStatus.TERMINATED: ExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: ExecutionStatus.TIMED_OUT,
}
#: These ended without a word of their own, so the last lines of their step log may never have been written.
SILENT = {ExecutionStatus.TERMINATED, ExecutionStatus.TIMED_OUT}
OPEN_STEPS = {"running", "waiting"}
AT_ONCE = 20

_SYSTEM = Access(Role.SYSTEM)
_ROWS = text(
    "SELECT id, organization_id, status, temporal_workflow_id, temporal_run_id, trigger_key, error,"
    " mirror_version, completed_at, progress, waiting_on FROM workflow_executions"
)
_OUTBOX = text(
    "SELECT execution_id, kind, attempts, last_error FROM outbox WHERE dispatched_at IS NULL ORDER BY created_at"
)
_STEPS = text(
    "SELECT execution_id, occurrence, pointer, visit, position, status, completed_at FROM execution_steps"
    " ORDER BY execution_id, position"
)
_TASKS = text("SELECT execution_id, id, status FROM tasks WHERE execution_id IS NOT NULL")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Violation:
    """`rule` is the number of the invariant; `about` the execution, key or workflow id concerned."""

    rule: int
    about: str
    says: str

    def __str__(self) -> str:
        return f"invariant {self.rule}: {self.about}: {self.says}"


@dataclass
class Watch:
    """Remembers how every closed row ended; a later look that finds another end is a violation.

    Only a reset in Temporal may open a closed row again: name such executions in `reset`.
    """

    database: Database
    reset: set[UUID] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)
    _ends: dict[UUID, tuple[Any, ...]] = field(default_factory=dict)

    async def look(self) -> int:
        """Returns how many rows are closed. A database that is down raises, and nothing is remembered."""
        rows = await rows_of(self.database)
        for row in rows:
            self._compare(row)
        return len(self._ends)

    def _compare(self, row: Row) -> None:
        end = (row["status"], row["completed_at"], row["temporal_run_id"])
        before = self._ends.get(row["id"])
        if before is not None and before != end and row["id"] not in self.reset:
            said = f"was closed as {before[0]} at {before[1]}, and is {end[0]}, {end[1]} now"
            self.violations.append(Violation(2, str(row["id"]), said))
        if ExecutionStatus(row["status"]).is_terminal:
            self._ends[row["id"]] = end
        else:
            self._ends.pop(row["id"], None)


async def rows_of(database: Database) -> list[Row]:
    """Every execution of every organization."""
    async with database.transaction(_SYSTEM) as tx:
        return [dict(row) for row in (await tx.execute(_ROWS)).mappings()]


async def settled(database: Database, seconds: float, open_on_purpose: Collection[UUID] = ()) -> None:
    """Wait until nothing is under way; raises AssertionError with what still is."""
    ends = time.monotonic() + seconds
    while True:
        rows = [row for row in await rows_of(database) if row["id"] not in open_on_purpose]
        async with database.transaction(_SYSTEM) as tx:
            pending = [dict(row) for row in (await tx.execute(_OUTBOX)).mappings()]
        if not pending and all(row["completed_at"] for row in rows):
            return
        counts = Counter(row["status"] for row in rows)
        assert time.monotonic() < ends, f"not settled after {seconds:g} s: {counts}, outbox {pending[:5]}"
        await asyncio.sleep(0.2)


async def violations(
    database: Database,
    client: Client,
    *,
    accepted: Iterable[UUID | str] = (),
    unknown_keys: Iterable[str] = (),
    open_on_purpose: Collection[UUID] = (),
    deleted: Collection[UUID] = (),
    watch: Watch | None = None,
    closing: timedelta = timedelta(seconds=10),
) -> list[Violation]:
    """All that does not hold, once the system has settled.

    `accepted`: ids that a 2xx answer named. `unknown_keys`: trigger keys whose answers were lost: none or one row
    each. `deleted`: executions whose history somebody deleted in Temporal. `closing`: how long Temporal may still
    need to write down an end that is in the row already.
    """
    rows = await rows_of(database)
    found = [] if watch is None else list(watch.violations)
    found += _each_trigger_once(rows, accepted, unknown_keys)
    found += _all_closed(rows, open_on_purpose)
    found += await _rows_are_temporal(rows, client, deleted, closing)
    found += await _temporal_is_rows(rows, client)
    found += await _drained(database)
    for organization_id in {row["organization_id"] for row in rows}:
        found += await _logs_hold(database, organization_id, rows)
    return found


def _each_trigger_once(
    rows: Sequence[Row], accepted: Iterable[UUID | str], unknown_keys: Iterable[str]
) -> list[Violation]:
    here = {str(row["id"]) for row in rows}
    found = [Violation(1, str(id), "was accepted and has no row") for id in accepted if str(id) not in here]
    ids = Counter(row["temporal_workflow_id"] for row in rows)
    found += [Violation(1, id, f"is the workflow id of {n} rows") for id, n in ids.items() if n > 1]
    keys = Counter((row["organization_id"], row["trigger_key"]) for row in rows if row["trigger_key"])
    unknown = set(unknown_keys)
    for (_, key), number in keys.items():
        if number > 1:
            kind = "of unknown outcome" if key in unknown else "answered"
            found.append(Violation(1, key, f"a trigger key {kind} has {number} rows"))
    return found


def _all_closed(rows: Sequence[Row], open_on_purpose: Collection[UUID]) -> list[Violation]:
    found = []
    for row in rows:
        terminal = ExecutionStatus(row["status"]).is_terminal
        if not terminal and row["id"] not in open_on_purpose:
            found.append(Violation(1, str(row["id"]), f"is still {row['status']}"))
        if terminal != (row["completed_at"] is not None):
            found.append(Violation(2, str(row["id"]), f"{row['status']}, completed at {row['completed_at']}"))
        if (row["progress"] == 100) != (row["status"] == ExecutionStatus.COMPLETED):
            found.append(Violation(2, str(row["id"]), f"{row['status']} with progress {row['progress']}"))
        if terminal and row["waiting_on"] is not None:
            found.append(Violation(2, str(row["id"]), f"{row['status']}, and waits for {row['waiting_on']}"))
    return found


async def _rows_are_temporal(
    rows: Sequence[Row], client: Client, deleted: Collection[UUID], closing: timedelta
) -> list[Violation]:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> Violation | None:
        async with slots:
            return await _row_is_temporal(row, client, row["id"] in deleted, closing)

    compared = await asyncio.gather(*(one(row) for row in rows))
    return [violation for violation in compared if violation is not None]


async def _row_is_temporal(row: Row, client: Client, deleted: bool, closing: timedelta) -> Violation | None:
    about, status = str(row["id"]), ExecutionStatus(row["status"])
    ends = time.monotonic() + closing.total_seconds()
    while True:
        try:
            description = await client.get_workflow_handle(row["temporal_workflow_id"]).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return _without_history(about, row, status, deleted)
        assert description.status is not None
        if description.status is WorkflowExecutionStatus.RUNNING:
            if not status.is_terminal:
                return None
        elif same_end(status, SAME[description.status]):
            # A reset or continued execution is a new run: the row must have followed it.
            if row["temporal_run_id"] in (None, description.run_id):
                return None
            said = f"is {status} for run {row['temporal_run_id']}; Temporal's run is {description.run_id}"
            return Violation(2, about, said)
        if time.monotonic() > ends:
            return Violation(2, about, f"the row says {status}, Temporal {description.status.name}")
        await asyncio.sleep(0.1)


def _without_history(about: str, row: Row, status: ExecutionStatus, deleted: bool) -> Violation | None:
    if deleted or (status is ExecutionStatus.CANCELLED and row["temporal_run_id"] is None):
        # Deleted by hand, or cancelled while it was queued.
        return None if status.is_terminal else Violation(2, about, f"is {status}, and Temporal deleted it")
    return Violation(2, about, f"is {status}, and Temporal has never heard of it")


async def _temporal_is_rows(rows: Sequence[Row], client: Client) -> list[Violation]:
    """Every execution in Temporal that could be ours has a row. Other databases' executions are left alone."""
    here = {row["temporal_workflow_id"] for row in rows}
    organizations = {row["organization_id"] for row in rows}
    strangers = set()
    async for execution in client.list_workflows("WorkflowType = 'execution'"):
        try:
            organization_id = WorkflowId.parse(execution.id).organization_id
        except ValueError:
            continue
        if organization_id in organizations and execution.id not in here:
            strangers.add(execution.id)
    return [Violation(2, id, "runs or ran in Temporal and has no row") for id in sorted(strangers)]


async def _drained(database: Database) -> list[Violation]:
    async with database.transaction(_SYSTEM) as tx:
        pending = (await tx.execute(_OUTBOX)).mappings().all()
    return [
        Violation(
            7, str(row["execution_id"]), f"{row['kind']} undelivered ({row['attempts']}: {row['last_error']})"
        )
        for row in pending
    ]


async def _logs_hold(database: Database, organization_id: UUID, rows: Sequence[Row]) -> list[Violation]:
    async with database.transaction(Access(Role.WORKER, organization_id)) as tx:
        steps = (await tx.execute(_STEPS)).mappings().all()
        tasks = (await tx.execute(_TASKS)).mappings().all()
    statuses = {row["id"]: ExecutionStatus(row["status"]) for row in rows}
    by_execution: defaultdict[UUID, list[Row]] = defaultdict(list)
    for step in steps:
        by_execution[step["execution_id"]].append(step)
    found = []
    for id, log in by_execution.items():
        found += _log_holds(str(id), statuses[id], log)
    found += [
        Violation(2, str(task["execution_id"]), f"is closed, and its task {task['id']} is open")
        for task in tasks
        if task["status"] == "open" and statuses[task["execution_id"]].is_terminal
    ]
    return found


def _log_holds(about: str, status: ExecutionStatus, log: Sequence[Row]) -> list[Violation]:
    """Gap-free: positions 1, 2, 3 … and the visits of each step too; nothing open in a closed execution."""
    found = []
    positions = [step["position"] for step in log]
    if len(set(positions)) != len(positions):
        found.append(Violation(2, about, f"two steps at one position: {positions}"))
    visits: defaultdict[str, list[int]] = defaultdict(list)
    for step in log:
        visits[step["pointer"]].append(step["visit"])
        if status.is_terminal and step["status"] in OPEN_STEPS:
            found.append(
                Violation(2, about, f"is {status}, and {step['occurrence']} is still {step['status']}")
            )
        if (step["completed_at"] is None) != (step["status"] in OPEN_STEPS):
            found.append(Violation(2, about, f"{step['occurrence']}: {step['status']}, its end does not fit"))
    if not status.is_terminal or status in SILENT:
        return found
    if positions and (positions[0] != 1 or any(after - before != 1 for before, after in pairwise(positions))):
        found.append(Violation(2, about, f"the step log has gaps: positions {positions[:50]}"))
    for pointer, seen in visits.items():
        if pointer.endswith(COMPENSATE):  # the latest first, and not every visit had something to undo
            continue
        if seen != list(range(1, len(seen) + 1)):
            found.append(Violation(2, about, f"visits of {pointer} are {seen[:50]}"))
    return found
