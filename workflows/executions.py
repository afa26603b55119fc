"""The durable shell of one execution: it carries out the interpreter's commands and decides nothing itself."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    # Pure and deterministic; shared so that programs are compiled once per process, not once per execution.
    from domain.actions import Lane
    from domain.definitions.commands import (
        Aborted,
        AwaitEvent,
        CallAction,
        Cancelled,
        Command,
        Completed,
        Event,
        Failed,
        Finish,
        Resume,
        Sleep,
        Yield,
        command_as_json,
        command_from_json,
    )
    from domain.definitions.expressions import ACTIVATION_FUEL, Meter
    from domain.definitions.faults import Fault, state_too_large
    from domain.definitions.interpreter import advance, begin
    from domain.definitions.program import ENGINE, PROGRAMS, Program
    from domain.definitions.state import State
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus
    from domain.mirror import Course, Snapshot
    from domain.segments import (
        Carried,
        Ended,
        Ending,
        ExecutionStart,
        NextStep,
        Pause,
        PauseEnd,
        PendingWait,
        Performance,
        Performed,
        Segment,
        SegmentEnd,
        Waiting,
    )

from workflows.arrivals import Arrivals
from workflows.contracts import executions as contract
from workflows.control import Control
from workflows.details import step_table
from workflows.failures import ActivityFailure, fault_of, says_cancelled, says_closed
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import Lineage, milliseconds

#: The largest state that may travel; beyond it Temporal would retry the workflow task for ever.
MAXIMUM_STATE = 1024 * 1024
#: A workflow task is sent to Temporal as one message of at most 4 MB, with the results of all its segments.
MAXIMUM_TASK = 1024 * 1024
#: A workflow task hears no signal and no cancellation before it ends: not after more long segments.
DEAF_SEGMENTS = 2


@workflow.defn(name=contract.WORKFLOW, failure_exception_types=[Fault])
class ExecutionWorkflow:
    @workflow.init
    def __init__(self, start: ExecutionStart) -> None:
        self.start = start
        self.status = ExecutionStatus.RUNNING
        self.journal = Journal(enabled=start.mirror)
        self.flights: Flights[Event | SegmentEnd] = Flights()
        carried = start.carried
        self.decisions: dict[str, Any] = dict(carried.decisions) if carried else {}
        self.arrivals = Arrivals(carried.events, carried.event_keys) if carried else Arrivals()
        self.control = Control(carried.wish if carried else start.wish)
        self.lineage = Lineage(carried.reset_run_id if carried else None)
        self.is_held = False
        self.told = 0
        self.task_bytes = 0
        self.deaf_segments = 0
        self.ended: Ended | None = None
        self.program: Program | None = None
        self.state = State(engine=ENGINE, execution={}, context=None)

    @workflow.run
    async def run(self, start: ExecutionStart) -> None:
        finish = await self._outcome()
        # The row decides: had it been closed before, by a workflow task that was lost afterwards, that outcome stands.
        ended = self.ended or (
            await self._finish(finish) if start.mirror else Ended(finish.status, finish.error)
        )
        match ended.status:
            case ExecutionStatus.COMPLETED:
                return
            case ExecutionStatus.CANCELLED:
                raise CancelledError("Cancelled on request")
        fault = Fault.from_json(ended.error) if ended.error else Fault("runtime", 500, ended.status.value)
        raise ApplicationError(fault.title, fault.as_json(), type=fault.type, non_retryable=True)

    @workflow.signal(name=contract.DECIDE)
    def decide(self, decision: dict[str, Any]) -> None:
        """A person decided a task. The row was decided once; a repeated delivery changes nothing."""
        self.decisions.setdefault(decision["occurrence"], decision["decision"])

    @workflow.signal(name=contract.PAUSE)
    def pause(self, request: dict[str, Any] | None = None) -> None:
        """Nothing new shall begin. A segment under way goes on to its end, at most about a second."""
        self.control.take(request, paused=True)

    @workflow.signal(name=contract.RESUME)
    def resume(self, request: dict[str, Any] | None = None) -> None:
        """Go on exactly where the execution stands."""
        self.control.take(request, paused=False)

    @workflow.signal(name=contract.EVENT)
    def event(self, event: dict[str, Any]) -> None:
        """A CloudEvent for this execution; it is kept until a step listens to its type."""
        self.arrivals.add(event)

    def snapshot(self) -> Snapshot | None:
        if not self.start.mirror:
            return None
        self.told += 1
        return self._snapshot()

    @workflow.query(name=contract.COURSE)
    def course(self) -> Course:
        """Where the execution stands; asked when a reset has made it wait again without a word."""
        open = [frame.occurrence for frame in self.state.frames.values() if frame.kind == "step"]
        waits = {wait.occurrence: wait.until for wait in self.flights.waits.values()}
        return Course(workflow.info().run_id, self._snapshot().as_json(), open, waits)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            version=(self.lineage.began(), workflow.info().get_current_history_length(), self.told),
            status=ExecutionStatus.PAUSED if self.is_held and not self.status.is_terminal else self.status,
            progress=self.state.progress,
            current_step=self.state.current_step,
            at=_now(),
            occurrences=self.state.occurrences,
            reset_run_id=self.lineage.reset_run_id,
        )

    # Walking

    async def _outcome(self) -> Finish:
        try:
            return await self._walk_unless_closed()
        except asyncio.CancelledError:
            await self.flights.ground()
            return self._end(Cancelled(_now()))
        except Fault as fault:
            await self.flights.ground()
            return self._end(Aborted(_now(), fault.as_json()))
        except Exception:  # noqa: BLE001  a defect of ours: retrying the workflow task for ever would hide it
            workflow.logger.exception("The engine failed to carry out an execution")
            await self.flights.ground()
            return self._end(Aborted(_now(), _engine_fault().as_json()))

    async def _walk_unless_closed(self) -> Finish:
        try:
            return await self._walk()
        except (ActivityError, ApplicationError) as error:
            if not says_closed(error):
                raise
        await self.flights.ground()
        await workflow.wait_condition(lambda: False)  # whoever refused has asked Temporal to cancel us
        raise AssertionError("only a cancellation ends this wait")

    async def _walk(self) -> Finish:
        due = self._begin()
        while True:
            while self.control.wants_pause and self.ended is None:
                due = await self._pause(due)
            for command in due:
                if isinstance(command, Finish):
                    return command
            if workflow.info().is_continue_as_new_suggested() and self.flights.only_waits:
                await self._continue_as_new(due)
            for command in due:
                self._launch(command)
            due = []
            await workflow.wait_condition(
                lambda: self.flights.has_landed or self.control.wants_pause or self._may_continue_as_new()
            )
            if self.control.wants_pause:
                continue
            if not self.flights.has_landed:
                await self._continue_as_new([])
            due = self._take(self.flights.next())

    def _begin(self) -> list[Command]:
        start = self.start
        self.program = PROGRAMS.load(start.pinned.sha256, start.pinned.compiled)
        if start.carried is not None:
            self.state = State.from_json(start.carried.state)
            self._resume_waits(start.carried.waits)
            return [command_from_json(command) for command in start.carried.commands]
        self.state = begin(
            self.program,
            input=start.input,
            execution={"id": start.execution_id, "trigger": start.trigger},
            now=_now(),
            budget=start.budget,
        )
        return self._advance(Resume(_now()))

    def _take(self, landed: Event | SegmentEnd) -> list[Command]:
        self.status = ExecutionStatus.RUNNING
        if isinstance(landed, SegmentEnd):
            self.deaf_segments += landed.took_long
            if landed.ended is not None:  # the last segment has committed the outcome already
                self.ended = landed.ended
                return [Finish(landed.ended.status, error=landed.ended.error)]
            self.state = State.from_json(landed.state)
            self.journal.remember(landed.records)
            return [command_from_json(command) for command in landed.commands]
        self.deaf_segments = 0
        return self._advance(landed)

    def _advance(self, event: Event) -> list[Command]:
        assert self.program is not None
        step = advance(self.program, self.state, event, Meter(ACTIVATION_FUEL))
        self.state = step.state
        self.journal.remember(step.records)
        return step.commands

    def _end(self, event: Cancelled | Aborted) -> Finish:
        if self.program is None:  # not even its definition could be read
            assert isinstance(event, Aborted)
            return Finish(ExecutionStatus.FAILED, error=event.error)
        finish = self._advance(event)[-1]
        assert isinstance(finish, Finish)
        return finish

    # Pausing

    async def _pause(self, due: list[Command]) -> list[Command]:
        """Begin nothing until somebody resumes; answers what is due then. Waits go on, what follows them waits."""
        due = await self._settled(due)
        if not self.control.wants_pause or self.ended is not None:
            return due
        await self._tell_pause(due)
        while self.control.wants_pause:
            await workflow.wait_condition(
                lambda: not self.control.wants_pause or workflow.info().is_continue_as_new_suggested()
            )
            if self.control.wants_pause:
                due = await self._settled(due)
                await self._continue_as_new(due)
        await self._tell_resumption()
        return due

    async def _settled(self, due: list[Command]) -> list[Command]:
        """`due` and what came of the activities that were still under way."""
        while self.control.wants_pause and not self.flights.only_waits:
            await workflow.wait_condition(
                lambda: self.flights.has_landed or self.flights.only_waits or not self.control.wants_pause
            )
            if self.flights.has_landed:
                due = [*due, *self._take(self.flights.next())]
        return due

    async def _tell_pause(self, due: list[Command]) -> None:
        self.is_held = True
        self._show_steps("Paused")
        if not self.start.mirror:
            return
        await self.journal.make_bearable()
        following = [_next_step(command) for command in due]
        with self.journal.riding(but={step.occurrence for step in following}) as records:
            await workflow.execute_local_activity(
                contract.begin_pause,
                Pause(following, list(self.flights.waits), records),
                **contract.record_config("pause", "Paused"),
            )

    async def _tell_resumption(self) -> None:
        self.is_held = False
        waits = list(self.flights.waits)
        self.status = ExecutionStatus.WAITING if waits else ExecutionStatus.RUNNING
        self._show_steps("Resumed")
        if not self.start.mirror:
            return
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            await workflow.execute_local_activity(
                contract.end_pause, PauseEnd(waits, records), **contract.record_config("resume", "Resumed")
            )

    def _show_steps(self, title: str) -> None:
        """Only where an execution stands still: the table costs time, and is read by people."""
        if self.program is not None:
            workflow.set_current_details(step_table(self.program, self.state, title))

    # Commands

    def _launch(self, command: Command) -> None:
        match command:
            case Yield():
                self.flights.launch("continue", self._segment(None))
            case CallAction(lane=Lane.SEGMENT):
                self.flights.launch(command.occurrence, self._segment(command))
            case CallAction(lane=Lane.ACTIVITY):
                self.flights.launch(command.occurrence, self._perform(command))
            case CallAction(lane=Lane.TASK):
                self.flights.launch(command.occurrence, self._approve(command))
            case Sleep():
                self.flights.launch(command.occurrence, self._sleep(command))
            case AwaitEvent():
                self.flights.launch(command.occurrence, self._listen(command))
            case Finish():
                raise AssertionError("finishing is not launched")

    async def _segment(self, command: CallAction | None) -> SegmentEnd:
        state = self._travelling_state()
        await self._breathe()
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            end = await workflow.execute_local_activity(
                contract.run_segment,
                Segment(
                    pinned_version=self.start.pinned.version_id,
                    sha256=self.start.pinned.sha256,
                    started_by=self.start.started_by,
                    state=state,
                    command=None if command is None else command_as_json(command),
                    records=records,
                    alone=self.start.mirror and self.flights.count == 1,
                ),
                **contract.segment_config("continue", "Computing")
                if command is None
                else contract.segment_config(command.occurrence, command.name),
            )
        self.task_bytes += measure([end.state, *end.commands], MAXIMUM_STATE * 2)
        return end

    async def _breathe(self) -> None:
        """Begin a new workflow task before this one's results exceed what may be sent at once, or it hears too late."""
        if self.task_bytes > MAXIMUM_TASK or self.deaf_segments >= DEAF_SEGMENTS:
            await workflow.sleep(timedelta(milliseconds=1))
            self.task_bytes = self.deaf_segments = 0

    async def _perform(self, command: CallAction) -> Event:
        await self.journal.make_light()
        try:
            with self.journal.riding() as records:
                performed = await workflow.execute_activity(
                    command.action,
                    Performance(
                        pinned_version=self.start.pinned.version_id,
                        sha256=self.start.pinned.sha256,
                        started_by=self.start.started_by,
                        command=command_as_json(command),
                        records=records,
                    ),
                    result_type=Performed,
                    **contract.perform_config(
                        command.occurrence, timedelta(milliseconds=command.timeout_ms), command.name
                    ),
                )
        except ActivityError as error:
            return _failed(command, error)
        return Completed(_now(), command.occurrence, performed.output, performed.shaped)

    async def _approve(self, command: CallAction) -> Event:
        try:
            await self._begin_wait("task", command.occurrence, command.name, arguments=command.arguments)
        except (ActivityError, ApplicationError) as error:
            return _failed(command, error)
        self.flights.waits[command.occurrence] = PendingWait(command.occurrence, name=command.name)
        return await self._decision(command.occurrence)

    async def _decision(self, occurrence: str) -> Event:
        await workflow.wait_condition(lambda: occurrence in self.decisions)
        return Completed(_now(), occurrence, self.decisions.pop(occurrence))

    async def _sleep(self, command: Sleep) -> Event:
        if self.start.mirror:
            await self._begin_wait("timer", command.occurrence, command.name, until=command.until)
        wait = PendingWait(command.occurrence, command.until, name=command.name)
        self.flights.waits[command.occurrence] = wait
        return await self._timer(wait, command.until)

    async def _timer(self, wait: PendingWait, until: int) -> Event:
        remaining = until - _now()
        if remaining > 0:
            await workflow.sleep(timedelta(milliseconds=remaining), summary=wait.name or None)
        return Completed(_now(), wait.occurrence, None)

    async def _listen(self, command: AwaitEvent) -> Event:
        if not self.arrivals.has(command.type):
            if self.start.mirror:
                await self._begin_wait("event", command.occurrence, command.name, event=command.type)
            wait = PendingWait(command.occurrence, event=command.type, name=command.name)
            self.flights.waits[command.occurrence] = wait
        return await self._arrival(command.occurrence, command.type)

    async def _arrival(self, occurrence: str, type: str) -> Event:
        await workflow.wait_condition(lambda: self.arrivals.has(type))
        return Completed(_now(), occurrence, self.arrivals.take(type))

    async def _begin_wait(
        self,
        kind: Literal["timer", "task", "event"],
        occurrence: str,
        step: str,
        *,
        until: int | None = None,
        arguments: Any = None,
        event: str | None = None,
    ) -> None:
        await self.journal.make_bearable()
        self.status = ExecutionStatus.WAITING
        self._show_steps(f"Waiting: {step}")
        with self.journal.riding() as records:
            await workflow.execute_local_activity(
                contract.begin_wait,
                Waiting(kind, occurrence, step, until, arguments, records, event),
                **contract.record_config(occurrence, step),
            )

    async def _finish(self, finish: Finish) -> Ended:
        committing = asyncio.create_task(self._commit(finish))
        while not committing.done():
            try:
                await asyncio.shield(committing)
            except asyncio.CancelledError:
                continue  # the outcome stands already; a cancellation that arrives now is too late
        return committing.result()

    async def _commit(self, finish: Finish) -> Ended:
        self.status = finish.status
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            return await workflow.execute_local_activity(
                contract.finish_execution,
                Ending(finish.status, finish.output, finish.error, records),
                **contract.record_config("finish"),
            )

    def _travelling_state(self) -> dict[str, Any]:
        """Raises Fault when the state is too large to travel."""
        state = self.state.as_json()
        if measure(state, MAXIMUM_STATE) > MAXIMUM_STATE:
            raise state_too_large()
        return state

    # Continuing as new

    def _resume_waits(self, waits: list[PendingWait]) -> None:
        for wait in waits:
            self.flights.waits[wait.occurrence] = wait
            self.flights.launch(wait.occurrence, self._resumed(wait))
        if waits:
            self.status = ExecutionStatus.WAITING

    def _resumed(self, wait: PendingWait) -> Coroutine[Any, Any, Event]:
        if wait.until is not None:
            return self._timer(wait, wait.until)
        if wait.event is not None:
            return self._arrival(wait.occurrence, wait.event)
        return self._decision(wait.occurrence)

    def _may_continue_as_new(self) -> bool:
        """While nothing but waits that the mirror knows is under way."""
        return workflow.info().is_continue_as_new_suggested() and self.flights.all_wait

    async def _continue_as_new(self, commands: list[Command]) -> None:
        """Begin a new run with the state, the waits under way and `commands`, which are due but not begun."""
        await self.journal.write()
        if self.flights.has_landed:  # a wait ended meanwhile: its answer must not be left behind
            return
        carried = Carried(
            state=self._travelling_state(),
            waits=list(self.flights.waits.values()),
            decisions=dict(self.decisions),
            commands=[command_as_json(command) for command in commands],
            wish=self.control.wish,
            events=self.arrivals.events,
            event_keys=self.arrivals.keys,
            reset_run_id=self.lineage.reset_run_id,
        )
        workflow.continue_as_new(replace(self.start, input=None, carried=carried))


def _next_step(command: Command) -> NextStep:
    match command:
        case CallAction():
            return NextStep(command.occurrence, command.name, command.action)
        case Sleep():
            return NextStep(command.occurrence, command.name, "wait")
        case AwaitEvent():
            return NextStep(command.occurrence, command.name, "listen")
        case Yield():
            return NextStep("", "", "compute")
        case Finish():
            return NextStep("", "", "finish")


def _failed(command: CallAction, error: ActivityFailure) -> Event:
    """What the interpreter is told of a failed activity; being cancelled or closed is no failure of the step."""
    if says_cancelled(error):
        raise asyncio.CancelledError from error
    if says_closed(error):
        raise error
    return Failed(_now(), command.occurrence, fault_of(error).as_json())


def _engine_fault() -> Fault:
    return Fault(
        "runtime",
        500,
        "Engine fault",
        "The engine failed to carry out this execution; the operators find the details in the log",
    )


def _now() -> int:
    return milliseconds(workflow.now())
