"""What `perdure doctor` examines: the machine, the data directory, and the stack when it runs."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import asyncpg
import psutil

from activities.gateways.s3 import Bucket, S3Blobs
from domain.blobs import BlobsUnavailable
from domain.keys import MasterKeyMissing
from workers import revisions
from workers.devstack import accounts, binaries, control, ports, secrets
from workers.devstack.databases import OWNER, RUNTIME
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.programs import S3, healthy
from workers.devstack.temporal import Temporal, server_version
from workers.secret_values import parse_master_keys
from workers.urls import sqlalchemy_url

Verdict = Literal["ok", "skipped", "warning", "failed"]
MEGABYTE = 1024 * 1024
DISK_NEEDED = 500 * MEGABYTE
DISK_WISHED = 2048 * MEGABYTE
MEMORY_WISHED = 700 * MEGABYTE
START = "Start the stack: `perdure up`."


@dataclass(frozen=True, slots=True)
class Check:
    """One question, its answer and the next thing to do."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


async def examine(data_dir: Path, say: Callable[[str], None] = lambda _: None) -> list[Check]:
    """Return every check of an absolute data directory; nothing is changed by asking."""
    say("the machine")
    checks = [*_machine(data_dir), *_data_directory(data_dir)]
    report = control.inspect(data_dir)
    checks += list(_ports(report))
    say("the stack")
    return [*checks, *await _stack(data_dir, report)]


def _machine(data_dir: Path) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", version)  # an older one cannot even read this file
    for name, find in (
        ("postgres binaries", binaries.postgres_binary),
        ("temporal binary", binaries.temporal_binary),
    ):
        try:
            yield Check(name, "ok", binaries.version_of(find()))
        except StackError as problem:
            yield Check(name, "failed", problem.problem, problem.mend)
        except (OSError, ValueError) as problem:
            yield Check(
                name, "failed", f"does not run here: {problem}", "Use Linux or macOS on x86-64 or arm64."
            )
    yield _disk(data_dir)
    free = psutil.virtual_memory().available
    enough = free >= MEMORY_WISHED
    mend = "" if enough else "Close something: the idle stack takes up to 700 MB."
    yield Check("memory", "ok" if enough else "warning", f"{free // MEGABYTE} MB available", mend)


def _disk(data_dir: Path) -> Check:
    free = shutil.disk_usage(_existing(data_dir)).free
    found = f"{free // MEGABYTE} MB free"
    if free < DISK_NEEDED:
        return Check("disk", "failed", found, "Make room, or put --data-dir on another disk.")
    if free < DISK_WISHED:
        return Check("disk", "warning", found, "Enough to try, not enough to work for long.")
    return Check("disk", "ok", found)


def _data_directory(data_dir: Path) -> Iterator[Check]:
    if not data_dir.exists():
        parent = _existing(data_dir)
        writable = os.access(parent, os.W_OK | os.X_OK)
        mend = "" if writable else f"Choose a --data-dir you may write to; {parent} is not."
        yield Check("data directory", "ok" if writable else "failed", f"{data_dir} will be made", mend)
        return
    if not os.access(data_dir, os.W_OK | os.X_OK):
        mend = f"Run as its owner (uid {data_dir.stat().st_uid}), or choose another --data-dir."
        yield Check("data directory", "failed", f"{data_dir} is not writable", mend)
        return
    yield Check("data directory", "ok", str(data_dir))
    secret = [data_dir / "secrets.env", *(data_dir / "postgres" / "passwords").glob("*")]
    open_ones = [str(path) for path in secret if path.exists() and path.stat().st_mode & 0o077]
    if open_ones:
        yield Check("secrets", "failed", "others can read them", f"chmod 600 {' '.join(open_ones)}")
    else:
        yield Check("secrets", "ok", "readable by their owner only")
    if accounts.for_postgres() is not None:
        yield Check("root", "ok", "PostgreSQL runs as another user, as it must")


def _ports(report: control.Report) -> Iterator[Check]:
    if report.running:
        return
    for name, number in (ports.DEFAULTS | report.details.get("ports", {})).items():
        free = ports.is_free(number)
        mend = "" if free else "Nothing to do: another port will be chosen. `perdure status` shows it."
        yield Check(
            f"port {name}", "ok" if free else "warning", f"{number} {'free' if free else 'taken'}", mend
        )


