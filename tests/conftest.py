"""What every test may ask for: a real PostgreSQL, a fresh migrated database, a real Temporal server.

No test reaches beyond this machine: sockets are restricted to loopback and Unix before anything runs.
"""

import asyncio
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_socket

from workers.devstack.databases import OWNER, RUNTIME, SUPERUSER, copy_database, drop_database
from workers.devstack.postgres import DATABASE, Postgres
from workers.devstack.processes import Child
from workers.devstack.temporal import Temporal
from workers.migrate import upgrade

T = TypeVar("T")
DEFAULT_TIMEOUT = 120
ROOMY = 3 * 1024**3
#: Dynamic configuration of the tests' Temporal server.
MEETING_LIMITS_EARLY = {
    "limit.historyCount.suggestContinueAsNew": "40",
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": "2",
}


def pytest_configure(config: pytest.Config) -> None:
    # xdist tells its processes how wide a terminal is that they do not have; commands under test must not believe it.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    if not config.getoption("timeout", None) and not config.getini("timeout"):
        config.option.timeout = DEFAULT_TIMEOUT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes share the suite, a file stays whole, and all browser tests share one stack."""
    for item in items:
        folder, file = item.path.parent.name, item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("console" if folder == "console" else file))


def pytest_runtest_setup() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="module", autouse=True)
def nobody_elses_garbage() -> Iterator[None]:
    """What a module leaves behind is collected before the next: in the middle of a workflow task, which Temporal ends
    after two seconds, closing the sockets of a hundred earlier tests took too long."""
    yield
    gc.collect()
    gc.freeze()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The session's PostgreSQL; its database `perdure` is the migrated template."""

    server: Postgres

    def create(self) -> str:
        """Make a fresh migrated database; return its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        aside(copy_database(self.server.url(SUPERUSER, "postgres"), DATABASE, name))
        return name

    def drop(self, name: str) -> None:
        aside(drop_database(self.server.url(SUPERUSER, "postgres"), name))

    def url(self, database: str, login: str = RUNTIME) -> str:
        """Return the address of a database as `perdure_app`, `perdure_owner` or `postgres`."""
        return self.server.url(login, database)


def aside(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end without touching the event loop of the test."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def memory_folder() -> str | None:
    """Return a RAM-backed folder when there is a roomy one: a fresh database takes 15 ms there, not 300."""
    shared = Path("/dev/shm")
    if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > ROOMY:
        return str(shared)
    return None


@pytest.fixture(scope="session")
def stack_folder() -> Iterator[Path]:
    """A folder with a short path that PostgreSQL's user can be let into (pytest's own is closed to it)."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-", dir=memory_folder()))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_postgres(stack_folder: Path) -> Iterator[Postgres]:
    """A running cluster with logins and an unmigrated database `perdure`."""
    server = Postgres(stack_folder, durable=False)
    asyncio.run(server.start())  # in this thread: servers end with the thread that started them
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def postgres(empty_postgres: Postgres) -> Cluster:
    """The cluster with its migrated template."""
    upgrade(empty_postgres.url(OWNER))
    return Cluster(empty_postgres)


@pytest.fixture
def database(postgres: Cluster) -> Iterator[str]:
    """The name of a fresh migrated database; `postgres.url(database, login)` gives addresses."""
    name = postgres.create()
    yield name
    postgres.drop(name)


@pytest.fixture
def database_url(postgres: Cluster, database: str) -> str:
    """The fresh database as the product's runtime login."""
    return postgres.url(database, RUNTIME)


@pytest.fixture
def owner_url(postgres: Cluster, database: str) -> str:
    """The same database as the login that migrates."""
    return postgres.url(database, OWNER)


@pytest.fixture
def admin_url(postgres: Cluster, database: str) -> str:
    """The same database as superuser: for looking behind the policies."""
    return postgres.url(database, SUPERUSER)


@pytest.fixture(scope="session")
def temporal_server(stack_folder: Path) -> Iterator[str]:
    """The address of a real, file-backed Temporal server with our search attributes."""

    async def start() -> Child:
        child = Child(await server.prepare(), stack_folder / "logs" / "temporal.log")
        while not await server.ready():
            assert child.returncode is None, child.last_words()
            await asyncio.sleep(0.05)
        await server.settle()
        return child

    server = Temporal(stack_folder, settings=MEETING_LIMITS_EARLY)
    child = asyncio.run(start())
    yield server.address
    asyncio.run(child.stop())


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own PERDURE_ variables must not change a test."""
    for name in [name for name in os.environ if name.startswith("PERDURE_")]:
        if not name.startswith("PERDURE_CTK_"):
            monkeypatch.delenv(name)
