"""The durable shell of one execution: it carries out the interpreter's commands and decides nothing itself."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import Finish
    from domain.definitions.faults import Fault
    from domain.executions import ExecutionStatus
    from domain.mirror import Course, Snapshot
    from domain.segments import Carried, Ended, Ending, ExecutionStart

from workflows.contracts import executions as contract
from workflows.control import Control
from workflows.failures import says_closed
from workflows.journal import Journal
from workflows.lineage import Lineage, now
from workflows.standing import Standing
from workflows.walk import Walk

T = TypeVar("T")


@workflow.defn(name=contract.WORKFLOW, failure_exception_types=[Fault])
class ExecutionWorkflow:
    @workflow.init
    def __init__(self, start: ExecutionStart) -> None:
        carried = start.carried
        self.start = start
        self.standing = Standing(carried.shown if carried else None)
        self.journal = Journal(enabled=start.mirror)
        self.control = Control(carried.wish if carried else start.wish)
        self.lineage = Lineage(carried.reset_run_id if carried else None)
        self.walk = Walk(start, self.standing, self.journal, self.control, self.lineage)
        self.told = 0

    @workflow.run
    async def run(self, start: ExecutionStart) -> None:
        outcome = await self._undisturbed(self._outcome())
        if isinstance(outcome, Carried):
            workflow.continue_as_new(replace(start, input=None, carried=outcome))
        ended = await self._undisturbed(self._finish(outcome))
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
        self.walk.decisions.setdefault(decision["occurrence"], decision["decision"])

    @workflow.signal(name=contract.ANSWER)
    def answer(self, answer: dict[str, Any]) -> None:
        """An execution that a step of this one started has ended."""
        self.walk.decisions.setdefault(answer["occurrence"], answer)

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
        self.walk.arrivals.add(event)

    def snapshot(self) -> Snapshot | None:
        if not self.start.mirror:
            return None
        self.told += 1
        return self._snapshot()

    @workflow.query(name=contract.COURSE)
    def course(self) -> Course:
        """Where the execution stands; asked when a reset has made it wait again without a word."""
        open = [frame.occurrence for frame in self.standing.state.frames.values() if frame.kind == "step"]
        # A wait between two attempts belongs to the step that makes them.
        waits = {wait.occurrence.partition("!")[0]: wait.until for wait in self.walk.flights.waits}
        return Course(workflow.info().run_id, self._snapshot().as_json(), open, waits)

    def _snapshot(self) -> Snapshot:
        state = self.standing.state
        return Snapshot(
            version=(self.lineage.began(), workflow.info().get_current_history_length(), self.told),
            status=self.standing.status,
            progress=state.progress,
            current_step=state.current_step,
            at=now(),
            occurrences=state.occurrences,
            reset_run_id=self.lineage.reset_run_id,
            compensating=state.compensating,
        )

    async def _undisturbed(self, work: Coroutine[Any, Any, T]) -> T:
        """A cancellation only says that the execution shall end; how, the interpreter decides.

        One that arrives once the outcome stands is too late.
        """
        task = asyncio.create_task(work)
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self.walk.is_cancelled = True
        return task.result()

    async def _outcome(self) -> Finish | Carried:
        walk = self.walk
        try:
            return await self._walk_unless_closed()
        except Fault as fault:
            return await walk.abort(fault)
        except Exception:  # noqa: BLE001  a defect of ours: retrying the workflow task for ever would hide it
            workflow.logger.exception("The engine failed to carry out an execution")
            return await walk.abort(_engine_fault())

    async def _walk_unless_closed(self) -> Finish | Carried:
        walk = self.walk
        try:
            return await walk.walk()
        except (ActivityError, ApplicationError) as error:
            if not says_closed(error):
                raise
        await walk.flights.ground()
        self.journal.forget()
        # Whoever refused has asked Temporal to cancel us; what stands in the row is how this ends.
        await workflow.wait_condition(lambda: walk.is_cancelled)
        return Finish(ExecutionStatus.CANCELLED)

    async def _finish(self, finish: Finish) -> Ended:
        """The row decides: had it been closed before, by a workflow task that was lost, that outcome stands."""
        self.standing.ended = finish.status
        if self.walk.ended is not None:
            return self.walk.ended
        if not self.start.mirror:
            return Ended(finish.status, finish.error)
        await self.walk.flights.ground()
        await self.journal.make_bearable()
        with self.journal.riding() as records:
            return await workflow.execute_local_activity(
                contract.finish_execution,
                Ending(finish.status, finish.output, finish.error, records),
                **contract.record_config("finish"),
            )


def _engine_fault() -> Fault:
    return Fault(
        "runtime",
        500,
        "Engine fault",
        "The engine failed to carry out this execution; the operators find the details in the log",
    )
