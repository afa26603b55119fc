"""What an action is given: who it acts for, its idempotency key, and the doors it may use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.bulk import BulkWork
from activities.erasing import Erasing
from activities.exporting import Exporting
from activities.gateways.http_client import GuardedHttpClient
from activities.gateways.memory import Memory
from activities.gateways.oauth import Tokens
from activities.gateways.sms import Messenger, NoMessenger
from db.outbox import OutboxEntry
from domain.addresses import AddressPolicy
from domain.email import Delivery, Mail
from domain.keys import NoKeys, SearchableKeyRing
from domain.openapi import Operation


class Mailer(Protocol):
    """Hands one message to the mail system; implemented over SMTP."""

    @property
    def sender(self) -> str: ...

    async def send(self, mail: Mail) -> Delivery: ...


@dataclass(frozen=True, slots=True)
class Links:
    """What mails need to lead back: where the product is found, and the secret that one-use tokens are made of."""

    public_url: str
    token_secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Services:
    """The gateways of this worker; `http_policy` answers which addresses an organization may reach."""

    http: GuardedHttpClient
    mail: Mailer
    http_policy: Callable[[UUID], AddressPolicy]
    keys: SearchableKeyRing = field(default_factory=NoKeys)
    sms: Messenger = field(default_factory=NoMessenger)
    #: None where nothing is mailed that leads back here.
    links: Links | None = None
    #: None where nothing is erased: in a dry run, say.
    erasing: Erasing | None = None
    exporting: Exporting | None = None
    bulk: BulkWork | None = None
    #: What this worker remembers between calls: access tokens, and operations of OpenAPI documents.
    tokens: Tokens = field(default_factory=Tokens)
    operations: Memory[Operation] = field(default_factory=Memory)


@dataclass(frozen=True, slots=True)
class ActionContext:
    """One occurrence of a step; `effect_key` stays the same when a lost worker's occurrence is repeated."""

    organization_id: UUID
    execution_id: UUID
    occurrence: str
    started_by: UUID | None
    effect_key: str
    now: datetime
    connection: AsyncConnection | None
    services: Services
    #: Words to the engine that the action wrote into the outbox; they are carried once all is committed.
    told: list[OutboxEntry] = field(default_factory=list)

    @property
    def transaction(self) -> AsyncConnection:
        """The segment's transaction. Raises RuntimeError when a segment action is run without one."""
        if self.connection is None:
            raise RuntimeError("an action of the segment lane needs the segment's connection")
        return self.connection
