"""The durable shell of one execution: it carries out the interpreter's commands and decides nothing itself."""

import asyncio
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    # Pure and deterministic; shared so that programs are compiled once per process, not once per execution.
    from domain.definitions.commands import (
        Aborted,
        Arrived,
        AwaitEvents,
        CallAction,
        Cancelled,
        Command,
        Event,
        Finish,
        Resume,
        Sleep,
        Stop,
        Stopped,
        Yield,
        command_as_json,
        command_from_json,
    )
    from domain.definitions.expressions import ACTIVATION_FUEL, Meter
    from domain.definitions.faults import Fault
    from domain.definitions.interpreter import advance, begin
    from domain.definitions.program import PROGRAMS
    from domain.definitions.state import State
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
        SegmentEnd,
    )

from workflows.arrivals import Arrivals
from workflows.contracts import executions as contract
from workflows.control import Control
from workflows.errands import Errands
from workflows.failures import says_closed
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import Lineage, now
from workflows.standing import Standing


@workflow.defn(name=contract.WORKFLOW, failure_exception_types=[Fault])
class ExecutionWorkflow:
    @workflow.init
    def __init__(self, start: ExecutionStart) -> None:
        self.start = start
        self.standing = Standing()
        self.journal = Journal(enabled=start.mirror)
        self.flights: Flights[Event | SegmentEnd] = Flights()
        carried = start.carried
        self.decisions: dict[str, Any] = dict(carried.decisions) if carried else {}
        self.arrivals = Arrivals(carried.events if carried else ())
        self.control = Control(carried.wish if carried else start.wish)
        self.lineage = Lineage(carried.reset_run_id if carried else None)
        self.errands = Errands(
            start, self.standing, self.journal, self.flights, self.arrivals, self.decisions
        )
        self.told = 0
        self.ended: Ended | None = None

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
        """A CloudEvent for this execution, whether or not a step listens for it yet."""
        self.arrivals.add(event)

    def snapshot(self) -> Snapshot | None:
        if not self.start.mirror:
            return None
        self.told += 1
        return self._snapshot()

    @workflow.query(name=contract.COURSE)
    def course(self) -> Course:
        """Where the execution stands; asked when a reset has made it wait again without a word."""
        open = [frame.occurrence for frame in self.standing.state.frames.values() if frame.kind == "step"]
        waits = {wait.occurrence: wait.until for wait in self.flights.waits.values()}
        return Course(workflow.info().run_id, self._snapshot().as_json(), open, waits)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            version=(self.lineage.began(), workflow.info().get_current_history_length(), self.told),
            status=self.standing.shown,
            progress=self.standing.state.progress,
            current_step=self.standing.state.current_step,
            at=now(),
            occurrences=self.standing.state.occurrences,
            reset_run_id=self.lineage.reset_run_id,
        )

    # Walking

    async def _outcome(self) -> Finish:
        try:
            return await self._walk_unless_closed()
        except asyncio.CancelledError:
            await self.flights.ground()
            return self._end(Cancelled(now()))
        except Fault as fault:
            await self.flights.ground()
            return self._end(Aborted(now(), fault.as_json()))
        except Exception:  # noqa: BLE001  a defect of ours: retrying the workflow task for ever would hide it
            workflow.logger.exception("The engine failed to carry out an execution")
            await self.flights.ground()
            return self._end(Aborted(now(), _engine_fault().as_json()))

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
                self.errands.launch(command)
            due = []
            await workflow.wait_condition(
                lambda: (
                    self.flights.has_landed
                    or self.control.wants_pause
                    or self._may_hear()
                    or self._may_continue_as_new()
                )
            )
            if self.control.wants_pause:
                continue
            if self.flights.has_landed:
                due = self._take(self.flights.next())
            elif self._may_hear():
                due = self._take(Arrived(now(), self.arrivals.take()))
            else:
                await self._continue_as_new([])

    def _may_hear(self) -> bool:
        """A segment has the state with it: events wait until it is back."""
        return self.arrivals.has_news and not self.errands.computing and not self.flights.has_landed

    def _begin(self) -> list[Command]:
        start = self.start
        self.standing.program = PROGRAMS.load(start.pinned.sha256, start.pinned.compiled)
        if start.carried is not None:
            self.standing.state = State.from_json(start.carried.state)
            self.errands.resume(start.carried.waits)
            return [command_from_json(command) for command in start.carried.commands]
        self.standing.state = begin(
            self.standing.program,
            input=start.input,
            execution={"id": start.execution_id, "trigger": start.trigger},
            now=now(),
            budget=start.budget,
        )
        return self._advance(Resume(now()))

    def _take(self, landed: Event | SegmentEnd) -> list[Command]:
        self.standing.status = ExecutionStatus.RUNNING
        if isinstance(landed, SegmentEnd):
            if landed.ended is not None:  # the last segment has committed the outcome already
                self.ended = landed.ended
                return [Finish(landed.ended.status, error=landed.ended.error)]
            self.standing.state = State.from_json(landed.state)
            self.journal.remember(landed.records)
            return [command_from_json(command) for command in landed.commands]
        self.errands.heard()
        return self._advance(landed)

    def _advance(self, event: Event) -> list[Command]:
        assert self.standing.program is not None
        step = advance(self.standing.program, self.standing.state, event, Meter(ACTIVATION_FUEL))
        self.standing.state = step.state
        self.journal.remember(step.records)
        return step.commands

    def _end(self, event: Cancelled | Aborted) -> Finish:
        if self.standing.program is None:  # not even its definition could be read
            assert isinstance(event, Aborted)
            return Finish(ExecutionStatus.FAILED, error=event.error)
        due = self._advance(event)
        # Whatever was under way has landed already.
        for stop in [command for command in due if isinstance(command, Stop)]:
            due = self._advance(Stopped(now(), stop.occurrence))
        finish = due[-1]
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
        self.standing.is_held = True
        self.standing.show("Paused")
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
        self.standing.is_held = False
        waits = list(self.flights.waits)
        self.standing.status = ExecutionStatus.WAITING if waits else ExecutionStatus.RUNNING
        self.standing.show("Resumed")
        if not self.start.mirror:
            return
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            await workflow.execute_local_activity(
                contract.end_pause, PauseEnd(waits, records), **contract.record_config("resume", "Resumed")
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
        self.standing.status = finish.status
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            return await workflow.execute_local_activity(
                contract.finish_execution,
                Ending(finish.status, finish.output, finish.error, records),
                **contract.record_config("finish"),
            )

    # Continuing as new

    def _may_continue_as_new(self) -> bool:
        """While nothing but waits that the mirror knows is under way."""
        return workflow.info().is_continue_as_new_suggested() and self.flights.all_wait

    async def _continue_as_new(self, commands: list[Command]) -> None:
        """Begin a new run with the state, the waits under way and `commands`, which are due but not begun."""
        await self.journal.write()
        if self.flights.has_landed:  # a wait ended meanwhile: its answer must not be left behind
            return
        carried = Carried(
            state=self.standing.travelling(),
            waits=list(self.flights.waits.values()),
            decisions=dict(self.decisions),
            commands=[command_as_json(command) for command in commands],
            wish=self.control.wish,
            events=self.arrivals.carried(),
            reset_run_id=self.lineage.reset_run_id,
        )
        workflow.continue_as_new(replace(self.start, input=None, carried=carried))


def _next_step(command: Command) -> NextStep:
    match command:
        case CallAction():
            return NextStep(command.occurrence, command.name, command.action)
        case Sleep():
            return NextStep(command.occurrence, command.name, "wait")
        case AwaitEvents():
            return NextStep(command.occurrence, command.name, "listen")
        case Stop():
            return NextStep(command.occurrence, "", "stop")
        case Yield():
            return NextStep("", "", "compute")
        case Finish():
            return NextStep("", "", "finish")


def _engine_fault() -> Fault:
    return Fault(
        "runtime",
        500,
        "Engine fault",
        "The engine failed to carry out this execution; the operators find the details in the log",
    )
