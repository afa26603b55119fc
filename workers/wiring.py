"""The only place where the parts are put together; everything else is given what it needs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from activities.actions.context import Services
from activities.actions.registry import Registry, built_in
from activities.executions import ExecutionActivities
from activities.gateways.http_client import GuardedHttpClient
from activities.gateways.smtp import NoMailer, SmtpMailer
from api.collaborators import Collaborators, Security
from db.session import Database
from domain.addresses import AddressPolicy
from workers.relay import Relay
from workers.settings import Settings
from workers.temporal.closings import Closings
from workers.temporal.connection import Connection
from workers.temporal.dispatcher import TemporalDispatcher
from workers.versions import PinnedVersions


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a process needs, whichever roles it plays."""

    settings: Settings
    database: Database
    connection: Connection
    registry: Registry
    dispatcher: TemporalDispatcher
    activities: ExecutionActivities
    relay: Relay
    api: Collaborators

    async def close(self) -> None:
        self.activities.close()
        await self.database.close()


def wire(settings: Settings, *, pool_size: int = 20) -> Parts:
    """Connects nothing yet."""
    database = Database(settings.database_url, pool_size=pool_size)
    connection = Connection(settings)
    closings = Closings()
    dispatcher = TemporalDispatcher(connection, database, PinnedVersions(database), closings)
    registry = built_in()
    return Parts(
        settings=settings,
        database=database,
        connection=connection,
        registry=registry,
        dispatcher=dispatcher,
        activities=ExecutionActivities(
            database,
            registry,
            _services(settings),
            cancel=dispatcher.cancel,
            closed=closings.announce,
            clock=utc_now,
        ),
        relay=Relay(database, dispatcher),
        api=Collaborators(
            database=database,
            catalogue=registry.specs(),
            dispatcher=dispatcher,
            security=Security(settings.token_secret, settings.password_pepper, settings.public_url),
            clock=utc_now,
        ),
    )


def _services(settings: Settings) -> Services:
    public = AddressPolicy.public()
    demo = AddressPolicy.allowing(
        (str(address), target.port)
        for target in settings.http_allow
        if target.network is not None
        for address in target.network
    )

    def policy(organization_id: UUID) -> AddressPolicy:
        return demo if organization_id == settings.demo_organization_id else public

    return Services(
        http=GuardedHttpClient(),
        mail=NoMailer()
        if settings.smtp_url is None
        else SmtpMailer(settings.smtp_url, sender=settings.mail_from),
        http_policy=policy,
    )
