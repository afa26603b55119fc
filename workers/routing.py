"""Brings events to the triggers they are meant for: each pair is judged outside of any transaction, and settled in one.

However many routers run, and whenever one dies: a row is settled together with the execution that it starts, so an
event starts one execution of a trigger. A filter that fails costs its own row an answer and nobody else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.listening import opened
from api.accepting import NotRunnable, accept
from api.collaborators import Dispatcher
from db.events import Events
from db.outbox import OutboxEntry
from db.routing import Claimed, Held, Pending, RoutingQueue, Routings, RoutingVerdict
from db.session import Access, Database, Role
from domain import routing
from domain.definitions.expressions import ExpressionError
from domain.errors import Invalid, NotFound
from domain.keys import KeyRing, MasterKeyMissing, Unreadable
from domain.routing import EventTrigger, FilterFailed, Fit, Misfit
from workers.announcing import Announcing
from workers.counters import ROUTINGS
from workers.events import RecordedEvents
from workers.logs import reason

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
BATCH: Final = 100
AT_ONCE: Final = 5
LEASE: Final = timedelta(seconds=30)
#: What cannot be looked at so often is given up, visibly, instead of holding up others for ever.
MOST_ATTEMPTS: Final = 20

_SYSTEM: Final = Access(Role.SYSTEM)
_INACTIVE: Final = "the trigger was switched off, or is gone from the workflow, since the event came"
_CLOSED: Final = "the organization is deactivated"
_OWN: Final = "it tells the end of an execution that this trigger started itself"
_LOOP: Final = (
    f"{routing.MAXIMUM_HOPS} executions have started each other by events before this one: it looks like a loop. "
    "Narrow the filter of the trigger, so that what the workflow itself causes is not meant"
)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the filters said; `event` is the one that is routed."""

    trigger: EventTrigger
    fit: Fit
    event: dict[str, Any]


