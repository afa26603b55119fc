"""The only place where the parts are put together; everything else is given what it needs."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from activities.actions.context import Links, Services
from activities.actions.registry import Registry, built_in
from activities.bulk import BulkWork
from activities.erasing import Erasing
from activities.executions import ExecutionActivities
from activities.exporting import Exporting
from activities.gateways.functions import WebFunctions
from activities.gateways.http_client import GuardedHttpClient
from activities.gateways.s3 import Bucket, S3Blobs
from activities.gateways.sms import LogMessenger, NoMessenger
from activities.gateways.smtp import NoMailer, SmtpMailer
from api.collaborators import Collaborators, Security
from db.keys import DataKeys
from db.processes import Processes
from db.session import Database
from domain.addresses import AddressPolicy
from domain.blobs import BlobStore, NoBlobs
from domain.keys import SearchableKeyRing
from workers.deadlines import Deadlines
from workers.events import RecordedEvents
from workers.firing import Firing
from workers.mending import Mender
from workers.reconciler import Reconciler
from workers.relay import Relay
from workers.routing import Routing
from workers.settings import Settings
from workers.sweeps import Sweeper
from workers.temporal.accounts import Accounts
from workers.temporal.closings import Closings
from workers.temporal.connection import Connection
from workers.temporal.dispatcher import TemporalDispatcher
from workers.temporal.endings import Endings
from workers.temporal.remote import RemoteSealing
from workers.versions import PinnedVersions


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a process needs, whichever roles it plays."""

    settings: Settings
    database: Database
    keys: DataKeys
    blobs: BlobStore
    connection: Connection
    registry: Registry
    dispatcher: TemporalDispatcher
    activities: ExecutionActivities
    relay: Relay
    reconciler: Reconciler
    sweeper: Sweeper
    firing: Firing
    routing: Routing
    deadlines: Deadlines
    api: Collaborators

    async def close(self) -> None:
        self.activities.close()
        if isinstance(self.blobs, S3Blobs):
            self.blobs.close()
        await self.database.close()


def wire(settings: Settings, *, pool_size: int = 20) -> Parts:
    """Connects nothing yet."""
    database = Database(settings.database_url, pool_size=pool_size)
    blobs = _blobs(settings)
    keys = DataKeys(database, settings.master_keys)
    connection = Connection(settings, keys)
    closings = Closings()
    accounts = Accounts(connection)
    mender = Mender(database, accounts, closings.learn)
    recorded = RecordedEvents(database, keys)
    dispatcher = TemporalDispatcher(
        connection,
        database,
        PinnedVersions(database),
        recorded,
        closings,
        accounts,
        mender,
        settings.step_budget,
    )
    registry = built_in()
    processes = Processes(registry.every_spec())
    endings = Endings(connection, database, accounts, mender)
    services = replace(
        _services(settings, keys),
        erasing=Erasing(database, blobs, endings, keys, utc_now),
        exporting=Exporting(database, blobs, keys, utc_now),
        bulk=BulkWork(database, registry.specs(), utc_now),
    )
    return Parts(
        settings=settings,
        database=database,
        keys=keys,
        blobs=blobs,
        connection=connection,
        registry=registry,
        dispatcher=dispatcher,
        activities=ExecutionActivities(
            database,
            registry,
            services,
            keys=keys,
            refuse=dispatcher.refuse,
            dispatch=dispatcher.dispatch,
            closed=closings.announce,
            rests=closings.rest,
            clock=utc_now,
        ),
        relay=Relay(database, dispatcher, mender),
        reconciler=Reconciler(database, accounts, mender),
        sweeper=Sweeper(database, blobs, utc_now),
        firing=Firing(database, dispatcher, utc_now),
        routing=Routing(database, keys, recorded, dispatcher),
        deadlines=Deadlines(database, processes, dispatcher, settings.token_secret, utc_now),
        api=Collaborators(
            database=database,
            keys=keys,
            catalogue=registry.specs(),
            processes=processes,
            dispatcher=dispatcher,
            security=Security(
                settings.token_secret, settings.password_pepper, settings.public_url, sign_up=settings.sign_up
            ),
            clock=utc_now,
            blobs=blobs,
            payloads=RemoteSealing(keys),
            temporal_ui_url=settings.temporal_ui_url,
            temporal_namespace=settings.temporal_namespace,
            has_sms=settings.sms != "none",
            functions=WebFunctions(services.http_policy),
        ),
    )


def _blobs(settings: Settings) -> BlobStore:
    if settings.s3_bucket is None:
        return NoBlobs()
    return S3Blobs(
        Bucket(
            settings.s3_bucket,
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
        )
    )


def _services(settings: Settings, keys: SearchableKeyRing) -> Services:
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
        keys=keys,
        links=Links(settings.public_url, settings.token_secret),
        sms=LogMessenger() if settings.sms == "log" else NoMessenger(),
    )
