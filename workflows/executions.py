"""The durable shell of one execution: it carries out the interpreter's commands and decides nothing itself."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    # Pure and deterministic; shared so that programs are compiled once per process, not once per execution.
    from domain.actions import Lane
    from domain.definitions.commands import (
        CallAction,
        Cancelled,
        Command,
        Completed,
        Event,
        Failed,
        Finish,
        Resume,
        Sleep,
        StepRecord,
        Yield,
        command_as_json,
        command_from_json,
        keep,
    )
    from domain.definitions.expressions import ACTIVATION_FUEL, Meter
    from domain.definitions.faults import Fault, state_too_large
    from domain.definitions.interpreter import advance, begin
    from domain.definitions.program import ENGINE, PROGRAMS, Program
    from domain.definitions.state import State
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus
    from domain.mirror import Snapshot
    from domain.segments import (
        Carried,
        Ending,
        ExecutionStart,
        PendingWait,
        Performance,
        Performed,
        Segment,
        SegmentEnd,
        Waiting,
    )

from workflows.contracts import executions as contract

#: The largest state that may travel; beyond it Temporal would retry the workflow task for ever.
MAXIMUM_STATE = 1024 * 1024
#: Steps executed in workflow code are written with the next activity, at most this many at a time.
MAXIMUM_FLUSH = 500
#: Arguments of a normal activity are kept in history, so fewer records travel with one.
MAXIMUM_RIDE = 20


@workflow.defn(name=contract.WORKFLOW, failure_exception_types=[Fault])
class ExecutionWorkflow:
    @workflow.init
    def __init__(self, start: ExecutionStart) -> None:
        self.start = start
        self.status = ExecutionStatus.RUNNING
        self.records: dict[str, StepRecord] = {}
        self.flights: dict[str, asyncio.Task[None]] = {}
        self.waits: dict[str, PendingWait] = {}
        self.landed: list[Event | SegmentEnd | Exception] = []
        self.decisions: dict[str, Any] = dict(start.carried.decisions) if start.carried else {}
        self.told = 0
        self.program: Program
        self.state = State(engine=ENGINE, execution={}, context=None)

    @workflow.run
    async def run(self, start: ExecutionStart) -> None:
        ending = await self._outcome()
        if start.mirror:
            await self._finish(ending)
        if ending.status is ExecutionStatus.CANCELLED:
            raise CancelledError("Cancelled on request")
        if ending.status is ExecutionStatus.FAILED:
            fault = Fault.from_json(ending.error or {})
            raise ApplicationError(fault.title, fault.as_json(), type=fault.type, non_retryable=True)

    @workflow.signal(name=contract.DECIDE)
    def decide(self, decision: dict[str, Any]) -> None:
        """A person decided a task. The row was decided once; a repeated delivery changes nothing."""
        self.decisions.setdefault(decision["occurrence"], decision["decision"])

    def snapshot(self) -> Snapshot | None:
        if not self.start.mirror:
            return None
        self.told += 1
        info = workflow.info()
        return Snapshot(
            version=(_milliseconds(info.start_time), info.get_current_history_length(), self.told),
            status=self.status,
            progress=self.state.progress,
            current_step=self.state.current_step,
        )

    # Walking

    async def _outcome(self) -> Finish:
        try:
            return await self._walk_unless_closed()
        except asyncio.CancelledError:
            await self._ground()
            return self._cancelled()
        except Fault as fault:
            await self._ground()
            return _failed(fault)
        except Exception as error:  # noqa: BLE001  a defect of ours: retrying the workflow task for ever would hide it
            workflow.logger.exception("The engine failed to carry out an execution")
            await self._ground()
            return _failed(Fault("runtime", 500, "Engine fault", f"{type(error).__name__}: {error}"))

    async def _walk_unless_closed(self) -> Finish:
        try:
            return await self._walk()
        except (ActivityError, ApplicationError) as error:
            if not _says_closed(error):
                raise
        await self._ground()
        await workflow.wait_condition(lambda: False)  # whoever refused has asked Temporal to cancel us
        raise AssertionError("only a cancellation ends this wait")

    async def _walk(self) -> Finish:
        commands = self._begin()
        while True:
            for command in commands:
                if isinstance(command, Finish):
                    return command
                self._launch(command)
            await workflow.wait_condition(lambda: bool(self.landed) or self._may_continue_as_new())
            if not self.landed:
                self._continue_as_new()
            commands = self._take(self.landed.pop(0))

    def _begin(self) -> list[Command]:
        start = self.start
        self.program = PROGRAMS.load(start.pinned.sha256, start.pinned.compiled)
        if start.carried is not None:
            self.state = State.from_json(start.carried.state)
            return self._resume_waits(start.carried.waits)
        self.state = begin(
            self.program,
            input=start.input,
            execution={"id": start.execution_id, "trigger": start.trigger},
            now=_now(),
            budget=start.budget,
        )
        return self._advance(Resume(_now()))

    def _take(self, landed: Event | SegmentEnd | Exception) -> list[Command]:
        self.status = ExecutionStatus.RUNNING
        if isinstance(landed, Exception):
            raise landed
        if isinstance(landed, SegmentEnd):
            self.state = State.from_json(landed.state)
            self._remember(landed.records)
            return [command_from_json(command) for command in landed.commands]
        return self._advance(landed)

    def _advance(self, event: Event) -> list[Command]:
        step = advance(self.program, self.state, event, Meter(ACTIVATION_FUEL))
        self.state = step.state
        self._remember(step.records)
        return step.commands

    def _cancelled(self) -> Finish:
        finish = self._advance(Cancelled(_now()))[-1]
        assert isinstance(finish, Finish)
        return finish

    # Commands

    def _launch(self, command: Command) -> None:
        match command:
            case Yield():
                self._fly("yield", self._segment(None))
            case CallAction(lane=Lane.SEGMENT):
                self._fly(command.occurrence, self._segment(command))
            case CallAction(lane=Lane.ACTIVITY):
                self._fly(command.occurrence, self._perform(command))
            case CallAction(lane=Lane.TASK):
                self._fly(command.occurrence, self._approve(command))
            case Sleep():
                self._fly(command.occurrence, self._sleep(command))
            case Finish():
                raise AssertionError("finishing is not launched")

    def _fly(self, name: str, work: Coroutine[Any, Any, Event | SegmentEnd]) -> None:
        async def land() -> None:
            try:
                self.landed.append(await work)
            except Exception as error:  # noqa: BLE001  the walk raises it, where it ends the execution
                self.landed.append(error)
            finally:
                self.flights.pop(name, None)
                self.waits.pop(name, None)

        self.flights[name] = asyncio.create_task(land())

    async def _segment(self, command: CallAction | None) -> SegmentEnd:
        await self._record_surplus()
        state = self._state()
        return await workflow.execute_local_activity(
            contract.run_segment,
            Segment(
                pinned_version=self.start.pinned.version_id,
                sha256=self.start.pinned.sha256,
                started_by=self.start.started_by,
                state=state,
                command=None if command is None else command_as_json(command),
                records=self._flush(),
            ),
            **contract.segment_config("continue" if command is None else command.occurrence),
        )

    def _state(self) -> dict[str, Any]:
        """The state as it travels. Raises Fault when it would not."""
        state = self.state.as_json()
        if measure(state, MAXIMUM_STATE) > MAXIMUM_STATE:
            raise state_too_large()
        return state

    async def _perform(self, command: CallAction) -> Event:
        await self._record_surplus(MAXIMUM_RIDE)
        try:
            performed = await workflow.execute_activity(
                command.action,
                Performance(
                    pinned_version=self.start.pinned.version_id,
                    sha256=self.start.pinned.sha256,
                    started_by=self.start.started_by,
                    command=command_as_json(command),
                    records=self._flush(),
                ),
                result_type=Performed,
                **contract.perform_config(command.occurrence, timedelta(milliseconds=command.timeout_ms)),
            )
        except ActivityError as error:
            return self._failed(command, error)
        return Completed(_now(), command.occurrence, performed.output, performed.shaped)

    def _failed(self, command: CallAction, error: ActivityError | ApplicationError) -> Event:
        """What the interpreter is told of a failed activity; being cancelled or closed is no failure of the step."""
        if isinstance(_cause(error), CancelledError):
            raise asyncio.CancelledError from error
        if _says_closed(error):
            raise error
        return Failed(_now(), command.occurrence, _fault_of(error).as_json())

    async def _approve(self, command: CallAction) -> Event:
        try:
            await self._begin_wait(
                Waiting("task", command.occurrence, command.name, None, command.arguments, [])
            )
        except (ActivityError, ApplicationError) as error:
            return self._failed(command, error)
        self.waits[command.occurrence] = PendingWait(command.occurrence)
        return await self._decision(command.occurrence)

    async def _decision(self, occurrence: str) -> Event:
        await workflow.wait_condition(lambda: occurrence in self.decisions)
        return Completed(_now(), occurrence, self.decisions.pop(occurrence))

    async def _sleep(self, command: Sleep) -> Event:
        if self.start.mirror:
            waiting = Waiting("timer", command.occurrence, command.name, command.until, None, [])
            await self._begin_wait(waiting)
        self.waits[command.occurrence] = PendingWait(command.occurrence, command.until)
        return await self._timer(command.occurrence, command.until)

    async def _timer(self, occurrence: str, until: int) -> Event:
        remaining = until - _now()
        if remaining > 0:
            await workflow.sleep(timedelta(milliseconds=remaining))
        return Completed(_now(), occurrence, None)

    async def _begin_wait(self, waiting: Waiting) -> None:
        await self._record_surplus()
        self.status = ExecutionStatus.WAITING
        await workflow.execute_local_activity(
            contract.begin_wait,
            Waiting(
                waiting.kind,
                waiting.occurrence,
                waiting.step,
                waiting.until,
                waiting.arguments,
                self._flush(),
            ),
            **contract.record_config(waiting.occurrence),
        )

    async def _finish(self, finish: Finish) -> None:
        self.status = finish.status
        await self._record_surplus()
        committing = workflow.start_local_activity(
            contract.finish_execution,
            Ending(finish.status, finish.output, finish.error, self._flush()),
            **contract.record_config("finish"),
        )
        while not committing.done():
            try:
                await asyncio.shield(committing)
            except asyncio.CancelledError:
                continue  # the outcome stands already; a cancellation that arrives now is too late
        committing.result()

    async def _ground(self) -> None:
        """Cancel what is in flight and wait for it: an effect may still be completing, and its record with it."""
        flights = list(self.flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    # Continuing as new

    def _resume_waits(self, waits: list[PendingWait]) -> list[Command]:
        for wait in waits:
            self.waits[wait.occurrence] = wait
            self._fly(wait.occurrence, self._rejoin(wait))
        self.status = ExecutionStatus.WAITING
        return []

    def _rejoin(self, wait: PendingWait) -> Coroutine[Any, Any, Event]:
        if wait.until is None:
            return self._decision(wait.occurrence)
        return self._timer(wait.occurrence, wait.until)

    def _may_continue_as_new(self) -> bool:
        """Only at quiescence: everything in flight is a wait that the mirror knows already."""
        return (
            workflow.info().is_continue_as_new_suggested()
            and bool(self.waits)
            and self.flights.keys() == self.waits.keys()
            and not self.records
        )

    def _continue_as_new(self) -> None:
        workflow.continue_as_new(
            ExecutionStart(
                execution_id=self.start.execution_id,
                pinned=self.start.pinned,
                input=None,
                trigger=self.start.trigger,
                started_by=self.start.started_by,
                budget=self.start.budget,
                mirror=self.start.mirror,
                carried=Carried(
                    state=self._state(),
                    waits=list(self.waits.values()),
                    decisions=dict(self.decisions),
                ),
            )
        )

    # Records

    def _remember(self, records: list[StepRecord]) -> None:
        keep(self.records, records)

    def _flush(self, at_most: int = MAXIMUM_FLUSH) -> list[StepRecord]:
        """The oldest records not yet written; they travel as an argument of the next activity."""
        if not self.start.mirror:
            self.records.clear()
        flushed = list(self.records.values())[:at_most]
        for record in flushed:
            del self.records[record.occurrence]
        return flushed

    async def _record_surplus(self, ride: int = MAXIMUM_FLUSH) -> None:
        """Write records on their own when there are more than may ride along with the next activity."""
        while self.start.mirror and len(self.records) > ride:
            await workflow.execute_local_activity(
                contract.record_steps, self._flush(), **contract.record_config("record")
            )


def _now() -> int:
    return _milliseconds(workflow.now())


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def _failed(fault: Fault) -> Finish:
    return Finish(ExecutionStatus.FAILED, error=fault.as_json())


def _cause(error: ActivityError | ApplicationError) -> BaseException | None:
    """What an activity raised: a normal one wraps it, a local one does not."""
    return error.cause if isinstance(error, ActivityError) else error


def _says_closed(error: ActivityError | ApplicationError) -> bool:
    cause = _cause(error)
    return isinstance(cause, ApplicationError) and cause.type == contract.EXECUTION_CLOSED


def _fault_of(error: ActivityError | ApplicationError) -> Fault:
    """The fault an action raised, or what Temporal says about an activity that never answered."""
    cause = _cause(error)
    if isinstance(cause, ApplicationError) and cause.details and isinstance(cause.details[0], dict):
        return Fault.from_json(cause.details[0])
    return Fault("timeout", 408, "Action did not answer", str(cause or error))
