"""From a request at a trigger's address to one execution: prove, read, let in once, accept, write down.

The order is that of the design: size cap, signature over raw bytes, then inbox row, execution, word to the
engine and ledger row in one transaction; only then the engine is told, and the sender answered.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from api.accepting import NotRunnable, accept
from api.collaborators import Collaborators
from api.hookmessages import Message, understand
from api.hookrequests import (
    WebhookForged,
    WebhookIncomplete,
    WebhookMalformed,
    WebhookStale,
    WebhookTooLarge,
    announced,
    read,
)
from api.ledger import IN_ROW, Bodies, Refusals, blob_key
from api.turns import Turn
from db.deliveries import Deliveries, First, Inbox, NewDelivery
from db.outbox import OutboxEntry
from db.session import Access, Role
from db.triggers import Hook, sealed_at
from domain.blobs import BlobsUnavailable
from domain.errors import DomainError, Invalid
from domain.keys import Unreadable
from domain.webhooks.challenges import Reply, signed_challenge, unsigned_challenge
from domain.webhooks.configuration import Configuration
from domain.webhooks.envelope import Envelope
from domain.webhooks.events import Event, event_of
from domain.webhooks.received import Received
from domain.webhooks.schemes import scheme_of
from domain.webhooks.telling import headers_told, query_of
from domain.webhooks.verdicts import Forged, Malformed, Source, Stale, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an event started, and the delivery that brought it first; an execution deleted since is None."""

    execution_id: UUID | None
    delivery_id: UUID
    duplicate: bool


