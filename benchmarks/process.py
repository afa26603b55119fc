"""A peer as the driver sees it: a program with all the servers it started, told what to do and held still meanwhile."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from workers.devstack import launch
from workers.devstack.programs import PROJECT

LAUNCH = str(Path(launch.__file__).resolve())
READY_SECONDS = 180.0
LONGEST_ANSWER = 64 * 1024 * 1024


class PeerFailed(Exception):
    """A peer did not start, ended by itself, or could not do what it was told."""


class PeerProcess:
    """One peer. While paused none of its processes runs (SIGSTOP), so it cannot disturb the one being measured."""

    def __init__(self, name: str, module: str, log: Path) -> None:
        self.name = name
        self._module = module
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Return when the peer's servers are up; raises PeerFailed."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                # ends with us, even when we are killed
                *(sys.executable, "-I", "-S", LAUNCH),
                *(str(os.getpid()), str(int(signal.SIGKILL)), launch.KEEP_USER, launch.KEEP_USER, "--"),
                *(sys.executable, "-m", self._module),
                cwd=PROJECT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the driver, which ends its peers in order
                limit=LONGEST_ANSWER,
            )
        await self._answer(READY_SECONDS)

    async def ask(self, do: str, *, within: float = 300.0, **details: Any) -> Any:
        """Tell the peer what to do and return its answer; raises PeerFailed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        return (await self._answer(within))["answer"]

    async def _answer(self, within: float) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), within)
        except TimeoutError:
            raise PeerFailed(f"{self.name} did not answer within {within:.0f} s; see {self._log}") from None
        if not line:
            raise PeerFailed(f"{self.name} ended by itself:\n{self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerFailed(f"{self.name} could not: {answer['error']}; see {self._log}")
        return answer

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def processor_seconds(self) -> Counter[str]:
        """Return the processor time used so far by every living process, summed per kind of program."""
        used: Counter[str] = Counter()
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used[self._kind(process)] += times.user + times.system
        return used

    def _kind(self, process: psutil.Process) -> str:
        if process.pid == self._pid:
            return "peer"
        words = " ".join(process.cmdline())
        kinds = ("postgres", "temporal server", "workers.node", "benchmarks.peers.unmirrored_node")
        return next((kind.rpartition(".")[2] for kind in kinds if kind in words), "other")

    def _tree(self) -> list[psutil.Process]:
        if self._process is None or self._process.returncode is not None:
            return []
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self._pid)
            return [root, *root.children(recursive=True)]
        return []

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def stop(self) -> None:
        """End the peer, which ends its servers in order; kill everything of it that stays."""
        if self._process is None or self._process.returncode is not None:
            return
        self.resume()
        tree = self._tree()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 60)
        except TimeoutError:
            for process in tree:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            await self._process.wait()
