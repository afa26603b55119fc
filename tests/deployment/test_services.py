"""Every command of ours in docker-compose.yml, and the scripts of deploy/, run for real: see container.py."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from activities.gateways.s3 import Bucket, S3Blobs
from perdure.cli.mailbox import Mailbox
from tests.conftest import aside, memory_folder
from tests.deployment.compose import PROJECT, fresh_secrets
from tests.deployment.container import Containers
from workers import revisions
from workers.devstack import binaries, ports
from workers.devstack.files import write_atomically
from workers.devstack.part import Part
from workers.devstack.postgres import Postgres
from workers.devstack.processes import Child
from workers.devstack.programs import S3, Mail
from workers.devstack.temporal import SEARCH_ATTRIBUTES, Temporal

# Three processes start at once, each of which loads for seconds on a busy machine.
pytestmark = pytest.mark.timeout(300)

DEFINITION = {
    "document": {"dsl": "1.0.3", "namespace": "tests", "name": "deployed", "version": "1.0.0"},
    "do": [
        {"note": {"set": {"who": "${ .name }"}}},
        {"wait": {"wait": {"milliseconds": 200}}},
        {
            "tell": {
                "call": "email.send",
                "with": {"to": "ann@client.example", "subject": "Hello", "text": "${ .who }"},
            }
        },
    ],
}


class Servers:
    """PostgreSQL without logins yet, Temporal, S3 and mail, embedded, where the file has containers."""

    def __init__(self, folder: Path, secrets: dict[str, str]) -> None:
        self.folder, self.secrets = folder, secrets
        self.postgres = Postgres(folder, durable=False)
        self.temporal = Temporal(folder)
        self.s3 = S3(folder, ports.any_free(), secrets)
        self.mail = Mail(folder, ports.any_free())
        self.children: list[Child] = []

    def start(self) -> None:
        superuser = self.postgres.password_file("postgres")
        superuser.parent.mkdir(parents=True)
        write_atomically(superuser, self.secrets["POSTGRES_PASSWORD"])
        asyncio.run(self._start_all())

    async def _start_all(self) -> None:
        parts: list[Part] = [self.postgres, self.temporal, self.s3, self.mail]
        for part in parts:
            self.children.append(Child(await part.prepare(), self.folder / "logs" / f"{part.name}.log"))
        for part, child in zip(parts, self.children, strict=True):
            while not await part.ready():
                assert child.returncode is None, child.last_words()
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        for child in reversed(self.children):
            asyncio.run(child.stop())

    @property
    def places(self) -> dict[str, int]:
        return {
            "postgres:5432": self.postgres.port,
            "temporal:7233": self.temporal.port,
            "s3:7070": self.s3.port,
            "mail:1025": self.mail.port,
        }


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="perdure-", dir=memory_folder()))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    running = Servers(folder, fresh_secrets())
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def containers(servers: Servers) -> Iterator[Containers]:
    made = Containers(servers.folder / "image", servers.secrets, servers.places)
    yield made
    made.end()


def script(containers: Containers, name: str, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script of deploy/ with the variables of its service."""
    environment = {**containers.environment(name), **more}
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def logins(servers: Servers, containers: Containers) -> None:
    """What the PostgreSQL image runs on an empty cluster, over TCP instead of the image's own socket."""
    (mounted,) = [each for each in containers.services["postgres"]["volumes"] if each.startswith("./")]
    tools = str(servers.postgres.install / "bin")
    answer = script(
        containers,
        "postgres",
        str(PROJECT / mounted.split(":")[0] / "logins.sh"),
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
        PGHOST=ports.LOOPBACK,
        PGPORT=str(servers.postgres.port),
        PGPASSWORD=servers.secrets["POSTGRES_PASSWORD"],
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def migrated(containers: Containers, logins: None) -> None:
    assert containers.run("migrate") == 0, containers.log("migrate").read_text()


@pytest.fixture(scope="module")
def namespace(containers: Containers) -> None:
    """Twice, because `docker compose up` runs the job every time."""
    for _ in range(2):
        answer = namespace_job(containers)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def namespace_job(containers: Containers) -> subprocess.CompletedProcess[str]:
    service = containers.services["temporal-namespace"]
    program, mounted = service["entrypoint"]
    path = f"{binaries.temporal_binary().parent}{os.pathsep}{os.environ['PATH']}"
    return script(
        containers, "temporal-namespace", program, mounted.replace("/deploy/", "deploy/temporal/"), PATH=path
    )


@pytest.fixture(scope="module")
def nodes(containers: Containers, migrated: None, namespace: None) -> Containers:
    for name in ("api", "worker", "relay"):
        containers.start(name)
    for name in ("api", "worker", "relay"):
        containers.until_healthy(name)
    return containers


def test_postgres_has_its_logins_with_no_more_power_than_they_need(servers: Servers, logins: None) -> None:
    async def ask() -> dict[str, tuple[bool, ...]]:
        connection = await asyncpg.connect(servers.postgres.url("postgres", "postgres"))
        rows = await connection.fetch(
            "SELECT rolname, rolsuper, rolcreaterole, rolinherit, rolbypassrls FROM pg_roles"
            " WHERE rolname IN ('perdure_owner', 'perdure_app', 'temporal')"
        )
        await connection.close()
        return {row[0]: tuple(row[1:]) for row in rows}

    assert aside(ask()) == {
        "perdure_owner": (False, True, True, False),
        "perdure_app": (False, False, False, False),
        "temporal": (False, False, True, False),
    }


@pytest.mark.parametrize(
    ("login", "variable", "database", "may"),
    [
        ("temporal", "TEMPORAL_PASSWORD", "temporal", True),
        ("temporal", "TEMPORAL_PASSWORD", "temporal_visibility", True),
        ("temporal", "TEMPORAL_PASSWORD", "perdure", False),
        ("perdure_app", "PERDURE_APP_PASSWORD", "perdure", True),
        ("perdure_app", "PERDURE_APP_PASSWORD", "temporal", False),
        ("perdure_owner", "PERDURE_OWNER_PASSWORD", "temporal", False),
    ],
)
def test_each_login_enters_its_own_database_only(
    servers: Servers, logins: None, login: str, variable: str, database: str, may: bool
) -> None:
    async def enter() -> None:
        url = f"postgresql://{login}:{servers.secrets[variable]}@127.0.0.1:{servers.postgres.port}/{database}"
        connection = await asyncpg.connect(url)
        await connection.close()

    if may:
        aside(enter())
    else:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            aside(enter())


def test_temporal_can_make_what_its_schema_needs(servers: Servers, logins: None) -> None:
    async def make() -> None:
        url = (
            f"postgresql://temporal:{servers.secrets['TEMPORAL_PASSWORD']}@127.0.0.1:{servers.postgres.port}"
        )
        connection = await asyncpg.connect(f"{url}/temporal_visibility")
        await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gin; CREATE TABLE visible (n int)")
        await connection.execute("DROP TABLE visible")
        await connection.close()

    aside(make())


def test_the_healthcheck_of_postgres_asks_over_tcp(servers: Servers, containers: Containers) -> None:
    _, program, *arguments = containers.services["postgres"]["healthcheck"]["test"]
    tools = servers.postgres.install / "bin"
    for port, status in ((servers.postgres.port, 0), (ports.any_free(), 2)):
        answer = subprocess.run(
            [tools / program, *arguments], env={"PGPORT": str(port)}, capture_output=True, check=False
        )
        assert answer.returncode == status


def test_the_migration_job_reaches_the_newest_revision_and_repeats(
    servers: Servers, containers: Containers, migrated: None
) -> None:
    assert containers.run("migrate") == 0
    owner = servers.secrets["PERDURE_OWNER_PASSWORD"]
    url = f"postgresql://perdure_owner:{owner}@127.0.0.1:{servers.postgres.port}/perdure"
    assert aside(revisions.present(url)) == revisions.newest()


def test_a_migration_that_fails_ends_with_a_status_of_failure(
    servers: Servers, containers: Containers
) -> None:
    away = dict(containers.places)
    containers.places["postgres:5432"] = ports.any_free()
    try:
        assert containers.run("migrate") == 1
    finally:
        containers.places.update(away)
    assert "The migration failed" in containers.log("migrate").read_text()


def test_the_namespace_has_its_retention_and_search_attributes(servers: Servers, namespace: None) -> None:
    described = aside(servers.temporal._ask("operator", "namespace", "describe", "-n", "perdure"))
    configuration = described["config"]
    assert configuration["workflowExecutionRetentionTtl"] == f"{30 * 86400}s"
    assert set(SEARCH_ATTRIBUTES) == set(configuration["customSearchAttributeAliases"].values())


def test_a_namespace_of_an_older_installation_is_mended(
    containers: Containers, servers: Servers, namespace: None
) -> None:
    aside(servers.temporal._ask("operator", "namespace", "update", "-n", "perdure", "--retention", "3d"))
    assert namespace_job(containers).returncode == 0
    described = aside(servers.temporal._ask("operator", "namespace", "describe", "-n", "perdure"))
    assert described["config"]["workflowExecutionRetentionTtl"] == f"{30 * 86400}s"


def test_the_code_that_runs_is_the_images_own(containers: Containers) -> None:
    program = "import activities, api, db, domain, perdure, workers, workflows; print(workers.__file__, api.__file__)"
    answer = subprocess.run(
        [containers.commands / "python", "-c", program],
        env=containers.environment("api"),
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.count(str(containers.folder / "app")) == 2


def test_an_execution_runs_through_three_processes_and_all_are_healthy(
    nodes: Containers, servers: Servers
) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{nodes.port('api')}", timeout=30, trust_env=False) as http:
        account = {"email": "ada@example.com", "password": "tidal ferns at dusk", "name": "Ada"}
        post(http, "/v1/auth/register", {**account, "organization_name": "Acme"})
        letter = asyncio.run(Mailbox(servers.folder / "mail").wait(account["email"], "", 30))
        registered = post(http, "/v1/auth/verify-email", {"token": letter.token})
        http.headers["Authorization"] = f"Bearer {registered['access_token']}"
        workflow = post(http, "/v1/workflows", {"name": "deployed", "definition": DEFINITION})
        post(http, f"/v1/workflows/{workflow['id']}/publish", {})
        started = post(http, f"/v1/workflows/{workflow['id']}/executions", {"input": {"name": "Northwind"}})
        execution = ended(http, started["links"]["self"])
    assert execution["status"] == "completed", execution
    mails = [mail.read_text() for mail in (servers.folder / "mail" / "new").iterdir()]
    assert sum("Northwind" in mail for mail in mails) == 1
    for name in ("api", "worker", "relay"):
        answer = nodes.check(name)
        assert answer.returncode == 0, (name, answer.stdout, answer.stderr)


def post(http: httpx2.Client, path: str, body: Any) -> Any:
    answer = http.post(path, json=body)
    assert not answer.is_error, answer.text
    return answer.json()


def ended(http: httpx2.Client, path: str) -> Any:
    ends = time.monotonic() + 30
    while (execution := http.get(path).json())["status"] not in ("completed", "failed"):
        assert time.monotonic() < ends, json.dumps(execution)
        time.sleep(0.1)
    return execution


def test_the_storage_of_the_file_lets_the_api_in(nodes: Containers) -> None:
    given = nodes.environment("api")

    async def keep() -> bytes:
        blobs = S3Blobs(
            Bucket(
                given["PERDURE_S3_BUCKET"],
                endpoint=given["PERDURE_S3_ENDPOINT"],
                access_key=given["PERDURE_S3_ACCESS_KEY"],
                secret_key=given["PERDURE_S3_SECRET_KEY"],
            )
        )
        await blobs.put("o/deployed/1", b"kept")
        content = await blobs.get("o/deployed/1")
        blobs.close()
        return content

    assert aside(keep()) == b"kept"


def test_every_role_ends_with_success_within_its_grace_period(nodes: Containers) -> None:
    """The last test: it stops them, and their health checks must notice."""
    for name in ("api", "worker", "relay"):
        assert nodes.stop(name) == 0, nodes.log(name).read_text()[-2000:]
        assert nodes.check(name).returncode != 0
        assert "Traceback" not in nodes.log(name).read_text()
