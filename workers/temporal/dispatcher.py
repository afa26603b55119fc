"""Carries outbox entries to Temporal. Delivering twice is harmless; not delivering is what the relay is for."""

import asyncio
import logging
import time
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import WorkflowFailureError
from temporalio.common import (
    Priority,
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.collaborators import Closed
from db.outbox import Outbox, OutboxEntry
from db.session import Access, Database, Role
from domain.errors import DomainError
from domain.executions import ExecutionStatus, OutboxKind
from domain.ids import WorkflowId
from domain.keys import MasterKeyMissing
from domain.segments import Carried, ExecutionStart, Pinned, Wish
from workers.counters import DELIVERIES, STARTED
from workers.events import RecordedEvents
from workers.logs import concerning, reason
from workers.mending import CANCELLED_TWICE, Mender
from workers.temporal.accounts import Accounts
from workers.temporal.closings import Closings, Row
from workers.temporal.connection import Connection, TemporalUnavailable
from workers.versions import PinnedVersions
from workflows.contracts import executions as contract

log = logging.getLogger(__name__)

ORGANIZATION: Final = SearchAttributeKey.for_keyword("OrganizationId")
DEFINITION: Final = SearchAttributeKey.for_keyword("WorkflowDefinition")
KIND: Final = SearchAttributeKey.for_keyword("ExecutionKind")
TRIGGER: Final = SearchAttributeKey.for_keyword("TriggerType")

#: An execution that closes in this process is announced; one elsewhere is asked for after this pause.
ASK_AFTER = 0.5
#: Where a worker runs beside the API, asking would only add to its load: most executions close right here.
ASK_AFTER_AT_HOME = 3.0
#: A request waits this long for Temporal to take what it wrote; then it answers, and the relay carries on.
DISPATCH_SECONDS = 2.0
#: An execution that computes longer than this no longer counts as being started.
SETTLE_SECONDS = 0.25
#: Having found Temporal away, requests leave it to the relay for this long, instead of each waiting in vain.
AWAY_SECONDS = 2.0


class NotThere(Exception):
    """Temporal does not know this execution: it has closed, or its start has not arrived yet."""


class TemporalDispatcher:
    def __init__(
        self,
        connection: Connection,
        database: Database,
        versions: PinnedVersions,
        events: RecordedEvents,
        closings: Closings,
        accounts: Accounts,
        mender: Mender,
        step_budget: int,
    ) -> None:
        self._connection = connection
        self._database = database
        self._versions = versions
        self._events = events
        self._closings = closings
        self._away_until = 0.0
        self._accounts = accounts
        self._mender = mender
        self._step_budget = step_budget

    async def dispatch(self, entry: OutboxEntry) -> None:
        """The quick way right after a commit; whatever goes wrong here, the relay repeats.

        What was given up on may still arrive: the relay's delivery is then the second one, which is harmless.
        """
        with concerning(entry.workflow_id):
            try:
                await self._dispatch(entry)
            except (SQLAlchemyError, OSError, DomainError, MasterKeyMissing) as error:
                log.warning(
                    "The relay will deliver %s of %s: %s", entry.kind, entry.workflow_id, reason(error)
                )
            except Exception:  # it is committed: whoever has asked for it is not told that it failed
                log.exception("The relay will deliver %s of %s", entry.kind, entry.workflow_id)
            else:
                return
            DELIVERIES.labels(entry.kind, "request", "failed").inc()

    async def _dispatch(self, entry: OutboxEntry) -> None:
        if time.monotonic() < self._away_until:
            DELIVERIES.labels(entry.kind, "request", "left").inc()
            return
        try:
            async with asyncio.timeout(DISPATCH_SECONDS):
                await self.deliver(entry)
        except (RPCError, TemporalUnavailable, NotThere, TimeoutError) as error:
            if _is_away(error):
                self._away_until = time.monotonic() + AWAY_SECONDS
            said = str(error) or f"no answer within {DISPATCH_SECONDS:g} s"
            log.warning("The relay will deliver %s of %s: %s", entry.kind, entry.workflow_id, said)
            DELIVERIES.labels(entry.kind, "request", "failed").inc()
            return
        DELIVERIES.labels(entry.kind, "request", "delivered").inc()
        if entry.kind is not OutboxKind.START:  # a start is marked by the first report of its execution
            async with self._database.transaction(Access(Role.WORKER, entry.organization_id)) as connection:
                await Outbox(connection).dispatched([entry.id])

    async def deliver(self, entry: OutboxEntry) -> None:
        """Raises RPCError, TemporalUnavailable, NotThere."""
        match entry.kind:
            case OutboxKind.START:
                await self._start(entry)
            case OutboxKind.SIGNAL:
                await self._signal(entry)
            case OutboxKind.CANCEL:
                if entry.payload.get("terminate"):
                    await self._terminate(entry)
                else:
                    await self.cancel(entry.workflow_id)
        self._away_until = 0.0

    async def cancel(self, workflow_id: str) -> None:
        """Raises NotThere when the execution has ended otherwise: Temporal itself answers as if it had listened."""
        was_told = True
        try:
            await self._connection.client.get_workflow_handle(workflow_id).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            was_told = False
        account = await self._accounts.of(workflow_id)
        if account is not None and account.status is ExecutionStatus.CANCELLED:
            return  # by this very call, quicker than it could be asked about, or by one before
        if not was_told or account is None or account.status is not None:
            raise NotThere(f"{workflow_id} has closed, or has yet to arrive")

    async def refuse(self, workflow_id: str, run_id: str) -> None:
        """Stop one run whose row is closed; whichever run has taken its place is none of its business."""
        handle = self._connection.client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            await handle.cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _terminate(self, entry: OutboxEntry) -> None:
        """End it without asking it; it cannot report that itself."""
        handle = self._connection.client.get_workflow_handle(entry.workflow_id)
        try:
            await handle.terminate(reason=CANCELLED_TWICE)
        except RPCError as error:
            raise _absent(error) from error
        try:
            await self._mender.look(entry.execution_id)
        except (RPCError, SQLAlchemyError, OSError) as error:
            log.warning("The reconciler will write down the end of %s: %s", entry.workflow_id, reason(error))

    async def settled(self, workflow_id: str) -> None:
        if self._closings.is_home:
            await self._closings.settled(workflow_id, SETTLE_SECONDS)

    async def finished(self, workflow_id: str, timeout: float) -> Closed | None:  # noqa: ASYNC109  the API's protocol
        """Not None when it was heard that the execution closed. None says only that nothing was heard in time."""
        try:
            async with asyncio.timeout(timeout):
                patience = ASK_AFTER_AT_HOME if self._closings.is_home else ASK_AFTER
                try:
                    async with asyncio.timeout(min(timeout, patience)):
                        return Closed(await self._closings.wait(workflow_id))
                except TimeoutError:
                    return Closed(await self._closed_anywhere(workflow_id))
        except (TimeoutError, RPCError, TemporalUnavailable):
            return None

    async def _closed_anywhere(self, workflow_id: str) -> Row | None:
        here = asyncio.create_task(self._closings.wait(workflow_id))
        there = asyncio.create_task(self._result(workflow_id))
        try:
            await asyncio.wait((here, there), return_when=asyncio.FIRST_COMPLETED)
            if here.done():
                return here.result()
        finally:
            here.cancel()
            there.cancel()
        if there.done() and not there.cancelled() and there.exception() is not None:
            return await self._closings.wait(workflow_id)
        return None

    async def _result(self, workflow_id: str) -> None:
        try:
            await self._connection.client.get_workflow_handle(workflow_id).result()
        except WorkflowFailureError:
            return

    async def _start(self, entry: OutboxEntry) -> None:
        payload = entry.payload
        id = WorkflowId.parse(entry.workflow_id)
        version = await self._versions.get(id.organization_id, UUID(payload["version_id"]))
        try:
            await self._connection.client.start_workflow(
                contract.WORKFLOW,
                _start_argument(entry, version.pinned, self._step_budget),
                id=entry.workflow_id,
                task_queue=contract.WORKFLOW_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                request_eager_start=True,
                priority=Priority(fairness_key=str(id.organization_id)),
                search_attributes=_search_attributes(id, version.workflow_id, payload["trigger"]["type"]),
            )
        except WorkflowAlreadyStartedError:
            log.debug("%s had been started before", entry.workflow_id)
        else:
            STARTED.labels(payload["trigger"]["type"]).inc()

    async def _signal(self, entry: OutboxEntry) -> None:
        handle = self._connection.client.get_workflow_handle(entry.workflow_id)
        if "event" in entry.payload:  # what was recorded once is not copied for each that listens
            arguments = await self._events.get(entry.organization_id, UUID(entry.payload["event"]["id"]))
            if arguments is None:
                log.warning("An event for %s was forgotten before it was delivered", entry.workflow_id)
                return
        else:
            arguments = entry.payload["arguments"]
        try:
            await handle.signal(entry.payload["signal"], arguments)
        except RPCError as error:
            raise _absent(error) from error


def _is_away(error: Exception) -> bool:
    """Nobody answered, which says nothing about this entry."""
    return isinstance(error, TemporalUnavailable | TimeoutError) or (
        isinstance(error, RPCError)
        and error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED)
    )


