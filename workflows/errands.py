"""Carries out what the interpreter commands beside waits: segments, one at a time, and calls as flights."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from domain.definitions.commands import CallAction, Completed, Event, command_as_json
    from domain.definitions.values import measure
    from domain.segments import MAXIMUM_STATE, ExecutionStart, Performance, Performed, Segment, SegmentEnd

from workflows.contracts import executions as contract
from workflows.failures import failed
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import now
from workflows.standing import Standing

#: A workflow task is sent to Temporal as one message of at most 4 MB, with the results of all its segments.
MAXIMUM_TASK = 1024 * 1024
#: A workflow task hears no signal and no cancellation before it ends: not after more long segments.
DEAF_SEGMENTS = 2
#: A call that is repeated for lost workers still ends within this time after its own timeout, or no worker is left.
PATIENCE = timedelta(days=1)


class Errands:
    def __init__(self, start: ExecutionStart, standing: Standing, journal: Journal, flights: Flights) -> None:
        self._start = start
        self._standing = standing
        self._journal = journal
        self._flights = flights
        self._task_bytes = 0
        self._deaf_segments = 0

    def heard(self) -> None:
        """A workflow task has begun since the last segment."""
        self._deaf_segments = 0

    async def segment(self, commands: Sequence[CallAction], *, alone: bool) -> SegmentEnd:
        """Run these built-ins and what follows them, or just compute. Nothing may change the state meanwhile."""
        state = self._standing.travelling()
        await self.breathe()
        await self._journal.make_bearable()
        self._standing.runs()
        first = commands[0] if commands else None
        with self._journal.riding() as records:
            end = await workflow.execute_local_activity(
                contract.run_segment,
                Segment(
                    pinned_version=self._start.pinned.version_id,
                    sha256=self._start.pinned.sha256,
                    started_by=self._start.started_by,
                    state=state,
                    commands=[command_as_json(command) for command in commands],
                    records=records,
                    alone=self._start.mirror and alone,
                ),
                **contract.segment_config("continue", "Computing")
                if first is None
                else contract.segment_config(first.occurrence, first.name),
            )
        self.weigh([end.state, *end.commands])
        self._deaf_segments += end.took_long
        return end

    def weigh(self, result: Any) -> None:
        """A local activity has answered this."""
        self._task_bytes += measure(result, MAXIMUM_STATE * 2)

    async def breathe(self) -> None:
        """Begin a new workflow task before this one's results exceed what may be sent at once, or it hears too late."""
        if self._task_bytes > MAXIMUM_TASK or self._deaf_segments >= DEAF_SEGMENTS:
            await workflow.sleep(timedelta(milliseconds=1))
            self._task_bytes = self._deaf_segments = 0

    async def call(self, command: CallAction) -> None:
        """Begin a call as an activity of its own."""
        await self._journal.make_light()
        self._standing.runs()

        lands_by = now() + (_timeout(command) + PATIENCE) // timedelta(milliseconds=1)
        self._flights.launch(command.occurrence, self._perform(command), lands_by=lands_by)

    async def _perform(self, command: CallAction) -> Event:
        try:
            with self._journal.riding() as records:
                performed = await workflow.execute_activity(
                    command.action,
                    Performance(
                        pinned_version=self._start.pinned.version_id,
                        sha256=self._start.pinned.sha256,
                        started_by=self._start.started_by,
                        command=command_as_json(command),
                        records=records,
                    ),
                    result_type=Performed,
                    **contract.perform_config(command.occurrence, _timeout(command), command.name),
                )
        except ActivityError as error:
            return failed(command, error)
        return Completed(now(), command.occurrence, performed.output, performed.shaped)


def _timeout(command: CallAction) -> timedelta:
    return timedelta(milliseconds=command.timeout_ms)
