"""The HTTP application: every router by name, around them the gate, the errors and the protection."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Depends, FastAPI

from api import (
    actions,
    apikeys,
    audit,
    auditexports,
    bulk,
    clientexports,
    clients,
    cloudevents,
    codec,
    comparing,
    confirming,
    contacts,
    control,
    deletions,
    deliveries,
    departures,
    devices,
    dryruns,
    erasure,
    errors,
    events,
    executions,
    explaining,
    exports,
    expressions,
    graphs,
    hooks,
    identity,
    importreports,
    imports,
    invitations,
    members,
    metrics,
    mirror,
    openapi,
    operations,
    organizations,
    phones,
    previews,
    profile,
    publishing,
    recovery,
    reference,
    registration,
    reruns,
    roles,
    schedules,
    secondfactor,
    secrets,
    settings,
    sources,
    starting,
    statistics,
    tasks,
    tasktalk,
    templates,
    trials,
    triggers,
    welcoming,
    workflows,
)
from api.bodies import Bodies
from api.calls import CallCounting
from api.collaborators import Collaborators
from api.console import pages
from api.console.account import accounts
from api.crossorigin import CrossOrigin
from api.identification import Identification
from api.methods import Methods
from api.metrics import Exposition
from api.observing import Observation
from api.operations import Probe, database_probe
from api.parameters import only_known_parameters
from api.protection import Protection
from api.receiving import Receiver
from api.sessions import SignIn
from api.watching import Watching

API = (
    identity.router,
    confirming.router,
    secondfactor.router,
    devices.router,
    profile.router,
    apikeys.router,
    registration.router,
    recovery.router,
    phones.router,
    organizations.router,
    deletions.router,
    settings.router,
    members.router,
    departures.router,
    erasure.router,
    exports.router,
    invitations.router,
    welcoming.router,
    roles.router,
    workflows.router,
    templates.router,
    comparing.router,
    previews.router,
    sources.router,
    graphs.router,
    dryruns.router,
    publishing.router,
    actions.router,
    expressions.router,
    secrets.router,
    starting.router,
    executions.router,
    reruns.router,
    explaining.router,
    bulk.router,
    mirror.router,
    control.router,
    events.router,
    tasks.router,
    tasktalk.router,
    # Before /v1/clients/{id}: `imports` is no id.
    imports.CLIENTS,
    imports.CONTACTS,
    importreports.CLIENTS,
    importreports.CONTACTS,
    clientexports.clients,
    clientexports.contacts,
    clients.router,
    contacts.router,
    triggers.router,
    schedules.router,
    trials.router,
    deliveries.router,
    cloudevents.router,
    auditexports.router,
    audit.router,
    statistics.router,
)
#: For people, probes, providers and Temporal's UI, who may bring query parameters of their own: a campaign's, a
#: cache breaker.
BESIDES = (
    hooks.router,
    codec.router,
    operations.router,
    metrics.router,
    reference.router,
    pages.router,
    accounts.router,
)

#: The routes of every application of this process: what FastAPI works out when a router is first reached, a quarter of
#: a second for all of them, stays with them.
ROUTING = APIRouter(responses=openapi.DOCUMENTED)
for _router in API:
    ROUTING.include_router(_router, dependencies=[Depends(only_known_parameters)])
for _router in BESIDES:
    ROUTING.include_router(_router)

DESCRIPTION = """\
Stored workflows that outlive the process running them.

Send `Authorization: Bearer` with an access token or an API key. Errors are `application/problem+json` with
a stable `code` and, for bad input, `errors[]` naming place and mend. Repeat a POST safely with an
`Idempotency-Key`. Follow `next_cursor` through lists. Send the `ETag` you read in `If-Match` when you change
something.
"""


def create_app(
    collaborators: Collaborators,
    probes: Mapping[str, Probe] | None = None,
    exposition: Exposition | None = None,
) -> FastAPI:
    """The application around its collaborators; `probes` are further parts `/readyz` asks, by name."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.sign_in.close()
        await app.state.calls.close()

    app = FastAPI(
        title="Perdure",
        version=_version(),
        description=DESCRIPTION,
        openapi_url="/openapi.json",
        docs_url=None,  # FastAPI's own page loads scripts from a foreign host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.collaborators = collaborators
    app.state.identification = Identification(collaborators)
    app.state.sign_in = SignIn(collaborators)
    app.state.calls = CallCounting(collaborators)
    app.state.watching = Watching(collaborators.database)
    app.state.receiver = Receiver(collaborators)
    app.state.exposition = exposition
    app.state.probes = {"database": database_probe(collaborators), **(probes or {})}
    app.router.routes.extend(ROUTING.routes)
    app.openapi = partial(openapi.document, app)  # type: ignore[method-assign]  # FastAPI's documented way
    errors.install(app)
    app.add_middleware(Methods, routers=[*API, *BESIDES])
    app.add_middleware(Bodies)
    app.add_middleware(CrossOrigin, origin=collaborators.temporal_ui_url)
    app.add_middleware(Protection, is_https=collaborators.security.is_https)
    app.add_middleware(Observation)
    return app


def _version() -> str:
    try:
        return version("perdure")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
