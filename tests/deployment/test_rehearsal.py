"""`perdure migrate --rehearse URL`: what an upgrade will do, tried on a copy."""

import json
import os
import subprocess
import sys

from tests.conftest import aside
from tests.deployment.compose import PROJECT
from workers import revisions
from workers.migrate import downgrade


def rehearse(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perdure", "migrate", "--rehearse", url, "--json"],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_copy_goes_there_and_back_and_there_again(owner_url: str) -> None:
    downgrade(owner_url, "-2")
    before = aside(revisions.present(owner_url))
    answer = rehearse(owner_url)
    assert answer.returncode == 0, answer.stderr
    passages = json.loads(answer.stdout)["passages"]
    revision = [passage["revision"] for passage in passages]
    assert before not in revision
    assert [passage["direction"] for passage in passages] == [
        *("upgrade", "upgrade"),
        *("downgrade", "downgrade"),
        *("upgrade again", "upgrade again"),
    ]
    assert revision[:2] == revision[3:1:-1] == revision[4:]
    assert aside(revisions.present(owner_url)) == revisions.newest() == revision[-1]


def test_nothing_is_missing_in_a_copy_of_the_newest(owner_url: str) -> None:
    assert json.loads(rehearse(owner_url).stdout) == {"passages": []}


def test_the_database_of_the_settings_is_no_copy(owner_url: str) -> None:
    downgrade(owner_url, "-1")
    before = aside(revisions.present(owner_url))
    answer = rehearse(owner_url, PERDURE_DATABASE_URL=owner_url.replace("perdure_owner:", "perdure_app:"))
    assert answer.returncode == 1
    assert "PERDURE_DATABASE_URL" in json.loads(answer.stdout)["error"]["message"]
    assert aside(revisions.present(owner_url)) == before


def test_a_copy_that_is_away_is_told_in_a_sentence() -> None:
    answer = rehearse("postgresql://nobody:secret@127.0.0.1:1/copy")
    assert answer.returncode == 1
    assert "cannot be reached" in answer.stdout
    assert "secret" not in answer.stdout + answer.stderr
