"""The command line as people and scripts meet it: separate processes, their output and exit status."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[2]
Perdure = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "perdure", *arguments]


@pytest.fixture
def perdure(data_dir: Path) -> Perdure:
    """Run a command on a data directory of this test and return what it answered."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [*command(*arguments), "--data-dir", str(data_dir)]
        return subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def up(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """`perdure up --no-demo --json`, serving."""
    words = command("up", "--no-demo", "--json", "--data-dir", str(data_dir))
    process = subprocess.Popen(
        words, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    yield process
    if process.poll() is None:
        process.terminate()
        process.wait(40)
    process.stdout.close()
    process.stderr.close()


def until_served(process: subprocess.Popen[str]) -> dict:
    """Read the addresses `up --json` prints when it serves."""
    assert process.stdout is not None
    assert process.stderr is not None
    text = ""
    while line := process.stdout.readline():
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(text + process.stderr.read())


def test_status_of_nothing_says_how_to_start_and_fails(perdure: Perdure) -> None:
    answer = perdure("status")
    assert answer.returncode == 1
    assert "`perdure up` starts one" in answer.stdout.replace("\n", " ")
    machine = perdure("status", "--json")
    assert machine.returncode == 1
    assert json.loads(machine.stdout)["running"] is False


def test_down_of_nothing_is_no_failure(perdure: Perdure) -> None:
    assert json.loads(perdure("down", "--json").stdout) == {"stopped": False}
    assert perdure("down").returncode == 0


def test_doctor_finds_the_wheels_and_says_what_to_do_next(perdure: Perdure) -> None:
    answer = perdure("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(answer.stdout)["checks"]}
    assert answer.returncode == 0
    assert checks["postgres binaries"]["found"].startswith("postgres (PostgreSQL) 18")
    assert checks["temporal binary"]["verdict"] == "ok"
    assert checks["database"]["verdict"] == "skipped"
    assert "perdure up" in checks["database"]["mend"]


def test_doctor_fails_when_others_can_read_the_secrets(perdure: Perdure, data_dir: Path) -> None:
    secrets = data_dir / "secrets.env"
    secrets.touch(mode=0o644)
    secrets.chmod(0o644)
    answer = perdure("doctor", "--json")
    assert answer.returncode == 1
    (failed,) = [check for check in json.loads(answer.stdout)["checks"] if check["verdict"] == "failed"]
    assert failed["mend"] == f"chmod 600 {secrets}"


def test_output_that_is_not_for_a_terminal_has_no_colours(perdure: Perdure) -> None:
    answer = perdure("doctor")
    assert "✓ ok" in answer.stdout
    assert "\x1b" not in answer.stdout + answer.stderr


def test_migrate_needs_no_running_stack_and_goes_both_ways(perdure: Perdure) -> None:
    assert perdure("migrate").returncode == 0
    answer = perdure("migrate", "downgrade", "base", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {"direction": "downgrade", "revision": "base"}


def test_a_downgrade_without_a_goal_is_refused(perdure: Perdure) -> None:
    answer = perdure("migrate", "downgrade", "--json")
    assert answer.returncode == 1
    assert "Name a revision" in json.loads(answer.stdout)["error"]["mend"]


def test_an_unknown_revision_is_refused_in_a_sentence(perdure: Perdure) -> None:
    answer = perdure("migrate", "upgrade", "nonsense")
    assert answer.returncode == 1
    assert "nonsense" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_sql_holds_both_directions(perdure: Perdure) -> None:
    answer = perdure("migrate", "--sql")
    assert answer.returncode == 0, answer.stderr
    before, after = answer.stdout.split("-- downgrade from head to base")
    assert "CREATE TABLE" in before
    assert "DROP TABLE" in after


def test_a_wrong_word_is_a_usage_error(perdure: Perdure) -> None:
    assert perdure("upp").returncode == 2


def test_an_unforeseen_failure_has_a_status_of_its_own() -> None:
    program = "import perdure.cli.stack as s; del s.up; from perdure.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program, "up"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 70
    assert "AttributeError" in answer.stderr


def test_up_serves_until_told_to_stop(perdure: Perdure, up: subprocess.Popen[str], data_dir: Path) -> None:
    urls = until_served(up)["urls"]
    assert re.match(r"http://127\.0\.0\.1:\d+/login", urls["login"])
    healthy = perdure("doctor", "--json")
    assert healthy.returncode == 0, healthy.stdout
    refused = perdure("up", "--no-demo")
    assert refused.returncode == 1
    assert f"supervisor pid {up.pid}" in refused.stderr
    parts = [psutil.Process(child.pid) for child in psutil.Process(up.pid).children(recursive=True)]
    assert json.loads(perdure("down", "--json").stdout) == {"stopped": True}
    assert up.wait(5) == 0
    assert psutil.wait_procs(parts, timeout=2)[1] == []