class Receiver:
    """Receives for one application."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self._bodies = Bodies(parts)
        self._refusals = Refusals()

    async def receive(self, hook: Hook, token: str, http: Request) -> Outcome | Reply:
        """Raises WebhookForged, WebhookStale, WebhookMalformed, WebhookTooLarge, NotRunnable, Invalid."""
        arrived = _arrived(hook, http, self._parts.clock())
        configuration = Configuration.parse(hook.configuration)
        try:
            request = await read(http)
        except (WebhookTooLarge, WebhookIncomplete) as error:
            verdict = Verdict.OVERSIZED if isinstance(error, WebhookTooLarge) else Verdict.FORGED
            await self._refuse(arrived, verdict, error.message)
            raise
        arrived = replace(
            arrived,
            size=len(request.body),
            sha256=hashlib.sha256(request.body).hexdigest(),
            content_type=request.content_type[:200] or None,
        )
        meant: Reply | tuple[Message, Event] | None
        meant = await self._proved(hook, configuration, token, request, arrived)
        authentic = meant is None  # a handshake that is answered unsigned proves nothing
        if meant is None:
            meant = await self._understood(configuration, request, arrived)
        if isinstance(meant, Reply):
            await self._refuse(arrived, Verdict.CHALLENGE, "A handshake, answered.", authentic=authentic)
            return meant
        message, event = meant
        arrived = replace(arrived, event_id=event.id)
        delivery = await self._kept(arrived, message.envelope())
        async with self._parts.turns.of(hook.organization_id) as turn:
            return await self._accept(hook, configuration, message, event, delivery, turn)

    async def _proved(
        self, hook: Hook, configuration: Configuration, token: str, request: Received, arrived: NewDelivery
    ) -> Reply | None:
        """Nothing of a request that proves nothing is kept but its hash."""
        secrets = await self._opened(hook)
        now = int(arrived.received_at.timestamp())
        try:
            if configuration.challenge is not None:
                query = query_of(request.query)
                if reply := unsigned_challenge(configuration, request, query, [token, *secrets]):
                    return reply
            scheme_of(configuration).verify(request, secrets, now, configuration.tolerance)
        except Forged as forged:
            await self._refuse(arrived, Verdict.FORGED, str(forged))
            raise WebhookForged(str(forged)) from None
        except Stale as stale:
            await self._refuse(arrived, Verdict.STALE, str(stale))
            raise WebhookStale(str(stale)) from None
        except Malformed as malformed:
            await self._refuse(arrived, Verdict.CHALLENGE, f"A handshake, not answered: {malformed}")
            raise WebhookMalformed(str(malformed)) from None
        return None

    async def _opened(self, hook: Hook) -> list[str]:
        """The signing secrets; one whose key was shredded counts no longer, and a trigger without any refuses."""
        secrets = []
        for id, sealed in hook.secrets.items():
            try:
                opened = await self._parts.keys.open(hook.organization_id, sealed, sealed_at(id))
            except Unreadable:
                continue
            secrets.append(opened.decode())
        return secrets

    async def _understood(
        self, configuration: Configuration, request: Received, arrived: NewDelivery
    ) -> Reply | tuple[Message, Event]:
        try:
            message = await understand(configuration, request, query_of(request.query))
            if reply := signed_challenge(configuration, message.content):
                return reply
            message.input(arrived.id)
            return message, event_of(configuration, request, message.content)
        except Malformed as malformed:
            headers = headers_told(request, scheme_of(configuration).carries)
            await self._refuse(
                arrived,
                Verdict.MALFORMED,
                str(malformed),
                Envelope(request.method, headers, {}, request.body),
                authentic=True,
            )
            raise WebhookMalformed(str(malformed)) from None

    async def _accept(
        self,
        hook: Hook,
        configuration: Configuration,
        message: Message,
        event: Event,
        delivery: NewDelivery,
        turn: Turn,
    ) -> Outcome:
        try:
            async with self._parts.database.transaction(_access(delivery)) as tx:
                first = await _let_in(tx, configuration, event, delivery)
                if first is not None:
                    await self._repeated(tx, delivery, first)
                    outcome, entry = Outcome(first.execution_id, first.delivery_id, duplicate=True), None
                else:
                    outcome, entry = await _start(tx, hook, message, event, delivery)
        except (NotRunnable, Invalid) as refusal:
            await self._reject(delivery, refusal)
            raise
        if entry is not None:
            await self._parts.dispatcher.dispatch(entry)
            turn.until(self._parts.dispatcher.settled(entry.workflow_id))
        elif delivery.body_key is not None:
            await self._discard(delivery)
        return outcome

    async def _kept(self, delivery: NewDelivery, envelope: Envelope) -> NewDelivery:
        """The delivery with its sealed body; a large one lies in the blob store, and the ledger knows of it."""
        sealed = await self._bodies.seal(delivery.organization_id, delivery.id, envelope)
        if len(sealed) <= IN_ROW:
            return replace(delivery, body=sealed)
        stored = replace(delivery, body_key=blob_key(delivery.organization_id, delivery.id))
        async with self._parts.database.transaction(_access(delivery)) as tx:
            await Deliveries(tx).add(stored)
        try:
            await self._parts.blobs.put(str(stored.body_key), sealed)
        except BlobsUnavailable as away:
            await self._settle(stored, verdict=Verdict.REJECTED, reason=away.message)
            raise
        return stored

    async def _repeated(self, tx: AsyncConnection, delivery: NewDelivery, first: First) -> None:
        """A duplicate leaves a line, not its body: the first one has that."""
        row = replace(delivery, verdict=Verdict.DUPLICATE, execution_id=first.execution_id, body=None)
        if delivery.body_key is not None:
            await _settled(tx, row)
            return
        unrecorded = self._refusals.admit(delivery.trigger_id, delivery.received_at, authentic=True)
        if unrecorded is not None:
            await Deliveries(tx).add(replace(row, unrecorded=unrecorded))

    async def _reject(self, delivery: NewDelivery, refusal: DomainError) -> None:
        """Authentic but not runnable: kept with its body, so that it can be replayed once the workflow is mended."""
        told = " ".join(
            [refusal.message, *(f"{each.pointer}: {each.message}" for each in refusal.problems[:3])]
        )
        if delivery.body_key is not None:
            await self._settle(delivery, verdict=Verdict.REJECTED, reason=told[:500])
        else:
            await self._refuse(delivery, Verdict.REJECTED, told, authentic=True)

    async def _discard(self, delivery: NewDelivery) -> None:
        """The stored body first, then its key: whatever happens between, the sweep can finish it."""
        await self._parts.blobs.delete(str(delivery.body_key))
        await self._settle(delivery, body_key=None)

    async def _settle(self, delivery: NewDelivery, **values: Any) -> None:
        async with self._parts.database.transaction(_access(delivery)) as tx:
            await Deliveries(tx).settle(delivery.id, **values)

    async def _refuse(
        self,
        delivery: NewDelivery,
        verdict: Verdict,
        reason: str,
        envelope: Envelope | None = None,
        *,
        authentic: bool = False,
    ) -> None:
        """Write down a request that starts nothing, unless there are too many of its kind."""
        unrecorded = self._refusals.admit(delivery.trigger_id, delivery.received_at, authentic=authentic)
        if unrecorded is None:
            return
        row = replace(delivery, verdict=verdict, reason=reason[:500], unrecorded=unrecorded)
        if envelope is not None:
            sealed = await self._bodies.seal(delivery.organization_id, delivery.id, envelope)
            row = replace(row, body=sealed if len(sealed) <= IN_ROW else None)
        async with self._parts.database.transaction(_access(delivery)) as tx:
            await Deliveries(tx).add(row)


def _arrived(hook: Hook, http: Request, now: datetime) -> NewDelivery:
    return NewDelivery(
        id=uuid4(),
        organization_id=hook.organization_id,
        trigger_id=hook.trigger_id,
        source=Source.PROVIDER,
        verdict=Verdict.RECEIVING,
        method=http.method,
        size=announced(http),
        received_at=now,
        source_ip=http.client.host if http.client else None,
    )


def _access(delivery: NewDelivery) -> Access:
    return Access(Role.WORKER, delivery.organization_id)


async def _let_in(
    tx: AsyncConnection, configuration: Configuration, event: Event, delivery: NewDelivery
) -> First | None:
    """None for an event nobody has accepted; what it started otherwise."""
    if not event.lasting and not configuration.window:
        return None
    return await Inbox(tx).let_in(
        delivery.organization_id,
        delivery.trigger_id,
        event.key,
        delivery.id,
        now=delivery.received_at,
        window=None if event.lasting else timedelta(seconds=configuration.window),
    )


async def _start(
    tx: AsyncConnection, hook: Hook, message: Message, event: Event, delivery: NewDelivery
) -> tuple[Outcome, OutboxEntry | None]:
    """The inbox forgets after months; the execution's own key does not, as long as its row is kept."""
    entry, accepted = await accept(
        tx,
        hook.organization_id,
        hook.workflow_id,
        trigger=message.trigger(hook.name, delivery.id),
        input=message.input(delivery.id),
        started_by=None,
        trigger_key=f"webhook/{hook.trigger_id}/{event.key}" if event.lasting else None,
    )
    execution_id, known = UUID(accepted["id"]), entry is None
    verdict = Verdict.DUPLICATE if known else Verdict.ACCEPTED
    row = replace(delivery, verdict=verdict, execution_id=execution_id)
    await (_settled(tx, row) if row.body_key is not None else Deliveries(tx).add(row))
    return Outcome(execution_id, delivery.id, duplicate=known), entry


async def _settled(tx: AsyncConnection, row: NewDelivery) -> None:
    await Deliveries(tx).settle(row.id, verdict=row.verdict, execution_id=row.execution_id)
