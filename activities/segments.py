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
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actions.context import ActionContext, Services
from activities.actions.registry import Registry
from activities.faults import as_fault, is_passing
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
    """One execution of a segment; `commands` and `state` are where it stopped."""

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
    #: Nothing else of the execution is under way, so its end may be committed here.
    alone: bool = False
    ended: Ended | None = None
    commands: list[Command] = field(default_factory=list)
    records: dict[str, StepRecord] = field(default_factory=dict)
    ends: float = field(default_factory=lambda: time.monotonic() + SEGMENT_SECONDS)
    _connection: AsyncConnection | None = None

    async def act(self, command: CallAction) -> None:
        """Run `command` and the built-ins that follow it, inside `transaction`."""
        following: CallAction | None = command
        while following is not None:
            self._take(advance(self.program, self.state, await self._call(following), Meter(INLINE_FUEL)))
            following = self.following if self.has_time else None

    async def compute(self) -> None:
        """Continue costly expressions on a thread, outside any transaction, for at most about a second."""
        loop = asyncio.get_running_loop()
        self._take(await loop.run_in_executor(self.thread, self._advance_on_thread))

    @property
    def has_time(self) -> bool:
        return time.monotonic() < self.ends and len(self.records) < SEGMENT_STEPS

    @property
    def following(self) -> CallAction | None:
        """The built-in to run next, if that is all the state waits for."""
        match self.commands:
            case [CallAction(lane=Lane.SEGMENT) as following]:
                return following
        return None

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
        return bool(self.commands) and isinstance(self.commands[-1], Yield)

    def end(self) -> SegmentEnd:
        """What the workflow continues from. A state that would not travel ends the execution instead."""
        if self.ended is not None:
            return SegmentEnd({}, [], ended=self.ended)
        end = self._end()
        if measure([end.state, *end.commands], MAXIMUM_RESULT) <= MAXIMUM_RESULT:
            return end
        aborted = Aborted(self._now(), state_too_large().as_json())
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
        self.state = step.state
        self.commands = step.commands
        keep(self.records, step.records)

    def _now(self) -> int:
        return int(self.clock().timestamp() * 1000)