async def _stack(data_dir: Path, report: control.Report) -> list[Check]:
    names = ("parts", "database", "migrations", "master keys", "temporal", "s3", "node", "node readiness")
    if not report.running:
        return [Check(name, "skipped", "the stack is not running", START) for name in names]
    ended = [name for name, part in report.details["parts"].items() if part["status"] != "running"]
    mend = f"Wait a moment; if it stays, read {data_dir / 'logs'}." if ended else ""
    checks = [Check("parts", "failed" if ended else "ok", ", ".join(ended) or "all running", mend)]
    known = report.details["ports"]
    if "postgres" in report.details["parts"]:
        server = Postgres(data_dir, known["postgres"])
        checks += [*await _database(server, data_dir), await _keys(server, data_dir)]
    if "temporal" in report.details["parts"]:
        checks.append(
            await _temporal(Temporal(data_dir, known["temporal"], known["temporal_ui_server"]), data_dir)
        )
    if "s3" in report.details["parts"]:
        checks.append(await _storage(data_dir, known["s3"]))
    for name, path in (("node", "healthz"), ("node readiness", "readyz")):
        if "node" in report.details["parts"]:
            url = f"http://{ports.LOOPBACK}:{known['api']}/{path}"
            works = await healthy(url)
            mend = "" if works else f"Read {data_dir / 'logs' / 'node.log'}; it is restarted when it dies."
            checks.append(Check(name, "ok" if works else "failed", url, mend))
    return checks


async def _database(server: Postgres, data_dir: Path) -> list[Check]:
    try:
        connection = await asyncpg.connect(server.url(OWNER), timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError) as problem:
        return [Check("database", "failed", str(problem), f"Read {data_dir / 'logs' / 'postgres.log'}.")]
    try:
        version = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return [
        Check("database", "ok", f"PostgreSQL {version}"),
        _migrations(await revisions.present(server.url(OWNER)), revisions.newest()),
    ]


async def _keys(server: Postgres, data_dir: Path) -> Check:
    """Every data key must be wrapped by a master key that the node is given."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # SQLAlchemy is slow to load

    from db.keys import DataKeys  # noqa: PLC0415
    from db.session import Database  # noqa: PLC0415

    masters = parse_master_keys(secrets.load_or_create(data_dir / "secrets.env")["PERDURE_MASTER_KEYS"])
    database = Database(sqlalchemy_url(server.url(RUNTIME)), pool_size=1)
    try:
        keys = DataKeys(database, masters)
        missing = await keys.missing_masters()
        opened = 0 if missing else await keys.verify()
    except MasterKeyMissing as problem:
        return Check("master keys", "failed", "not the key that bore this name", str(problem))
    except (SQLAlchemyError, OSError) as problem:
        return Check("master keys", "failed", f"cannot be checked: {problem}", "Mend the database first.")
    finally:
        await database.close()
    if not missing:
        found = f"{len(masters)} known, {masters[0].id} is current; data keys opened: {opened}"
        return Check("master keys", "ok", found)
    lost = ", ".join(f"{id!r} ({count} data keys)" for id, count in sorted(missing.items()))
    return Check("master keys", "failed", f"missing: {lost}", str(MasterKeyMissing(sorted(missing))))


def _migrations(present: str | None, expected: str | None) -> Check:
    if present == expected:
        return Check("migrations", "ok", f"at {present}")
    return Check(
        "migrations", "failed", f"at {present}, the code expects {expected}", "Run `perdure migrate`."
    )


async def _temporal(server: Temporal, data_dir: Path) -> Check:
    if await server.ready():
        return Check("temporal", "ok", f"server {server_version(binaries.version_of(server.binary))}")
    return Check(
        "temporal",
        "failed",
        f"{server.address} does not serve",
        f"Read {data_dir / 'logs' / 'temporal.log'}.",
    )


async def _storage(data_dir: Path, port: int) -> Check:
    """Ask as the node does: the server must know our key and hold our bucket."""
    known = secrets.load_or_create(data_dir / "secrets.env")
    endpoint = f"http://{ports.LOOPBACK}:{port}"
    keys = {name: known[f"PERDURE_S3_{name.upper()}"] for name in ("access_key", "secret_key")}
    blobs = S3Blobs(Bucket(S3.bucket, endpoint=endpoint, **keys))
    try:
        await blobs.check()
    except BlobsUnavailable as problem:
        return Check("s3", "failed", problem.message, f"Read {data_dir / 'logs' / 's3.log'}.")
    finally:
        blobs.close()
    return Check("s3", "ok", f"{endpoint}, bucket {S3.bucket}")


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