class _Settled(Exception):
    """No error: the answer is known before anything starts."""

    def __init__(self, verdict: RoutingVerdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason


class Routing:
    def __init__(
        self, database: Database, keys: KeyRing, events: RecordedEvents, dispatcher: Dispatcher
    ) -> None:
        self._database = database
        self._keys = keys
        self._events = events
        self._dispatcher = dispatcher
        self._announcing = Announcing(database, keys)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Poll until cancelled; a database that is away is asked again."""
        while True:
            try:
                routed = await self.sweep()
            except (SQLAlchemyError, OSError) as error:
                log.warning("The router could not read what waits: %s", reason(error))
                routed = 0
            if routed < BATCH:
                await asyncio.sleep(POLL_SECONDS)

    async def sweep(self) -> int:
        """One batch of ends of executions, then one of events at triggers; how many were worked on."""
        ends = await self._claimed("claim_outcomes")
        await asyncio.gather(*(self._tried(self._announcing.announce, each) for each in ends))
        pending = await self._claimed("claim")
        await asyncio.gather(*(self._tried(self._route, each) for each in pending))
        return len(ends) + len(pending)

    async def _claimed(self, what: str) -> list[Claimed]:
        async with self._database.transaction(_SYSTEM) as tx:
            claimed: list[Claimed] = await getattr(RoutingQueue(tx), what)(limit=BATCH, lease=LEASE)
        return claimed

    async def _tried(self, work: Callable[[Claimed], Awaitable[None]], claimed: Claimed) -> None:
        """What fails here is tried again when its lease is over; nobody else waits for it."""
        try:
            async with self._slots:
                await work(claimed)
        except (SQLAlchemyError, OSError, MasterKeyMissing) as error:
            log.warning("An event is looked at again later (attempt %d): %s", claimed.attempts, reason(error))
        except Exception:
            log.exception("An event could not be looked at (attempt %d)", claimed.attempts)

    async def _route(self, claimed: Claimed) -> None:
        access = Access(Role.WORKER, claimed.organization_id)
        async with self._database.transaction(access) as tx:
            pending = await Routings(tx).pending(claimed.id)
        if pending is None:
            return
        found: _Found | _Settled
        try:
            if claimed.attempts > MOST_ATTEMPTS:
                raise _Settled(
                    RoutingVerdict.FAILED, f"it could not be looked at in {MOST_ATTEMPTS} attempts"
                )
            found = await self._judged(pending)
        except _Settled as settled:
            found = settled
        entry: OutboxEntry | None = None
        async with self._database.transaction(access) as tx:
            # Published anew meanwhile, it is judged by the new filters the next time.
            if not await Routings(tx).lock(pending.id, pending.configuration):
                return
            if isinstance(found, _Settled):
                verdict = found.verdict
                await Routings(tx).settle([pending.id], verdict, reason=found.reason)
            elif found.trigger.is_set:
                verdict, entry = await self._collect(tx, pending, found)
            else:
                verdict, entry = await self._start(
                    tx, pending, found, [pending.id], [found.event], pending.sent_by
                )
        ROUTINGS.labels(verdict).inc()
        if entry is not None:
            await self._dispatcher.dispatch(entry)

    async def _judged(self, pending: Pending) -> _Found:
        """Raises _Settled for an event that starts nothing."""
        if not pending.is_active:
            raise _Settled(RoutingVerdict.REFUSED, _INACTIVE)
        if not pending.may_start:
            raise _Settled(RoutingVerdict.REFUSED, _CLOSED)
        if pending.is_own_end:
            raise _Settled(RoutingVerdict.FILTERED, _OWN)
        event = await self._events.get(pending.organization_id, pending.event_id)
        if event is None:
            raise _Settled(RoutingVerdict.FAILED, "the event cannot be read any more")
        try:
            return await asyncio.to_thread(_held_against, pending, event)
        except FilterFailed as failure:
            raise _Settled(RoutingVerdict.FAILED, str(failure)[:1000]) from None

    async def _collect(
        self, tx: AsyncConnection, pending: Pending, found: _Found
    ) -> tuple[RoutingVerdict, OutboxEntry | None]:
        """One more event of a set: it waits, or it completes the oldest set that lacks it."""
        routings = Routings(tx)
        filter, correlation = found.fit.filters[0]
        waiting: list[Held] = []
        for filter, correlation in found.fit.filters:
            waiting = await routings.set_of(pending.trigger_id, correlation, len(found.trigger.to.filters))
            if all(each.filter != filter for each in waiting):
                break
        else:  # every place it could take is taken: it is the first of the next set
            filter, correlation = found.fit.filters[0]
        others = [each for each in waiting if each.filter != filter]
        if len(others) + 1 < len(found.trigger.to.filters) or len(others) < len(waiting):
            await routings.hold(pending.id, filter, correlation)
            return RoutingVerdict.HELD, None
        events = [await self._read(tx, pending.organization_id, each.event_id) for each in others]
        whole = [*(each.id for each in others), pending.id]
        # The one that completed it comes last, whatever its number: routers work side by side.
        # Of several senders the one of the latest event; a set is started by nobody only if nobody sent any of it.
        senders = [
            pending.sent_by,
            *(each.sent_by for each in sorted(others, key=attrgetter("number"), reverse=True)),
        ]
        sent_by = next((each for each in senders if each is not None), None)
        return await self._start(tx, pending, found, whole, [*events, found.event], sent_by)

    async def _read(self, tx: AsyncConnection, organization_id: UUID, event_id: UUID) -> dict[str, Any]:
        content = await Events(tx).find(organization_id, event_id)
        assert content is not None, "an event goes together with its routings"
        try:
            return await opened(self._keys, organization_id, event_id, content)
        except Unreadable:  # its key was shredded since: that it came is still known
            return {"data": None}

    async def _start(
        self,
        tx: AsyncConnection,
        pending: Pending,
        found: _Found,
        rows: Sequence[UUID],
        events: Sequence[dict[str, Any]],
        sent_by: UUID | None,
    ) -> tuple[RoutingVerdict, OutboxEntry | None]:
        """The execution, and what its events have come to, in one transaction."""
        try:
            entry, accepted = await self._accepted(tx, pending, found.trigger, events, sent_by)
        except (NotRunnable, NotFound, Invalid, _Settled) as refusal:
            await Routings(tx).settle(rows, RoutingVerdict.REFUSED, reason=_told(refusal))
            return RoutingVerdict.REFUSED, None
        await Routings(tx).settle(rows, RoutingVerdict.STARTED, execution_id=UUID(accepted["id"]))
        return RoutingVerdict.STARTED, entry

    async def _accepted(
        self,
        tx: AsyncConnection,
        pending: Pending,
        trigger: EventTrigger,
        events: Sequence[dict[str, Any]],
        sent_by: UUID | None,
    ) -> tuple[OutboxEntry | None, dict[str, Any]]:
        if pending.hops >= routing.MAXIMUM_HOPS:
            raise _Settled(RoutingVerdict.REFUSED, _LOOP)
        input = routing.input_of(trigger, events)
        if len(orjson.dumps(input)) > routing.MAXIMUM_INPUT:
            kilobytes = routing.MAXIMUM_INPUT // 1024
            raise _Settled(RoutingVerdict.REFUSED, f"its events are larger than {kilobytes} KB together")
        return await accept(
            tx,
            pending.organization_id,
            pending.workflow_id,
            trigger=routing.told(pending.name, events),
            input=input,
            started_by=sent_by,
            trigger_key=routing.trigger_key(pending.trigger_id, pending.event_id),
            context={"hops": pending.hops + 1, "event_id": str(pending.event_id)},
        )


def _held_against(pending: Pending, event: dict[str, Any]) -> _Found:
    try:
        trigger = routing.parse(pending.configuration)
    except (ExpressionError, KeyError, TypeError, ValueError, AttributeError) as error:
        # Written by another release perhaps: no validation of this one lets it through.
        raise _Settled(RoutingVerdict.FAILED, f"its configuration cannot be read: {error}"[:1000]) from None
    judged = routing.judge(trigger, event, pending.recorded_at)
    if isinstance(judged, Misfit):
        verdict = RoutingVerdict.LATE if judged.is_late else RoutingVerdict.FILTERED
        raise _Settled(verdict, judged.reason)
    return _Found(trigger, judged, event)


def _told(refusal: Exception) -> str:
    message = refusal.message if isinstance(refusal, NotRunnable | NotFound | Invalid) else str(refusal)
    places = [f"{each.pointer}: {each.message}" for each in getattr(refusal, "problems", ())]
    return " ".join([message, *places[:5]])[:1000]
