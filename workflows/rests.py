"""What an execution waits for: registered where somebody else must know of it, shown where it stands still for it."""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.actions import Lane
    from domain.definitions.commands import AwaitEvents, CallAction, Completed, Event, Failed, Sleep
    from domain.definitions.interpreter import has_backlog
    from domain.segments import (
        EarlierEvents,
        PendingWait,
        Registered,
        Registration,
        Waiting,
        most_telling,
    )

from workflows.arrivals import Arrivals
from workflows.children import outcome_of, recall
from workflows.contracts import executions as contract
from workflows.errands import Errands
from workflows.flights import Flights
from workflows.journal import Journal
from workflows.lineage import now
from workflows.standing import Standing

#: Commands for which the execution waits until somebody answers, who must know of it before.
Asking: TypeAlias = CallAction | AwaitEvents


class Rests:
    """One local activity tells of all waits at once, and nobody is told of a timer beside which something else goes on.

    So a wait costs at most one event, and one more where the execution stands still again for a wait that it
    began earlier.
    """

    def __init__(
        self,
        standing: Standing,
        journal: Journal,
        flights: Flights,
        arrivals: Arrivals,
        decisions: dict[str, Any],
        errands: Errands,
        *,
        mirror: bool,
    ) -> None:
        self._errands = errands
        self._standing = standing
        self._journal = journal
        self._flights = flights
        self._arrivals = arrivals
        self._decisions = decisions
        self._mirror = mirror
        #: Listens for which more was recorded earlier than has been fetched yet.
        self.unread: list[PendingWait] = []

    def resume(self, waits: Sequence[PendingWait], unread: Sequence[PendingWait]) -> None:
        """Take up the waits of the run before; whoever must know of them does already."""
        self.unread = list(unread)
        for wait in waits:
            self._launch(wait)

    def sleep(self, command: Sleep) -> None:
        self._launch(PendingWait("timer", command.occurrence, command.name, until=command.until))

    async def settle(self, asking: Sequence[Asking], *, stands_still: bool) -> None:
        """Begin these waits, and tell the mirror what the execution stands still for, unless it knows.

        `stands_still` says that besides them nothing but waits is under way.
        """
        registrations = [_registration(command) for command in asking if self._is_awaited(command.occurrence)]
        beginning = [registration.wait for registration in registrations]
        shown = most_telling([*self._flights.waits, *beginning]) if stands_still else None
        registered = Registered()
        if registrations or (shown is not None and shown.occurrence != self._standing.shown):
            registered = await self._tell(registrations, shown)
        for wait in beginning:
            fault = registered.faults.get(wait.occurrence)
            if fault is not None:
                self._flights.land(Failed(now(), wait.occurrence, fault))
                continue
            self._launch(wait)
            earlier = registered.earlier.get(wait.occurrence)
            if earlier is not None:
                self._bring(wait, earlier)

    @property
    def may_read_on(self) -> bool:
        """Whether a listen has consumed what it was brought, and more was recorded before it began."""
        return any(map(self._wants_more, self.unread))

    async def read_on(self) -> None:
        """Fetch more of what was recorded before a step listened, once it has consumed what it was brought."""
        self.unread = [listen for listen in self.unread if self._is_awaited(listen.occurrence)]
        listen = next(filter(self._wants_more, self.unread), None)
        if listen is None:
            return
        await self._errands.breathe()
        self.unread.remove(listen)
        config = contract.record_config(listen.occurrence, listen.name)
        self._bring(listen, await workflow.execute_local_activity(contract.earlier_events, listen, **config))

    def _wants_more(self, listen: PendingWait) -> bool:
        is_idle = not self._arrivals.has_news and not has_backlog(self._standing.state, listen.occurrence)
        return is_idle and self._is_awaited(listen.occurrence)

    def end_listens(self) -> None:
        """A listen ends by itself: the interpreter does not wait for it any more."""
        for wait in self._flights.waits:
            if wait.kind == "event" and not self._is_awaited(wait.occurrence):
                self._flights.drop(wait.occurrence)

    def _is_awaited(self, occurrence: str) -> bool:
        return occurrence in self._standing.state.pending

    def _bring(self, listen: PendingWait, earlier: EarlierEvents) -> None:
        self._errands.weigh(earlier.events)
        self._arrivals.bring(earlier.events)
        if earlier.more:
            self.unread.append(listen)

    async def _tell(self, registrations: list[Registration], shown: PendingWait | None) -> Registered:
        if not self._mirror:
            registrations = [each for each in registrations if each.wait.kind != "event"]
            if not registrations:
                return Registered()
        self._standing.shown = None if shown is None else shown.occurrence
        named = shown or registrations[0].wait
        self._standing.show(f"Waiting: {named.name}")
        await self._journal.make_bearable()
        with self._journal.riding() as records:
            registered = await workflow.execute_local_activity(
                contract.begin_wait,
                Waiting(registrations, shown, records),
                **contract.record_config(named.occurrence, named.name),
            )
        if self._standing.shown in registered.faults:
            self._standing.runs()
        return registered

    def _launch(self, wait: PendingWait) -> None:
        self._flights.launch(wait.occurrence, self._waiting(wait), wait=wait, lands_by=wait.until)

    def _waiting(self, wait: PendingWait) -> Coroutine[Any, Any, Event]:
        match wait.kind:
            case "timer":
                return self._timer(wait)
            case "event":
                return _for_ever()
            case "task":
                return self._decision(wait)
            case "execution":
                return self._outcome(wait)

    async def _timer(self, wait: PendingWait) -> Event:
        assert wait.until is not None
        remaining = wait.until - now()
        if remaining > 0:
            await workflow.sleep(timedelta(milliseconds=remaining), summary=wait.name or None)
        return Completed(now(), wait.occurrence, None)

    async def _decision(self, wait: PendingWait) -> Event:
        """A task that nobody decided in time answers with the fault its step fails with."""
        await workflow.wait_condition(lambda: wait.occurrence in self._decisions)
        decision = self._decisions.pop(wait.occurrence)
        if "fault" in decision:
            return Failed(now(), wait.occurrence, decision["fault"])
        return Completed(now(), wait.occurrence, decision)

    async def _outcome(self, wait: PendingWait) -> Event:
        """Where nobody waits for it any more, this ends when the other execution has."""
        try:
            return await outcome_of(wait.occurrence, self._decisions)
        except asyncio.CancelledError:
            await recall(wait.occurrence, self._decisions)
            raise


def _registration(command: Asking) -> Registration:
    occurrence, name = command.occurrence, command.name
    if isinstance(command, AwaitEvents):
        return Registration(PendingWait("event", occurrence, name, types=command.types))
    if command.lane is Lane.TASK:
        wait = PendingWait("task", occurrence, name)
        return Registration(wait, command.arguments, command.action, command.version)
    run = command.arguments if isinstance(command.arguments, dict) else {}
    called = f"{run.get('namespace')}/{run.get('name')}"
    return Registration(PendingWait("execution", occurrence, name, workflow=called), command.arguments)


async def _for_ever() -> Event:
    await workflow.wait_condition(lambda: False)
    raise AssertionError("only being cancelled ends this")
