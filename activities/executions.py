"""The activities of an execution: run segments, perform actions, register waits, commit the outcome."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import listening
from activities.actions.context import ActionContext, Services
from activities.actions.registry import Registry
from activities.interceptors import reported_snapshot
from activities.lag import committed
from activities.performing import Attempt
from activities.registering import Registering
from activities.retrying import is_tried_again, next_attempt, words_of
from activities.segments import SegmentRun
from db.children import Children
from db.definitions import Versions
from db.mirror import Closing, Mirror, Reporter
from db.outbox import OutboxEntry
from db.session import Access, Database, Origin, Role
from db.stepattempts import StepAttempts
from db.tasks import Tasks
from domain.actions import Lane
from domain.attempts import Tried, excerpt
from domain.definitions.commands import CallAction, Finish, StepRecord, Yield, command_from_json
from domain.definitions.program import PROGRAMS, Program
from domain.definitions.state import State
from domain.executions import ExecutionStatus
from domain.ids import WorkflowId, derived_id, effect_key
from domain.keys import KeyRing
from domain.mirror import Snapshot
from domain.segments import (
    EarlierEvents,
    Ended,
    Ending,
    Pause,
    PauseEnd,
    PendingWait,
    Performance,
    Performed,
    Registered,
    Segment,
    SegmentEnd,
    Waiting,
)
from workflows.contracts.executions import EXECUTION_CLOSED

log = logging.getLogger(__name__)

#: No longer is the next attempt kept waiting for the note of the one before.
NOTING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reporting:
    """Who reports, and what: read from the activity's own facts, never from a tenant's data."""

    id: WorkflowId
    reporter: Reporter
    snapshot: Snapshot | None
    access: Access


def reporting() -> Reporting:
    info = activity.info()
    id = WorkflowId.parse(str(info.workflow_id))
    reporter = Reporter(id.organization_id, id.execution_id, str(info.workflow_run_id))
    access = Access(Role.WORKER, id.organization_id, origin=Origin(execution_id=id.execution_id))
    return Reporting(id, reporter, reported_snapshot(), access)


class ExecutionActivities:
    def __init__(
        self,
        database: Database,
        registry: Registry,
        services: Services,
        *,
        keys: KeyRing,
        refuse: Callable[[str, str], Awaitable[None]],
        dispatch: Callable[[OutboxEntry], Coroutine[Any, Any, None]],
        closed: Callable[[str, RowMapping | None], None],
        rests: Callable[[str], None],
        clock: Callable[[], datetime],
        threads: int = 2,
    ) -> None:
        self._database = database
        self._registry = registry
        self._services = services
        self._keys = keys
        self._refuse_run = refuse
        self._carry = dispatch
        self._carrying: set[asyncio.Task[None]] = set()
        self._closed = closed
        self._rests = rests
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="segment")

    def all(self) -> Sequence[Callable[..., Any]]:
        """What a worker registers: our own activities, and one per action, under the action's name."""
        actions = [spec.name for spec in self._registry.every_spec() if spec.lane is Lane.ACTIVITY]
        return [
            self.run_segment,
            self.begin_wait,
            self.earlier_events,
            self.cancel_child,
            self.record_steps,
            self.begin_pause,
            self.end_pause,
            self.finish_execution,
            *(self._performing(name) for name in dict.fromkeys(actions)),
        ]

    def _dispatch(self, entry: OutboxEntry) -> None:
        """Carry a committed word to the engine while the activity goes on; what is lost here, the relay carries."""
        carrying = asyncio.create_task(self._carry(entry))
        self._carrying.add(carrying)
        carrying.add_done_callback(self._carried)

    def _carried(self, carrying: asyncio.Task[None]) -> None:
        self._carrying.discard(carrying)
        if not carrying.cancelled() and (error := carrying.exception()) is not None:
            log.warning("The relay will carry what could not be dispatched: %s", type(error).__name__)

    def close(self) -> None:
        for carrying in self._carrying:
            carrying.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @activity.defn
    async def run_segment(self, segment: Segment) -> SegmentEnd:
        """Run short built-ins and the steps between them until a command needs the workflow."""
        report = reporting()
        commands = [command_from_json(command) for command in segment.commands] or [Yield()]
        run = SegmentRun(
            database=self._database,
            access=report.access,
            registry=self._registry,
            services=self._services,
            thread=self._threads,
            organization_id=report.id.organization_id,
            execution_id=report.id.execution_id,
            started_by=_uuid(segment.started_by),
            program=await self._program(report.access, segment.pinned_version, segment.sha256),
            state=State.from_json(segment.state),
            clock=self._clock,
            commands=commands,
            alone=segment.alone and report.snapshot is not None,
            records={record.occurrence: record for record in segment.records},
        )
        # Computing may take seconds: the row says meanwhile that the execution runs. However late it is already,
        # every segment gets on a little.
        await self._commit(run, report)
        if run.must_compute:
            await run.compute()
        while run.has_time:
            if run.must_compute:
                await run.compute()
            elif run.following is not None:
                await self._commit(run, report)
            else:
                break
        if run.records or run.may_close:
            await self._commit(run, report, acts=False)
        return run.end()

    async def _commit(self, run: SegmentRun, report: Reporting, *, acts: bool = True) -> None:
        """Built-ins and what is to be reported of them, in one transaction; the outcome too, once there is one."""
        closing = None
        async with run.transaction():
            if acts:
                await run.act()
            if report.snapshot is None:
                pass
            elif run.may_close and run.finish is not None:
                closing = await self._close(run, report, run.finish)
            else:
                await self._report(run.connection, report, _advanced(report.snapshot, run.state), run.records)
        if report.snapshot is not None:
            committed(_advanced(report.snapshot, run.state), "segment")
        run.records.clear()
        while run.told:
            self._dispatch(run.told.pop(0))
        if closing is not None:
            run.ended = closing.ended
            self._announce(report, closing)

    def _announce(self, report: Reporting, closing: Closing) -> None:
        """Tell who waits in this process, and the execution that waits for this one."""
        self._closed(str(report.id), closing.row)
        if closing.answer is not None:
            self._dispatch(closing.answer)

    async def _close(self, run: SegmentRun, report: Reporting, finish: Finish) -> Closing:
        """Commit the outcome with the segment's last steps: one transaction and one event less for every execution."""
        assert report.snapshot is not None
        snapshot = replace(_advanced(report.snapshot, run.state), status=finish.status)
        closing = await Mirror(run.connection, report.reporter).finish(
            snapshot, list(run.records.values()), finish.output, finish.error
        )
        if closing.run_id not in (None, report.reporter.run_id) or closing.ended.is_from_outside:
            await self._refuse(report)
        return closing

    @activity.defn
    async def begin_wait(self, waiting: Waiting) -> Registered:
        """Register waits, and show in the mirror what the execution stands still for."""
        report = reporting()
        self._rests(str(report.id))
        registering = Registering(
            self._registry, report.id, report.snapshot, str(report.reporter.run_id), self._clock()
        )
        async with self._database.transaction(report.access) as connection:
            for registration in waiting.registrations:
                await registering.register(connection, registration)
            if report.snapshot is not None:
                shown = waiting.shown
                if shown is not None and shown.occurrence in registering.faults:
                    shown = None
                await self._show(connection, report, waiting.records, shown)
        committed(report.snapshot, "wait")
        for entry in registering.told:
            self._dispatch(entry)
        return await registering.registered(self._keys)

    @activity.defn
    async def earlier_events(self, listen: PendingWait) -> EarlierEvents:
        """The next of the events that were recorded before a step began to listen."""
        report = reporting()
        async with self._database.transaction(report.access) as connection:
            listener = listening.listener(report.id, report.snapshot, listen.occurrence, listen.types)
            page = await listening.earlier(connection, listener)
        return await page.opened(self._keys)

    @activity.defn
    async def cancel_child(self, occurrence: str) -> bool:
        """Ask the execution that this occurrence started to end; whether an answer of it is to be waited for."""
        report = reporting()
        async with self._database.transaction(report.access) as connection:
            recalled = await Children(connection).cancel(
                report.id.execution_id, occurrence, str(report.reporter.run_id)
            )
        if recalled.entry is not None:
            self._dispatch(recalled.entry)
        return recalled.will_answer

    @activity.defn
    async def record_steps(self, records: list[StepRecord]) -> None:
        """Write step records that are too many to travel with another activity."""
        report = reporting()
        assert report.snapshot is not None
        async with self._database.transaction(report.access) as connection:
            await Mirror(connection, report.reporter).steps(report.snapshot, records)

    @activity.defn
    async def begin_pause(self, pause: Pause) -> None:
        """Show in the mirror that the execution holds still, and what it would do next."""
        report = reporting()
        async with self._database.transaction(report.access) as connection:
            meanwhile = await self._waiting_on(connection, report, pause.wait)
            await self._stand(connection, report, pause.records, paused_on(pause, meanwhile))

    @activity.defn
    async def end_pause(self, end: PauseEnd) -> None:
        """Show in the mirror that the execution goes on."""
        report = reporting()
        async with self._database.transaction(report.access) as connection:
            await self._show(connection, report, end.records, end.wait)

    async def _show(
        self, connection: Any, report: Reporting, records: list[StepRecord], wait: PendingWait | None
    ) -> None:
        assert report.snapshot is not None
        if wait is None:
            report = replace(report, snapshot=replace(report.snapshot, status=ExecutionStatus.RUNNING))
        await self._stand(connection, report, records, await self._waiting_on(connection, report, wait))

    async def _stand(
        self,
        connection: Any,
        report: Reporting,
        records: list[StepRecord],
        waiting_on: dict[str, Any] | None,
    ) -> None:
        """Where the execution stands still, its short log is renewed as well."""
        assert report.snapshot is not None
        told = {record.occurrence: record for record in records}
        await self._report(connection, report, report.snapshot, told, waiting_on)
        await Mirror(connection, report.reporter).log()

    async def _waiting_on(
        self, connection: Any, report: Reporting, wait: PendingWait | None
    ) -> dict[str, Any] | None:
        if wait is None:
            return None
        shown: dict[str, Any] = {"kind": wait.kind, "step": wait.name, "occurrence": wait.occurrence}
        if wait.until is not None:
            shown["until"] = datetime.fromtimestamp(wait.until / 1000, UTC).isoformat()
        if wait.types is not None:
            shown |= {"type": wait.types[0]} if len(wait.types) == 1 else {"types": wait.types}
        if wait.kind == "execution":
            child = derived_id(effect_key(report.id.execution_id, wait.occurrence))
            shown |= {"execution_id": str(child), "workflow": wait.workflow}
        if wait.kind == "task":
            shown |= await Tasks(connection).shown(report.id.execution_id, wait.occurrence)
        return shown

    @activity.defn
    async def finish_execution(self, ending: Ending) -> Ended:
        """Commit the outcome, the last steps and everything that follows from them, in one transaction.

        Answers the outcome that stands in the row: the first one committed, whichever workflow task it came from.
        """
        report = reporting()
        assert report.snapshot is not None
        async with self._database.transaction(report.access) as connection:
            mirror = Mirror(connection, report.reporter)
            closing = await mirror.finish(report.snapshot, ending.records, ending.output, ending.error)
        committed(report.snapshot, "end")
        self._announce(report, closing)
        return closing.ended

    def _performing(self, name: str) -> Callable[[Performance], Awaitable[Performed]]:
        @activity.defn(name=name)
        async def performing(performance: Performance) -> Performed:
            return await self._perform(performance)

        return performing

    async def _perform(self, performance: Performance) -> Performed:
        report = reporting()
        self._rests(str(report.id))
        command = command_from_json(performance.command)
        assert isinstance(command, CallAction)
        number = activity.info().attempt
        context = ActionContext(
            organization_id=report.id.organization_id,
            execution_id=report.id.execution_id,
            occurrence=command.occurrence,
            started_by=_uuid(performance.started_by),
            effect_key=effect_key(report.id.execution_id, command.occurrence),
            now=self._clock(),
            connection=None,
            services=self._services,
        )
        async with self._database.transaction(report.access) as connection:
            if report.snapshot is not None:
                records = {record.occurrence: record for record in performance.records}
                await self._report(connection, report, report.snapshot, records)
                if number > 1:
                    again = StepAttempts(connection, report.reporter)
                    await again.begin(report.snapshot, command.occurrence, number, context.now)
        committed(report.snapshot, "activity")
        try:
            attempt = Attempt(
                database=self._database,
                access=report.access,
                registry=self._registry,
                thread=self._threads,
                program=await self._program(report.access, performance.pinned_version, performance.sha256),
                keys=self._keys,
                command=command,
                context=context,
                is_cancelled=_was_cancelled,
            )
            return await attempt.perform()
        except Exception as error:
            if is_tried_again(error):
                await self._failed(report, command, context.now, error)
            raise

    async def _failed(
        self, report: Reporting, command: CallAction, began: datetime, error: Exception
    ) -> None:
        """Note an attempt that is not the last one, as far as that can be done: the step goes on without it."""
        if report.snapshot is None:
            return
        info, ended = activity.info(), self._clock()
        retry = next_attempt(info.retry_policy, info.attempt, ended)
        tried = Tried(info.attempt, began, ended, retry, excerpt(words_of(error, command.action)))
        try:
            async with (
                asyncio.timeout(NOTING_SECONDS),
                self._database.transaction(report.access) as connection,
            ):
                attempts = StepAttempts(connection, report.reporter)
                await attempts.fail(report.snapshot, command.occurrence, tried)
        except (SQLAlchemyError, OSError) as away:  # a TimeoutError is an OSError
            log.warning("An attempt at %s is not noted: %s", command.action, type(away).__name__)

    async def _report(
        self,
        connection: Any,
        report: Reporting,
        snapshot: Snapshot,
        records: dict[str, StepRecord],
        waiting_on: dict[str, Any] | None = None,
    ) -> None:
        mirror = Mirror(connection, report.reporter)
        if not await mirror.report(snapshot, list(records.values()), waiting_on):
            await self._refuse(report)

    async def _refuse(self, report: Reporting) -> NoReturn:
        """Closed while its workflow was starting: nothing more may happen, here or in Temporal."""
        await self._refuse_run(str(report.id), str(report.reporter.run_id))
        raise ApplicationError("the execution was closed", type=EXECUTION_CLOSED, non_retryable=True)

    async def _program(self, access: Access, version_id: str, sha256: str) -> Program:
        program = PROGRAMS.get(sha256)
        if program is None:
            async with self._database.transaction(access) as connection:
                row = await Versions(connection).find(UUID(version_id))
            program = PROGRAMS.load(sha256, row["compiled"])
        return program


def _advanced(snapshot: Snapshot, state: State) -> Snapshot:
    """The workflow told where the segment began; the row shows where it ended."""
    return replace(
        snapshot,
        status=ExecutionStatus.RUNNING,
        progress=state.progress,
        current_step=state.current_step,
        at=state.now,
        occurrences=state.occurrences,
        compensating=state.compensating,
    )


def paused_on(pause: Pause, wait: dict[str, Any] | None) -> dict[str, Any]:
    """What would be done next; `meanwhile` is the wait that goes on, as the row showed it."""
    following = [{"step": next.step, "occurrence": next.occurrence, "does": next.does} for next in pause.next]
    shown: dict[str, Any] = {"kind": "paused", "next": following}
    return shown if wait is None else {**shown, "meanwhile": wait}


def _was_cancelled() -> bool:
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
