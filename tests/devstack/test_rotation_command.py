"""`perdure rotate-keys` and what `doctor` says of master keys, on a stack that runs."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from db.engine import create_engine
from db.keys import DataKeys
from db.session import Database
from tests.devstack.conftest import PROJECT
from tests.factories import rows
from workers.devstack import health
from workers.devstack.databases import SUPERUSER
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.secret_values import fresh_master_key, parse_master_keys


def perdure(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perdure", *arguments, "--data-dir", str(data_dir)],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


async def test_a_master_key_is_replaced_and_everything_sealed_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert perdure(data_dir, "rotate-keys").returncode == 1
    async with Stack(data_dir, parts=("postgres",)) as stack:
        await _organization_with_a_key(stack)
        server = Postgres(data_dir, stack.state.ports["postgres"])
        known = stack.secrets["PERDURE_MASTER_KEYS"]
        wrong = known.partition(":")[0] + ":" + fresh_master_key().partition(":")[2]
        check = await health._keys(server, data_dir)
        assert (check.verdict, check.found.partition("; ")[2]) == ("ok", "data keys opened: 1")
        with monkeypatch.context() as patched:
            patched.setattr(health.secrets, "load_or_create", lambda _: {"PERDURE_MASTER_KEYS": wrong})
            check = await health._keys(server, data_dir)
        assert check.verdict == "failed"
        assert "Put the right key back" in check.mend
        # A node that lacks the master key does not serve: it says at once which one, and what to do.
        node = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "workers.node"],
            cwd=PROJECT,
            env={**os.environ, **stack.environment(), "PERDURE_MASTER_KEYS": fresh_master_key()},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert node.returncode == 2, node.stderr
        assert stack.secrets["PERDURE_MASTER_KEYS"].partition(":")[0] in node.stderr
        assert "Put it back" in node.stderr
        assert "Traceback" not in node.stderr
    old = stack.secrets["PERDURE_MASTER_KEYS"]
    new = fresh_master_key()
    done = perdure(
        data_dir, "rotate-keys", "--master", "--data", "--json", PERDURE_MASTER_KEYS=f"{new},{old}"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "data_keys_wrapped_again": 1,
        "data": {
            "organizations": 1,
            "data_keys_made": 1,
            "values_sealed_again": {},
            "unreadable": [],
            "resume_after_seconds": 60,
        },
    }
    for arguments, told in (((), True), (("--resume",), False)):
        done = perdure(data_dir, "rotate-keys", "--data", *arguments, PERDURE_MASTER_KEYS=new)
        assert done.returncode == 0, done.stderr
        assert ("`perdure rotate-keys --data --resume`" in done.stdout and "60 s" in done.stdout) is told
    # Whoever drops the wrong one is told which is missing, and what to do.
    without = perdure(data_dir, "rotate-keys", "--master", "--json", PERDURE_MASTER_KEYS=old)
    assert without.returncode == 1
    problem = json.loads(without.stdout)["error"]
    assert new.partition(":")[0] in problem["mend"]
    assert "Put it back" in problem["mend"]
    # A key that only bears the name is no success, neither for rotation nor for doctor's word on every data key.
    wrong = new.partition(":")[0] + ":" + fresh_master_key().partition(":")[2]
    for what in ("--master", "--data"):
        refused = perdure(data_dir, "rotate-keys", what, "--json", PERDURE_MASTER_KEYS=wrong)
        assert refused.returncode == 1, refused.stdout
        problem = json.loads(refused.stdout)["error"]
        assert problem["message"] == "A master key is not the one that bore its name."
        assert "Put the right key back" in problem["mend"]
        assert "Traceback" not in refused.stderr
    good = perdure(data_dir, "rotate-keys", "--master", "--json", PERDURE_MASTER_KEYS=new)
    assert (good.returncode, json.loads(good.stdout)) == (0, {"data_keys_wrapped_again": 0})


async def _organization_with_a_key(stack: Stack) -> None:
    server = Postgres(stack.data_dir, stack.state.ports["postgres"])
    engine = create_engine(server.url(SUPERUSER, "perdure"))
    async with engine.begin() as connection:
        acme = (await rows.organization(connection))["id"]
    await engine.dispose()
    database = Database(stack.database_url, pool_size=1)
    await DataKeys(database, parse_master_keys(stack.secrets["PERDURE_MASTER_KEYS"])).seal(acme, b"x", "x")
    await database.close()
