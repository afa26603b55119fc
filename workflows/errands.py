"""Carries out what the interpreter commands: segments, calls, and waits, each under way as a flight."""

from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.actions import Lane
    from domain.definitions.commands import (
        AwaitEvents,
        CallAction,
        Command,
        Completed,
        Event,
        Finish,
        Resume,
        Sleep,
        Stop,
        Yield,
        command_as_json,
    )
    from domain.definitions.interpreter import has_backlog
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus
    from domain.segments import (
        EarlierEvents,
        ExecutionStart,
        Listening,
        PendingWait,
        Performance,
        Performed,
        Segment,
        SegmentEnd,
        Waiting,
    )

from workflows.arrivals import Arrivals
from workflows.contracts import executions as contract
from workflows.failures import failed
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import now
from workflows.standing import MAXIMUM_STATE, Standing

#: A workflow task is sent to Temporal as one message of at most 4 MB, with the results of all its segments.
MAXIMUM_TASK = 1024 * 1024
#: A workflow task hears no signal and no cancellation before it ends: not after more long segments.
DEAF_SEGMENTS = 2


class Errands:
    def __init__(
        self,
        start: ExecutionStart,
        standing: Standing,
        journal: Journal,
        flights: Flights[Event | SegmentEnd],
        arrivals: Arrivals,
        decisions: dict[str, Any],
    ) -> None:
        self.start = start
        self.standing = standing
        self.journal = journal
        self.flights = flights
        self.arrivals = arrivals
        self.decisions = decisions
        self.task_bytes = 0
        self.deaf_segments = 0
        #: Segments under way: they have the state with them.
        self.computing = 0

    def heard(self) -> None:
        """Something other than a segment ended: a workflow task has begun since."""
        self.deaf_segments = 0

    def resume(self, waits: list[PendingWait]) -> None:
        """Take up the waits of the run before; the mirror knows them already."""
        for wait in waits:
            self.flights.waits[wait.occurrence] = wait
            self.flights.launch(wait.occurrence, self._resumed(wait))
        if waits:
            self.standing.status = ExecutionStatus.WAITING

    def launch(self, command: Command) -> None:
        """Begin to carry out a command; what comes of it lands in the flights."""
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
            case AwaitEvents():
                self.flights.launch(command.occurrence, self._listen(command))
            case Finish() | Stop():
                raise AssertionError("finishing and stopping are not launched")

    async def _segment(self, command: CallAction | None) -> SegmentEnd:
        self.computing += 1
        try:
            return await self._compute(command)
        finally:
            self.computing -= 1

    async def _compute(self, command: CallAction | None) -> SegmentEnd:
        state = self.standing.travelling()
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
        self.deaf_segments += end.took_long
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
            return failed(command, error)
        return Completed(now(), command.occurrence, performed.output, performed.shaped)

    async def _approve(self, command: CallAction) -> Event:
        try:
            await self._begin_wait("task", command.occurrence, command.name, arguments=command.arguments)
        except (ActivityError, ApplicationError) as error:
            return failed(command, error)
        self.flights.waits[command.occurrence] = PendingWait(command.occurrence, name=command.name)
        return await self._decision(command.occurrence)

    async def _decision(self, occurrence: str) -> Event:
        await workflow.wait_condition(lambda: occurrence in self.decisions)
        return Completed(now(), occurrence, self.decisions.pop(occurrence))

    async def _sleep(self, command: Sleep) -> Event:
        if self.start.mirror:
            await self._begin_wait("timer", command.occurrence, command.name, until=command.until)
        wait = PendingWait(command.occurrence, command.until, name=command.name)
        self.flights.waits[command.occurrence] = wait
        return await self._timer(wait, command.until)

    async def _timer(self, wait: PendingWait, until: int) -> Event:
        remaining = until - now()
        if remaining > 0:
            await workflow.sleep(timedelta(milliseconds=remaining), summary=wait.name or None)
        return Completed(now(), wait.occurrence, None)

    async def _listen(self, command: AwaitEvents) -> Event:
        occurrence = command.occurrence
        if self.start.mirror:
            with self.arrivals.asking():
                begun = await self._begin_wait("event", occurrence, command.name, types=command.types)
                self.arrivals.bring(begun.events)
            while begun.more and await self._wants_more(occurrence):
                begun = await self._earlier(command)
        self.flights.waits[occurrence] = PendingWait(occurrence, listens=True, name=command.name)
        return await self._heard(occurrence)

    async def _earlier(self, command: AwaitEvents) -> EarlierEvents:
        with self.arrivals.asking():
            earlier = await workflow.execute_local_activity(
                contract.earlier_events,
                Listening(command.occurrence, command.types),
                **contract.record_config(command.occurrence, command.name),
            )
            self.arrivals.bring(earlier.events)
        return earlier

    async def _wants_more(self, occurrence: str) -> bool:
        """Whether the step still listens once it has heard what was brought."""
        await workflow.wait_condition(
            lambda: (
                not self._listens(occurrence)
                or not (self.arrivals.has_news or has_backlog(self.standing.state, occurrence))
            )
        )
        return self._listens(occurrence)

    def _listens(self, occurrence: str) -> bool:
        return occurrence in self.standing.state.pending

    async def _heard(self, occurrence: str) -> Event:
        """The step ends by itself; nobody waits for this answer."""
        await workflow.wait_condition(lambda: not self._listens(occurrence))
        return Resume(now())

    async def _begin_wait(
        self,
        kind: Literal["timer", "task", "event"],
        occurrence: str,
        step: str,
        *,
        until: int | None = None,
        arguments: Any = None,
        types: list[str] | None = None,
    ) -> EarlierEvents:
        await self.journal.make_bearable()
        self.standing.status = ExecutionStatus.WAITING
        self.standing.show(f"Waiting: {step}")
        with self.journal.riding() as records:
            return await workflow.execute_local_activity(
                contract.begin_wait,
                Waiting(kind, occurrence, step, until, arguments, records, types),
                **contract.record_config(occurrence, step),
            )

    def _resumed(self, wait: PendingWait) -> Coroutine[Any, Any, Event]:
        if wait.until is not None:
            return self._timer(wait, wait.until)
        if wait.listens:
            return self._heard(wait.occurrence)
        return self._decision(wait.occurrence)
