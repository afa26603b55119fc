"""The walk: what the interpreter commands is carried out, and what comes of it is told to the interpreter."""

from collections.abc import Callable
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    # Pure and deterministic; shared so that programs are compiled once per process, not once per execution.
    from domain.actions import Lane
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
        Tick,
        Yield,
        command_as_json,
        command_from_json,
    )
    from domain.definitions.expressions import ACTIVATION_FUEL, Meter
    from domain.definitions.faults import Fault, state_too_large
    from domain.definitions.interpreter import advance, begin
    from domain.definitions.program import PROGRAMS
    from domain.definitions.state import State
    from domain.definitions.values import measure
    from domain.executions import ExecutionStatus
    from domain.segments import MAXIMUM_CARRIED, Carried, Ended, ExecutionStart

from workflows.alarm import Alarm
from workflows.arrivals import Arrivals
from workflows.control import Control
from workflows.errands import Errands
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import Lineage, now
from workflows.pausing import hold_still
from workflows.rests import Asking, Rests
from workflows.standing import Standing


class Walk:
    """One run's part of it. `held` is what is due and not begun; nothing else than this changes the state.

    Short built-ins run in segments, which change the state themselves: while one is under way the interpreter is
    told nothing else.
    """

    def __init__(
        self,
        start: ExecutionStart,
        standing: Standing,
        journal: Journal,
        control: Control,
        lineage: Lineage,
    ) -> None:
        carried = start.carried
        self.decisions: dict[str, Any] = dict(carried.decisions) if carried else {}
        self.arrivals = Arrivals(carried.events if carried else ())
        self.flights = Flights()
        self.held: list[Command] = []
        self.finish: Finish | None = None
        #: Set where the last segment has committed the outcome.
        self.ended: Ended | None = None
        #: Somebody asked for an end. The interpreter hears of it in its turn.
        self.is_cancelled = False
        self._knows_of_cancel = False
        self.start = start
        self.standing = standing
        self.journal = journal
        self._control = control
        self._lineage = lineage
        self._errands = Errands(start, standing, journal, self.flights)
        self._rests = Rests(
            standing,
            journal,
            self.flights,
            self.arrivals,
            self.decisions,
            self._errands,
            mirror=start.mirror,
        )
        self._alarm = Alarm(lambda: self.flights.land(Tick(now())))
        self._meter = Meter(ACTIVATION_FUEL)
        #: Waits were kept back once already for a segment that went before.
        self._put_off = False
        #: The deadline of which the interpreter was told last.
        self._ticked: int | None = None

    async def walk(self) -> Finish | Carried:
        """To the end of the execution, or of this run."""
        self._begin()
        while True:
            if self.is_paused and (carried := await hold_still(self)) is not None:
                return carried
            self.hear()
            self.stop_held()
            await self._rests.read_on()
            if self.finish is not None:
                return self.finish
            if not self.is_draining:
                await self._carry_out()
            elif self.flights.only_waits and (carried := await self.carried()) is not None:
                return carried
            await self._news()

    async def abort(self, fault: Fault) -> Finish:
        """Give the execution up, whatever is under way."""
        await self.flights.ground()
        self.finish, self.held = None, []
        if self.standing.program is None:  # not even its definition could be read
            return Finish(ExecutionStatus.FAILED, error=fault.as_json())
        self.tell(Aborted(now(), fault.as_json()))
        assert self.finish is not None
        return self.finish

    def _begin(self) -> None:
        start, standing = self.start, self.standing
        standing.program = PROGRAMS.load(start.pinned.sha256, start.pinned.compiled)
        if start.carried is not None:
            standing.state = State.from_json(start.carried.state)
            self._rests.resume(start.carried.waits, start.carried.unread)
            self._hold([command_from_json(command) for command in start.carried.commands])
            return
        standing.state = begin(
            standing.program,
            input=start.input,
            execution={"id": start.execution_id, "trigger": start.trigger},
            now=now(),
            budget=start.budget,
        )
        self.tell(Resume(now()))

    @property
    def is_paused(self) -> bool:
        """Nothing shall begin, nor the execution end. Not even a pause keeps a cancelled one from ending."""
        return self._control.wants_pause and not self.is_cancelled and self.ended is None

    @property
    def is_draining(self) -> bool:
        """The history has grown long: nothing begins in this run that the next one could not take up.

        Only a run that was itself asked to end may close as cancelled, so that one does not give way any more.
        """
        return workflow.info().is_continue_as_new_suggested() and not self.is_cancelled and self.ended is None

    # What is due

    @property
    def due(self) -> list[Command]:
        """All that is due and not begun, the end of the execution included."""
        return self.held if self.finish is None else [*self.held, self.finish]

    async def _carry_out(self) -> None:
        """Begin what is held; a segment is awaited."""
        held, self.held = self.held, []
        asking: list[Asking] = []
        calls: list[CallAction] = []
        computes = False
        for command in held:
            match command:
                case CallAction(lane=Lane.SEGMENT):
                    calls.append(command)
                case CallAction(lane=Lane.ACTIVITY):
                    await self._errands.call(command)
                case Sleep():
                    self._rests.sleep(command)
                case CallAction() | AwaitEvents():
                    asking.append(command)
                case Yield():
                    computes = True
                case Stop() | Finish():
                    raise AssertionError("stopping and finishing come before")
        if not computes and not calls:
            self._put_off = False
            await self._rests.settle(asking, stands_still=self.flights.only_waits)
            return
        if self._put_off:
            await self._rests.settle(asking, stands_still=False)
        else:  # what follows the segment may wait as well: all of it is told in one go
            self.held = list(asking)
        self._put_off = bool(self.held)
        await self._segment(calls)

    async def _segment(self, calls: list[CallAction]) -> None:
        end = await self._errands.segment(calls, alone=self.flights.is_empty and not self.held)
        self._meter = Meter(ACTIVATION_FUEL)
        if end.ended is not None:
            self.ended = end.ended
            self.finish = Finish(end.ended.status, error=end.ended.error)
            return
        self.standing.state = State.from_json(end.state)
        self._rests.end_listens()
        self.journal.remember(end.records)
        self._hold([command_from_json(command) for command in end.commands])

    def stop_held(self) -> None:
        """Stop what is not wanted any more, whether it is under way or has not even begun."""
        for stop in [command for command in self.held if isinstance(command, Stop)]:
            self.held.remove(stop)
            begun = [
                command for command in self.held if isinstance(command, Stop) or not _is_for(stop, command)
            ]
            if len(begun) < len(self.held):
                self.held = begun
                self.flights.land(Stopped(now(), stop.occurrence))
            else:
                self.flights.stop(stop.occurrence)

    def _hold(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Finish):
                self.finish = command
            else:
                self.held.append(command)

    # What has happened

    def hear(self) -> None:
        """Tell the interpreter everything that has happened; where it has to compute first, the rest waits."""
        if self.is_cancelled and not self._knows_of_cancel:
            self._knows_of_cancel = True
            self.standing.is_held = False
            self.tell(Cancelled(now()))
        while self.flights.has_landed and not self._must_compute and self.finish is None:
            self.tell(self.flights.next())
        while self.arrivals.has_news and not self._must_compute and self.finish is None:
            self.tell(Arrived(now(), self.arrivals.take()))
        if not self._must_compute and self._next_deadline(before=now() + 1) is not None:
            self._ticked = self.standing.state.next_deadline
            self.tell(Tick(now()))

    def tell(self, event: Event) -> None:
        if self.finish is not None:
            return
        assert self.standing.program is not None
        step = advance(self.standing.program, self.standing.state, event, self._meter)
        self.standing.state = step.state
        self._rests.end_listens()
        self.journal.remember(step.records)
        self._hold(step.commands)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Return at once, or in a later workflow task, which has a budget of its own."""
        if not happened():
            await workflow.wait_condition(happened)
            self._meter = Meter(ACTIVATION_FUEL)
            self._errands.heard()

    async def _news(self) -> None:
        """Wait until there is something to do or to tell."""
        if self.finish is not None or (self.held and not self.is_draining):
            return
        deadline = self._next_deadline()
        if deadline is not None and self.flights.may_outlast(deadline):
            self._alarm.arm(deadline)
        await self.until(
            lambda: (
                self.flights.has_landed
                or self.arrivals.has_news
                or self._rests.may_read_on
                or self.is_paused
                or (self.is_cancelled and not self._knows_of_cancel)
                or (self.is_draining and self.flights.only_waits)
            )
        )

    @property
    def _must_compute(self) -> bool:
        return not self.is_draining and any(isinstance(command, Yield) for command in self.held)

    def _next_deadline(self, before: int | None = None) -> int | None:
        """The next deadline (earlier than `before`) that the interpreter has not been told of already."""
        deadline = self.standing.state.next_deadline
        if deadline is None or deadline == self._ticked or (before is not None and deadline >= before):
            return None
        return deadline

    # Giving way to a new run

    async def carried(self) -> Carried | None:
        """What the next run begins with; None when something has happened that this run must hear first.

        Raises Fault when it is too large to travel.
        """
        await self.journal.write()  # nothing may ride into another run
        if not self.flights.only_waits or not self.is_draining:
            return None
        state, decisions, events = self.standing.travelling(), dict(self.decisions), self.arrivals.carried()
        commands = [command_as_json(command) for command in self.due]
        travelling: Any = [state, decisions, commands, events]
        if measure(travelling, MAXIMUM_CARRIED) > MAXIMUM_CARRIED:
            raise state_too_large()
        return Carried(
            state=state,
            waits=self.flights.waits,
            decisions=decisions,
            commands=commands,
            shown=self.standing.shown,
            wish=self._control.wish,
            events=events,
            unread=self._rests.unread,
            reset_run_id=self._lineage.reset_run_id,
        )


def _is_for(stop: Stop, command: Command) -> bool:
    return getattr(command, "occurrence", None) == stop.occurrence
