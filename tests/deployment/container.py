"""Runs the services of docker-compose.yml without Docker.

The image is a folder holding what the Dockerfile copies; `perdure` is the very script it writes; names and ports
of other services are replaced by those of embedded servers. Everything else is taken from the two files.
"""

import compileall
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deployment.compose import PROJECT, instructions, load
from workers.devstack import ports

#: Environment of the test that a container has too.
KEPT = ("PATH", "LANG", "TMPDIR")


def image(folder: Path) -> Path:
    """Lay out /app and the `perdure` command as the Dockerfile does; return the folder of commands."""
    for text in (text for word, text in instructions() if word == "COPY" and "--from" not in text):
        source, target = text.split()
        if target.startswith("/app"):
            found = PROJECT / source
            place = folder / target.lstrip("/")
            if found.is_dir():
                shutil.copytree(found, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, place)
    compileall.compile_dir(folder / "app", quiet=1)
    commands = folder / "bin"
    commands.mkdir()
    run = " ".join(text for word, text in instructions() if word == "RUN")
    (written,) = re.findall(r"printf ('[^>]*') > /opt/perdure/bin/perdure", run)
    perdure = subprocess.run(["sh", "-c", f"printf {written}"], capture_output=True, check=True).stdout
    (commands / "perdure").write_bytes(perdure)
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for command in commands.iterdir():
        command.chmod(0o755)
    return commands


class Containers:
    """The services of the file under one set of secrets; `places` maps `host:port` to where it really is."""

    def __init__(self, folder: Path, secrets: Mapping[str, str], places: Mapping[str, int]) -> None:
        self.folder = folder
        self.services: dict[str, Any] = load(secrets)["services"]
        self.places = dict(places)
        self.commands = image(folder)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.own_ports: dict[tuple[str, str], str] = {}

    def environment(self, name: str) -> dict[str, str]:
        """The service's variables, with servers where they are and ports that are free."""
        kept = {key: os.environ[key] for key in KEPT if key in os.environ}
        set_by_image = {
            "PYTHONPATH": str(self.folder / "app"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        given = {
            key: self._moved(name, key, str(value))
            for key, value in self.services[name]["environment"].items()
        }
        path = f"{self.commands}{os.pathsep}{kept.get('PATH', '')}"
        return {**kept, **set_by_image, **given, "PATH": path}

    def _moved(self, name: str, key: str, value: str) -> str:
        if key in ("PERDURE_PORT", "PERDURE_METRICS_PORT"):
            return self.own_ports.setdefault((name, key), str(ports.any_free()))
        if key in ("PERDURE_HOST", "PERDURE_METRICS_HOST"):
            return ports.LOOPBACK
        for place, port in self.places.items():
            value = re.sub(rf"(?<![\w.]){re.escape(place)}\b", f"{ports.LOOPBACK}:{port}", value)
        return value

    def port(self, name: str, key: str = "PERDURE_PORT") -> int:
        self.environment(name)
        return int(self.own_ports[name, key])

    def start(self, name: str) -> None:
        """`docker compose up` of one service of ours: ENTRYPOINT of the image, command of the file."""
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["perdure", *self.services[name]["command"]],
                executable=self.commands / "perdure",
                env=self.environment(name),
                cwd=self.folder / "app",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, name: str, timeout: float = 120) -> int:
        """A job to its end; its status."""
        self.start(name)
        return self.running.pop(name).wait(timeout)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """One health check as the file defines it."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run(
            command,
            executable=self.commands / command[0],
            env=self.environment(name),
            cwd=self.folder / "app",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def until_healthy(self, name: str, seconds: float = 120) -> None:
        ends = time.monotonic() + seconds
        while (answer := self.check(name)).returncode != 0:
            ended = self.running[name].poll()
            assert ended is None, f"{name} ended with {ended}:\n{self.log(name).read_text()[-3000:]}"
            said = f"{answer.stdout}{answer.stderr}\n{self.log(name).read_text()[-3000:]}"
            assert time.monotonic() < ends, f"{name}: {said}"
            time.sleep(0.5)

    def stop(self, name: str) -> int:
        """`docker stop`: SIGTERM, and the status, which must come within the service's grace period."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(float(self.services[name]["stop_grace_period"].removesuffix("s")))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
