"""Runs adjacent short built-ins in one transaction, advancing between them, until a command needs the workflow.

Expressions too costly for workflow code come here as well, but compute without holding a connection.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeGuard
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actions.context import ActionContext, Services
from activities.actions.registry import Registry
from activities.faults import as_fault, is_passing
from db.outbox import OutboxEntry
from db.session import Access, Database
from domain.actions import Effect, Lane
from domain.definitions.commands import (
    Aborted,
    CallAction,
    Command,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    StepRecord,
    Stop,
    Stopped,
    Yield,
    command_as_json,
    keep,
)
from domain.definitions.expressions import ACTIVATION_FUEL, Meter
from domain.definitions.faults import Fault, state_too_large
from domain.definitions.interpreter import MAXIMUM_STEP_FUEL, Advance, advance
from domain.definitions.program import Program
from domain.definitions.state import State
from domain.definitions.values import measure
from domain.ids import effect_key
from domain.segments import Ended, SegmentEnd

#: A segment returns to the workflow after this long, so that signals and cancellation are heard.
SEGMENT_SECONDS = 1.0
#: More steps than this are handed back, so that one transaction stays short.
SEGMENT_STEPS = 500
#: Between built-ins expressions run on the event loop (about 20 ms); what needs more continues on a thread.
INLINE_FUEL = ACTIVATION_FUEL // 10
THREAD_FUEL = ACTIVATION_FUEL * 5
#: Temporal refuses results of 2 MB, and the workflow would wait for ever.
MAXIMUM_RESULT = 1_500_000


@dataclass(slots=True)
class SegmentRun:
    """One execution of a segment; `commands` are what is due, in order, and with `state` where it stopped."""

    database: Database
    access: Access
    registry: Registry
    services: Services
    thread: Executor
    organization_id: UUID
    execution_id: UUID
    started_by: UUID | None
    program: Program
    state: State
    clock: Callable[[], datetime]
    commands: list[Command]
    #: Nothing else of the execution is under way, so its end may be committed here.
    alone: bool = False
    ended: Ended | None = None
    records: dict[str, StepRecord] = field(default_factory=dict)
    #: What the engine is to hear once the transaction has committed.
    told: list[OutboxEntry] = field(default_factory=list)
    ends: float = field(default_factory=lambda: time.monotonic() + SEGMENT_SECONDS)
    _connection: AsyncConnection | None = None

    async def act(self) -> None:
        """Run the built-ins that are due and those that follow them, inside `transaction`."""
        following = self.following
        while following is not None:
            self.commands.remove(following)
            self._take(advance(self.program, self.state, await self._call(following), Meter(INLINE_FUEL)))
            following = self.following if self.has_time else None

    async def compute(self) -> None:
        """Continue costly expressions on a thread, outside any transaction, for at most about a second."""
        self.commands = [command for command in self.commands if not isinstance(command, Yield)]
        loop = asyncio.get_running_loop()
        self._take(await loop.run_in_executor(self.thread, self._advance_on_thread))

    @property
    def has_time(self) -> bool:
        return time.monotonic() < self.ends and len(self.records) < SEGMENT_STEPS

    @property
    def following(self) -> CallAction | None:
        """The built-in to run next, as long as only the workflow's waits and activities are due beside it.

        Those would not begin any earlier if the segment ended now: a workflow task sends nothing to Temporal
        before its local activities have ended.
        """
        if any(isinstance(command, Yield | Stop | Finish) for command in self.commands):
            return None
        return next((command for command in self.commands if _is_built_in(command)), None)

    @property
    def finish(self) -> Finish | None:
        """The outcome, once the segment has reached the end of the execution."""
        match self.commands:
            case [Finish() as finish]:
                return finish
        return None

    @property
    def may_close(self) -> bool:
        return self.alone and self.ended is None and self.finish is not None

    @property
    def must_compute(self) -> bool:
        """Expressions ran out of fuel on the event loop."""
        return any(isinstance(command, Yield) for command in self.commands)

    def end(self) -> SegmentEnd:
        """What the workflow continues from. A state that would not travel ends the execution instead."""
        if self.ended is not None:
            return SegmentEnd({}, [], ended=self.ended)
        end = self._end()
        if measure([end.state, *end.commands], MAXIMUM_RESULT) <= MAXIMUM_RESULT:
            return end
        aborted = Aborted(self._now(), state_too_large().as_json())
        self.commands = []
        self._take(advance(self.program, self.state, aborted, Meter()))
        return replace(self._end(), records=list(self.records.values()))

    def _end(self) -> SegmentEnd:
        return SegmentEnd(
            self.state.as_json(),
            [command_as_json(command) for command in self.commands],
            took_long=time.monotonic() >= self.ends - SEGMENT_SECONDS / 2,
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """The one transaction of the segment: actions and mirror are committed together or not at all."""
        async with self.database.transaction(self.access) as connection:
            self._connection = connection
            yield

    @property
    def connection(self) -> AsyncConnection:
        assert self._connection is not None
        return self._connection

    async def _call(self, command: CallAction) -> Event:
        context = ActionContext(
            organization_id=self.organization_id,
            execution_id=self.execution_id,
            occurrence=command.occurrence,
            started_by=self.started_by,
            effect_key=effect_key(self.execution_id, command.occurrence),
            now=self.clock(),
            connection=self.connection,
            services=self.services,
        )
        try:
            async with asyncio.timeout(command.timeout_ms / 1000), self._undoable(command):
                output = await self.registry.run(command.action, command.version, context, command.arguments)
        except TimeoutError:
            seconds = command.timeout_ms // 1000
            fault = Fault("timeout", 408, "Action timed out", f"'{command.action}' took over {seconds} s")
            return Failed(self._now(), command.occurrence, fault.as_json())
        except Exception as error:
            if is_passing(error):
                raise
            return Failed(self._now(), command.occurrence, as_fault(error, command.action).as_json())
        self.told += context.told
        return Completed(self._now(), command.occurrence, output)

    def _undoable(self, command: CallAction) -> AbstractAsyncContextManager[object]:
        """A failing action must not spoil the transaction it shares; a pure one never touches it."""
        return nullcontext() if command.effect is Effect.PURE else self.connection.begin_nested()

    def _advance_on_thread(self) -> Advance:
        resume = Resume(self._now())
        step = advance(self.program, self.state, resume, Meter(THREAD_FUEL))
        if step.progressed:
            return step
        return advance(self.program, self.state, resume, Meter(MAXIMUM_STEP_FUEL), patient=True)

    def _take(self, step: Advance) -> None:
        self._follow(step)
        while (stop := self._stop_of_unbegun()) is not None:
            # A built-in that is not wanted any more never begins; other stops need the workflow.
            unwanted = (stop, *(c for c in self.commands if _is_built_in(c, stop.occurrence)))
            self.commands = [command for command in self.commands if command not in unwanted]
            stopped = Stopped(self._now(), stop.occurrence)
            self._follow(advance(self.program, self.state, stopped, Meter(INLINE_FUEL)))

    def _follow(self, step: Advance) -> None:
        self.state = step.state
        self.commands = [*self.commands, *step.commands]
        keep(self.records, step.records)

    def _stop_of_unbegun(self) -> Stop | None:
        due = {command.occurrence for command in self.commands if _is_built_in(command)}
        stops = (command for command in self.commands if isinstance(command, Stop))
        return next((stop for stop in stops if stop.occurrence in due), None)

    def _now(self) -> int:
        return int(self.clock().timestamp() * 1000)


def _is_built_in(command: Command, occurrence: str | None = None) -> TypeGuard[CallAction]:
    """Whether a segment runs it (the one of this occurrence)."""
    if not isinstance(command, CallAction) or command.lane is not Lane.SEGMENT:
        return False
    return occurrence in (None, command.occurrence)
