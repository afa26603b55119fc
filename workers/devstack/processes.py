"""One running part: started, watched, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from workers.devstack import launch
from workers.devstack.accounts import Account
from workers.devstack.identity import Identity, identify

POLL_SECONDS = 0.05
LOG_LIMIT = 10 * 1024 * 1024
# Loader settings of our own process must not reach servers that bring their own libraries.
NOT_INHERITED = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONSTARTUP")


@dataclass(frozen=True, slots=True)
class Command:
    """How to start and end one process."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    folder: Path | None = None
    stop_signals: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
    death_signal: int = signal.SIGKILL


class Child:
    """A process we started. Usable from any event loop: nothing here is bound to one."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        # The parent of the death signal is the *thread* that forks: always start parts from a thread
        # that lives as long as they should.
        account = command.account
        wrapped = [
            *(sys.executable, "-I", "-S", str(Path(launch.__file__).resolve())),
            str(os.getpid()),
            str(int(command.death_signal)),
            *((str(account.uid), str(account.gid)) if account else (launch.KEEP_USER, launch.KEEP_USER)),
            "--",
            *command.arguments,
        ]
        environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        with open_log(log) as output:
            self._process = subprocess.Popen(  # noqa: S603  # programs of installed wheels and our own
                wrapped,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=command.folder or "/",
                env={**environment, **command.environment},
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops parts in order
                umask=0o077,
            )
        self.identity = identify(self._process.pid) or Identity(self._process.pid, "ended")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    async def exited(self) -> int:
        """Wait for the end; return the exit status, negative for a signal."""
        while (status := self.returncode) is None:  # noqa: ASYNC110  # polled: no loop owns the process
            await asyncio.sleep(POLL_SECONDS * 2)
        return status

    async def stop(self) -> None:
        """End the process: each stop signal in turn until one has worked."""
        for number, seconds in self.command.stop_signals:
            if self.returncode is not None:
                return
            self._process.send_signal(number)
            try:
                await asyncio.wait_for(self.exited(), seconds)
            except TimeoutError:
                continue
        if self.returncode is None:
            self._process.kill()
            await self.exited()

    def last_words(self, lines: int = 8) -> str:
        """Return the end of the log, for error messages."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.rstrip().splitlines()[-lines:])


def open_log(path: Path) -> BinaryIO:
    """Open a part's log for appending; a log that has grown large is put aside first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
