"""One process of the product: API, worker and relay, together or apart.

`python -m workers.node [--roles api,worker,relay]` reads `PERDURE_…` and serves until SIGTERM.
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

import uvicorn
import uvloop
from starlette.types import ASGIApp

from api.app import create_app
from api.operations import Probe, database_probe
from db.keys import AWAY
from domain.keys import MasterKeyMissing
from workers import logs
from workers.metrics import Metrics, OperationsServer, create_operations_app
from workers.settings import Settings, SettingsError
from workers.temporal.connection import TemporalUnavailable
from workers.wiring import Parts, wire
from workers.worker import create_workers, run_workers

log = logging.getLogger(__name__)


WIND_DOWN_SECONDS = 15.0


class NodeRole(StrEnum):
    API = "api"
    WORKER = "worker"
    RELAY = "relay"


async def run_node(settings: Settings, roles: frozenset[NodeRole]) -> None:
    """Serve until SIGTERM or SIGINT; a part that dies takes the process with it, and the supervisor restarts it."""
    parts = wire(settings)
    await _load_keys(parts)
    # What was imported stays: a full collection need not look at it, and takes next to nothing instead of 0.17 s in the
    # middle of somebody's workflow task.
    gc.collect()
    gc.freeze()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    tasks = [asyncio.create_task(stopping.wait(), name="stop")]
    tasks += [
        asyncio.create_task(_ROLES[role](parts, stopping), name=role) for role in NodeRole if role in roles
    ]
    if settings.metrics_port is not None:
        tasks.append(asyncio.create_task(_show_operators(parts, settings.metrics_port), name="operators"))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stopping.set()
        await _wind_down(tasks)
        await parts.close()


async def _load_keys(parts: Parts) -> None:
    """Keys are there before the first request; a master key that is missing is told now, not at its first use."""
    try:
        await parts.keys.prefetch()
    except AWAY as error:
        # Every role waits for PostgreSQL by itself, and loads each key when it is needed.
        log.warning("Data keys could not be loaded before PostgreSQL answers: %s", type(error).__name__)


async def _wind_down(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        if task.get_name() != NodeRole.API:  # uvicorn ends by itself, after its last answers
            task.cancel()
    # A segment that keeps trying to reach a lost database must not hold the process: it repeats elsewhere.
    await asyncio.wait(tasks, timeout=WIND_DOWN_SECONDS)


def server_for(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            # Otherwise uvicorn would believe every process of this machine.
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=10,
        )
    )


async def _serve(parts: Parts, stopping: asyncio.Event) -> None:
    settings = parts.settings
    if settings.sign_up == "verified" and settings.smtp_url is None:
        log.warning(
            "Nobody can register or reset a password: PERDURE_SMTP_URL names no mail server. Set it, or "
            "PERDURE_SIGN_UP=closed"
        )
    metrics = Metrics(parts.database, settings.metrics_token)
    app = create_app(parts.api, {"temporal": _temporal_probe(parts)}, metrics)
    server = server_for(app, settings)
    # An API alone delivers too, and asks; it serves while Temporal does not answer yet.
    connecting = asyncio.create_task(parts.connection.connect(), name="connect")
    serving = asyncio.create_task(server.serve())
    await asyncio.wait((serving, asyncio.create_task(stopping.wait())), return_when=asyncio.FIRST_COMPLETED)
    app.state.watching.close()  # streams would hold the server for as long as it waits for its last answers
    server.should_exit = True
    await serving
    connecting.cancel()


async def _show_operators(parts: Parts, port: int) -> None:
    probes = {"database": database_probe(parts.api), "temporal": _temporal_probe(parts)}
    metrics = Metrics(parts.database, None)
    await OperationsServer(create_operations_app(metrics, probes), parts.settings.metrics_host, port).serve()


def _temporal_probe(parts: Parts) -> Probe:
    async def probe() -> None:
        if not await parts.connection.client.service_client.check_health():
            raise TemporalUnavailable("Temporal reports that it is not serving")

    return probe


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: a node has one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _work(parts: Parts, _: asyncio.Event) -> None:
    client = await parts.connection.connect()
    await run_workers(create_workers(client, parts.activities))


async def _relay(parts: Parts, _: asyncio.Event) -> None:
    """What PostgreSQL alone decides goes on while Temporal is away: what it starts waits in the outbox."""
    await asyncio.gather(
        _carry(parts),
        parts.sweeper.run(),
        parts.routing.run(),
        parts.firing.run(),
        parts.deadlines.run(),
    )


async def _carry(parts: Parts) -> None:
    await parts.connection.connect()
    await asyncio.gather(parts.relay.run(), parts.reconciler.run())


_ROLES = {NodeRole.API: _serve, NodeRole.WORKER: _work, NodeRole.RELAY: _relay}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.node", description=__doc__)
    parser.add_argument("--roles", default="api,worker,relay", help="comma list of api, worker, relay")
    options = parser.parse_args(arguments)
    try:
        roles = frozenset(NodeRole(name.strip()) for name in options.roles.split(","))
        settings = Settings.load()
    except ValueError as error:
        sys.stderr.write(f"--roles: {error}; choose from {', '.join(NodeRole)}\n")
        return 2
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    logs.forward_core()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_node(settings, roles))
    return 0


if __name__ == "__main__":
    try:
        status = main()
    except MasterKeyMissing as error:
        sys.stderr.write(f"{error}\n")
        status = 2
    except Exception:
        log.exception("The node failed")
        status = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # A Temporal client can crash the interpreter while it exits (sdk-python#300); the status must survive.
    os._exit(status)
