"""Stacks for tests: in a folder PostgreSQL's user can be let into, always stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import memory_folder

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def new_folder() -> Iterator[Callable[[], Path]]:
    """Make folders with short paths, removed afterwards (pytest's own are closed to PostgreSQL's user)."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="perdure-", dir=memory_folder())))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_dir(new_folder: Callable[[], Path]) -> Path:
    return new_folder()


class Supervisor:
    """A stack run by another process, so that the process can be killed."""

    def __init__(self, data_dir: Path, *parts: str) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "keep_running.py"), str(data_dir), *parts],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until_running(self) -> "Supervisor":
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "running\n", line + self.process.stdout.read()
        return self

    def state(self) -> dict:
        return json.loads((self.data_dir / "stack.json").read_text())

    def pids(self) -> list[int]:
        """Every process below the supervisor, PostgreSQL's own children included."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervisor]]:
    """Start `keep_running.py` on a data directory with the named parts; return when it serves."""
    started: list[Supervisor] = []

    def start(data_dir: Path, *parts: str) -> Supervisor:
        started.append(Supervisor(data_dir, *parts))
        return started[-1].until_running()

    yield start
    for supervisor in started:
        if supervisor.process.poll() is None:
            supervisor.stop()
        assert supervisor.process.stdout is not None
        supervisor.process.stdout.close()
