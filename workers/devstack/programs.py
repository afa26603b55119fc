"""The parts that are Python programs of this project: mail, S3, echo, the front of Temporal's UI and the node."""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from workers.devstack import ports
from workers.devstack.processes import Command

PROJECT = Path(__file__).resolve().parents[2]


def program(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Command:
    """Return the command running a module of this project with this interpreter."""
    found = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(PROJECT), *([found] if found else [])])
    return Command(
        arguments=(sys.executable, "-m", module, *arguments),
        environment={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(environment or {})},
        folder=PROJECT,
    )


async def healthy(url: str) -> bool:
    """Tell whether a GET of this loopback address answers 200."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # our own http address
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return await asyncio.to_thread(ask)


class Mail:
    """The mail sink part."""

    name = "mail"
    ready_seconds = 30.0

    def __init__(self, data_dir: Path, port: int) -> None:
        self.folder = data_dir / "mail"
        self.port = port

    @property
    def ports(self) -> dict[str, int]:
        return {"mail": self.port}

    async def prepare(self) -> Command:
        return program("workers.devstack.mail", "--folder", str(self.folder), "--port", str(self.port))

    async def ready(self) -> bool:
        return ports.answers(self.port)

    async def settle(self) -> None:
        return None


class TemporalUi:
    """Temporal's UI as people open it; the server behind it belongs to Temporal's part."""

    name = "temporal_ui"
    ready_seconds = 30.0

    def __init__(self, port: int, behind: int) -> None:
        self.port = port
        self._behind = behind

    @property
    def ports(self) -> dict[str, int]:
        return {"temporal_ui": self.port}

    async def prepare(self) -> Command:
        where = ("--port", str(self.port), "--behind", str(self._behind))
        return program("workers.devstack.temporal_ui", *where)

    async def ready(self) -> bool:
        return ports.answers(self.port)

    async def settle(self) -> None:
        return None


class S3:
    """The object storage part; `secrets` hold the key its requests must be signed with."""

    name = "s3"
    ready_seconds = 30.0
    bucket = "perdure"

    def __init__(self, data_dir: Path, port: int, secrets: Mapping[str, str]) -> None:
        self.folder = data_dir / "s3"
        self.port = port
        self._secrets = secrets

    @property
    def ports(self) -> dict[str, int]:
        return {"s3": self.port}

    async def prepare(self) -> Command:
        environment = {
            name: self._secrets[name] for name in ("PERDURE_S3_ACCESS_KEY", "PERDURE_S3_SECRET_KEY")
        }
        where = ("--folder", str(self.folder), "--bucket", self.bucket, "--port", str(self.port))
        return program("workers.devstack.s3", *where, environment=environment)

    async def ready(self) -> bool:
        return ports.answers(self.port)

    async def settle(self) -> None:
        return None


class EchoService:
    """The partner stand-in part."""

    name = "echo"
    ready_seconds = 30.0

    def __init__(self, data_dir: Path, port: int) -> None:
        self.ledger = data_dir / "echo" / "ledger.jsonl"
        self.port = port

    @property
    def ports(self) -> dict[str, int]:
        return {"echo": self.port}

    async def prepare(self) -> Command:
        return program("workers.devstack.echo", "--ledger", str(self.ledger), "--port", str(self.port))

    async def ready(self) -> bool:
        return await healthy(f"http://{ports.LOOPBACK}:{self.port}/healthz")

    async def settle(self) -> None:
        return None


class Node:
    """The product itself: API, worker and relay in one process."""

    name = "node"
    ready_seconds = 60.0

    def __init__(self, port: int, environment: Callable[[], Mapping[str, str]]) -> None:
        self.port = port
        self._environment = environment

    @property
    def ports(self) -> dict[str, int]:
        return {"api": self.port}

    async def prepare(self) -> Command:
        # 20 s: a segment may run for some seconds and must be allowed to finish
        command = program("workers.node", "--roles", "api,worker,relay", environment=self._environment())
        return replace(command, stop_signals=((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)))

    async def ready(self) -> bool:
        return await healthy(f"http://{ports.LOOPBACK}:{self.port}/healthz")

    async def settle(self) -> None:
        return None
