"""PgBouncer itself in transaction mode, between the product and PostgreSQL: two server connections for everybody."""

import asyncio
import random
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.actions.registry import built_in
from api.app import create_app
from api.collaborators import Collaborators
from db.engine import create_engine
from db.session import Access, Database, Role
from tests.api.conftest import PASSWORD, PROCESSES, SECURITY, Clock, Recorder, keys_of
from tests.conftest import Cluster
from tests.db import isolation
from tests.db.world import settle
from workers.devstack import accounts, ports

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(
    PGBOUNCER is None,
    reason="PgBouncer is not installed (Debian: pgbouncer); test_engine.py holds our half of it",
)
SERVER_CONNECTIONS = 2


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="pgb-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def pooled(postgres: Cluster, database: str, folder: Path) -> AsyncIterator[str]:
    """The address of the fresh database through PgBouncer, as the product's settings have it."""
    behind, port = make_url(postgres.url(database)), ports.any_free()
    account = accounts.for_postgres()
    home = folder / uuid4().hex[:8]
    accounts.own(home, account)
    users, settings = home / "users.txt", home / "pgbouncer.ini"
    users.write_text(f'"{behind.username}" "{behind.password}"\n')
    settings.write_text(
        f"[databases]\n{database} = host={behind.host} port={behind.port}\n"
        f"[pgbouncer]\nlisten_addr = {ports.LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = transaction\n"
        f"default_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\nlogfile = {home}/log\n"
    )
    for file in (users, settings):
        if account is not None:
            shutil.chown(file, account.uid, account.gid)
    server = start(settings, account)
    address = behind.set(host=ports.LOOPBACK, port=port).update_query_dict({"pooler": "transaction"})
    url = address.render_as_string(hide_password=False)
    try:
        await answering(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


def start(settings: Path, account: accounts.Account | None) -> subprocess.Popen[bytes]:
    """PgBouncer refuses to be root, like PostgreSQL."""
    return subprocess.Popen(
        [str(PGBOUNCER), str(settings)],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


async def answering(url: str, server: subprocess.Popen[bytes]) -> None:
    engine = create_engine(url)
    for _ in range(100):
        assert server.poll() is None, "PgBouncer ended; its log lies beside its settings"
        try:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            await engine.dispose()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("PgBouncer does not answer")


async def test_tenants_stay_apart_through_it(admin: AsyncEngine, pooled: str) -> None:
    world = await settle(admin)
    engine = create_engine(pooled)
    assert (
        await isolation.findings(engine, world, ["clients", "documents", "users", "user_organizations"]) == []
    )
    await engine.dispose()


async def test_nothing_of_a_transaction_is_left_for_the_next(admin: AsyncEngine, pooled: str) -> None:
    """Hundreds at once on two connections, some failing, some given up: nobody ever sees another's rows."""
    world = await settle(admin)
    database = Database(pooled)
    draw = random.Random(7)
    backends = set()
    own = {tenant["id"]: {row["id"] for row in world.everything["clients"] if row["organization_id"] == tenant["id"]}
           for tenant in (world.a, world.b)}  # fmt: skip

    async def ask(number: int) -> None:
        who = draw.choice([world.a, world.b, None])
        access = Access(Role.API) if who is None else Access(Role.API, who["id"], who["created_by"])
        fate = draw.random()
        async with database.transaction(access) as tx:
            backends.add(await tx.scalar(text("SELECT pg_backend_pid()")))
            if fate < 0.1:
                await tx.execute(text("SELECT 1 / 0"))
            if fate < 0.2:
                raise asyncio.CancelledError
            seen = set(await tx.scalars(text("SELECT id FROM clients")))
            assert seen == (own[who["id"]] if who is not None else set()), number

    outcomes = await asyncio.gather(*(bounded(ask(number)) for number in range(400)), return_exceptions=True)
    wrong = [each for each in outcomes if isinstance(each, AssertionError)]
    assert wrong == []
    assert sum(each is None for each in outcomes) > 250
    assert len(backends) <= SERVER_CONNECTIONS
    async with database.transaction(Access(Role.API)) as tx:
        assert await tx.scalar(text("SELECT app.org()")) is None
    await database.close()


_at_once = asyncio.Semaphore(50)


async def bounded(work: object) -> None:
    async with _at_once:
        await work  # type: ignore[misc]  # a coroutine


async def test_a_statement_alone_keeps_its_connection_from_preparing_to_answering(pooled: str) -> None:
    """Outside a transaction the pooler may send what executes a statement where nobody prepared it."""
    database = Database(pooled)

    async def ask(number: int) -> None:
        for each in range(12):
            row = await database.first(
                text("SELECT :n + pg_backend_pid() * 0 AS n"), {"n": number * 100 + each}
            )
            assert row is not None
            assert row["n"] == number * 100 + each

    await asyncio.gather(*(ask(number) for number in range(40)))
    await database.close()


async def test_the_application_works_behind_it(pooled: str) -> None:
    """Signing in, keys, writes and reads of many people at once: also what is a transaction of one statement."""
    database = Database(pooled)
    parts = Collaborators(
        database, keys_of(database), built_in().specs(), Recorder(), SECURITY, Clock(), PROCESSES
    )
    app = create_app(parts)
    await asyncio.gather(*(live(app, number) for number in range(12)))
    await database.close()


async def live(app: FastAPI, number: int) -> None:
    """A person at an address of their own, since from one address only so many sign up."""
    transport = httpx2.ASGITransport(app=app, client=(f"192.0.2.{number}", 1))
    async with httpx2.AsyncClient(transport=transport, base_url=SECURITY.public_url) as http:
        await busy(http, number)


async def busy(http: httpx2.AsyncClient, number: int) -> None:
    body = {"email": f"p{number}@lind.example", "password": PASSWORD, "name": "P", "organization_name": "L"}
    made = await http.post("/v1/auth/register", json=body)
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['access_token']}"}
    key = await http.post("/v1/me/api-keys", json={"name": "k", "scopes": ["clients:read"]}, headers=headers)
    assert key.status_code == 201, key.text
    by_key = {"Authorization": f"Bearer {key.json()['key']}"}
    for each in range(5):
        wrote = await http.post(
            "/v1/clients", json={"name": f"C{each}", "tax_id": f"T{number}"}, headers=headers
        )
        assert wrote.status_code == 201, wrote.text
        read = await http.get("/v1/clients", params={"tax_id": f"T{number}"}, headers=by_key)
        assert read.status_code == 200, read.text
        assert len(read.json()["items"]) == each + 1