def _absent(error: RPCError) -> Exception:
    return NotThere(str(error)) if error.status is RPCStatusCode.NOT_FOUND else error


def _start_argument(entry: OutboxEntry, pinned: Pinned, budget: int) -> ExecutionStart:
    payload = entry.payload
    wish = Wish(**payload["wish"]) if "wish" in payload else None
    return ExecutionStart(
        execution_id=str(entry.execution_id),
        pinned=pinned,
        input=payload["input"],
        trigger=payload["trigger"],
        started_by=payload.get("started_by"),
        budget=budget,
        wish=wish,
        carried=_carried(payload["carried"], budget, wish) if "carried" in payload else None,
    )


def _carried(begun: dict[str, Any], budget: int, wish: Wish | None) -> Carried:
    """What a rerun begins with: it goes on from there as a run goes on from where the one before it gave way."""
    return Carried({**begun["state"], "budget": budget}, [], {}, begun["commands"], wish=wish)


def _search_attributes(id: WorkflowId, workflow_id: UUID, trigger: str) -> TypedSearchAttributes:
    """Plaintext in Temporal: ids and kinds only, nothing personal."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(ORGANIZATION, str(id.organization_id)),
            SearchAttributePair(DEFINITION, str(workflow_id)),
            SearchAttributePair(KIND, id.kind),
            SearchAttributePair(TRIGGER, trigger),
        ]
    )
