"""Compares the mirror with Temporal, because what is ended, reset or deleted there cannot report itself.

Two clocks. Every round (2 s) asks what has closed or begun since the last one: what an operator does is in the row
within 10 s. Every sweep (5 min) compares all open rows with all that runs: what was deleted, and whatever a round
has missed. Several reconcilers at once are harmless: a row is locked, looked at again and mended once.
"""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from activities.faults import is_passing
from db.session import Access, Database, Role
from db.supervision import Mending, Standing, Supervision
from domain.ids import WorkflowId
from domain.mirror import Mismatch, same_end
from workers.logs import concerning, reason
from workers.mending import Mender
from workers.supervision_metrics import MISMATCHES, STALLED, STRANGERS, SUPERVISED_AT
from workers.temporal.accounts import Accounts, Listed
from workers.temporal.connection import TemporalUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_SYSTEM: Final = Access(Role.SYSTEM)
_AWAY: Final = (RPCError, TemporalUnavailable, SQLAlchemyError, OSError)
_NIL: Final = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how much; tests are in a hurry."""

    round: timedelta = timedelta(seconds=2)
    sweep: timedelta = timedelta(minutes=5)
    #: A list may lack for this long what has happened already: visibility follows the history.
    overlap: timedelta = timedelta(seconds=30)
    #: A start that left the outbox more recently may still be on its way.
    settled: timedelta = timedelta(seconds=10)
    #: Rows that reported more recently are alive.
    quiet: timedelta = timedelta(seconds=10)
    daily: timedelta = timedelta(days=1)
    #: Quiet rows that a sweep asks Temporal about one by one, and how many calls are under way at once.
    verified: int = 200
    at_once: int = 10
    page: int = 500
    #: Stalled executions are asked for in every so manieth round.
    stalled_every: int = 3


class Reconciler:
    def __init__(
        self, database: Database, accounts: Accounts, mender: Mender, pace: Pace | None = None
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._mender = mender
        self._pace = pace or Pace()
        # Two minutes back covers a restart; the first sweep, at once, covers everything before.
        start = datetime.now(UTC) - timedelta(minutes=2)
        self._closed_until = start
        self._begun_until = start
        self._rounds = 0
        #: Runs compared lately: the overlap lists them again and again.
        self._known: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Until cancelled. A Temporal or a database that is away is asked again, from where it was left."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.round, self._pace.round))
            group.create_task(self._repeat(self.sweep, self._pace.sweep))

    async def _repeat(self, work: Callable[[], Awaitable[None]], pause: timedelta) -> None:
        is_away = False
        while True:
            try:
                await work()
                is_away = False
            except _AWAY as error:
                if not is_away:
                    log.warning("Supervision waits for what it compares: %s", reason(error))
                is_away = True
                await asyncio.sleep(self._pace.round.total_seconds())
                continue
            await asyncio.sleep(pause.total_seconds())

    async def round(self) -> None:
        """What has closed or begun since the last round; the moments move on only when all of it was compared."""
        overlap = self._pace.overlap
        self._closed_until = await self._compare_lists(
            self._accounts.ended_since(self._closed_until - overlap), self._closed_until
        )
        self._begun_until = await self._compare_lists(
            self._accounts.begun_since(self._begun_until - overlap), self._begun_until
        )
        if self._rounds % self._pace.stalled_every == 0:
            await self.watch_stalled()
        self._rounds += 1
        SUPERVISED_AT.set_to_current_time()

    async def _compare_lists(self, pages: AsyncIterator[list[Listed]], until: datetime) -> datetime:
        async for page in pages:
            unknown = [listed for listed in page if _key(listed) not in self._known]
            await self._compare_listed(unknown)
            until = max([until, *((listed.closed_at or listed.started_at) for listed in page)])
        return until

    async def _compare_listed(self, listed: list[Listed]) -> None:
        """Rows that agree cost one statement for all of them; only the others cost a call each."""
        ids = {id: found for found in listed if (id := _execution(found)) is not None}
        if not ids:
            return
        async with self._database.transaction(_SYSTEM) as connection:
            rows = await Supervision(connection).standing(ids)
        again = await self._compare_differing(rows, ids)
        self._remember(_key(ids[row.id]) for row in rows if row.id not in again)

    async def _compare_differing(self, rows: list[Standing], listed: Mapping[UUID, Listed]) -> set[UUID]:
        """Compare the rows that differ from the list, some at a time and in no order.

        Another reconciler is doing the same, beginning elsewhere: what it has mended by then costs no call.
        """
        again: set[UUID] = set()
        differing = [row.id for row in rows if _differs(row, listed[row.id])]
        random.shuffle(differing)
        for some in _chunks(differing, self._pace.at_once * 2):
            async with self._database.transaction(_SYSTEM) as connection:
                fresh = await Supervision(connection).standing(some)
            still = await self._compare([row for row in fresh if _differs(row, listed[row.id])])
            again |= {row.id for row in still}
        return again

    async def _compare(self, rows: list[Standing]) -> list[Standing]:
        """Compare each with Temporal; answers those to be looked at again. What is away fails the whole round."""
        slots = asyncio.Semaphore(self._pace.at_once)

        async def one(row: Standing) -> bool:
            async with slots:
                with concerning(row.workflow_id):
                    return await guarded(row)

        async def guarded(row: Standing) -> bool:
            try:
                return await self._mender.compare(row)
            except SQLAlchemyError as error:
                if is_passing(error):
                    raise
                # One row that cannot be written must not keep all others from being compared.
                log.exception("The row of %s could not be mended", row.workflow_id)
                return False

        done = await asyncio.gather(*(one(row) for row in rows), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return [row for row, is_done in zip(rows, done, strict=True) if not is_done]

    def _remember(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._known[key] = None
        while len(self._known) > 20_000:
            self._known.popitem(last=False)

    async def watch_stalled(self) -> None:
        """Temporal marks executions whose workflow tasks keep failing; the mark goes when one succeeds."""
        stalled = await self._accounts.stalled()
        ids = {execution for id in stalled if (execution := _parsed(id)) is not None}
        async with self._database.transaction(_SYSTEM) as connection:
            supervision = Supervision(connection)
            shown = {row.id: row for row in await supervision.stalled()}
            fresh = await supervision.standing(ids - shown.keys())
        for row in fresh:
            reason = stalled.get(row.workflow_id)
            if reason is None:  # a stranger in Temporal, whose id merely ends like this one
                continue
            async with self._database.transaction(Access(Role.WORKER, row.organization_id)) as connection:
                if await Mending(connection, row).stall(reason):
                    MISMATCHES.labels(Mismatch.STALLED.value).inc()
                    with concerning(row.workflow_id):
                        log.error("%s is stalled: %s", row.workflow_id, reason)
        for id in shown.keys() - ids:
            row = shown[id]
            async with self._database.transaction(Access(Role.WORKER, row.organization_id)) as connection:
                await Mending(connection, row).recover()
        STALLED.set(len(stalled))

    async def sweep(self) -> None:
        """All open rows against all that runs, both ways; then some quiet rows, one by one."""
        running = await self._running()
        strangers = dict(running)
        quiet: list[Standing] = []
        after = _NIL
        while rows := await self._open_page(after):
            after = (rows[-1].updated_at, rows[-1].id)
            await self._compare([row for row in rows if row.id not in running])
            quiet += [row for row in rows if row.id in running and not row.is_verified]
            quiet = quiet[: self._pace.verified]
        for page in _chunks(list(running.values()), self._pace.page):
            strangers = await self._compare_running(page, strangers)
        STRANGERS.set(len(strangers))
        again = {row.id for row in await self._compare(quiet)}
        async with self._database.transaction(_SYSTEM) as connection:
            await Supervision(connection).verified([row for row in quiet if row.id not in again])
        SUPERVISED_AT.set_to_current_time()

    async def _running(self) -> dict[UUID, Listed]:
        running = {}
        async for page in self._accounts.running():
            running.update({id: listed for listed in page if (id := _execution(listed)) is not None})
        return running

    async def _open_page(self, after: tuple[datetime, UUID]) -> list[Standing]:
        pace = self._pace
        async with self._database.transaction(_SYSTEM) as connection:
            return await Supervision(connection).open(
                after, limit=pace.page, quiet=pace.quiet, settled=pace.settled, daily=pace.daily
            )

    async def _compare_running(self, page: list[Listed], strangers: dict[UUID, Listed]) -> dict[UUID, Listed]:
        """What runs in Temporal while its row is closed or follows another run; answers who has no row at all."""
        ids = {WorkflowId.parse(listed.workflow_id).execution_id: listed for listed in page}
        async with self._database.transaction(_SYSTEM) as connection:
            rows = await Supervision(connection).standing(ids)
        await self._compare_differing(rows, ids)
        known = {row.id for row in rows}
        return {id: listed for id, listed in strangers.items() if id not in known}


def _differs(row: Standing, listed: Listed) -> bool:
    """Whether the row may not tell what the list does."""
    if listed.status is None:
        return row.run_id is not None and (row.run_id != listed.run_id or row.status.is_terminal)
    return row.run_id != listed.run_id or not same_end(row.status, listed.status)


def _key(listed: Listed) -> str:
    """A run is compared once when it has begun, and once when it has closed."""
    return f"{listed.run_id} {listed.status or 'runs'}"


def _execution(listed: Listed) -> UUID | None:
    return _parsed(listed.workflow_id)


def _parsed(workflow_id: str) -> UUID | None:
    """None for a workflow that somebody else started in this namespace."""
    try:
        return WorkflowId.parse(workflow_id).execution_id
    except ValueError:
        return None


def _chunks(all: list[T], size: int) -> Iterable[list[T]]:
    return (all[start : start + size] for start in range(0, len(all), size))
