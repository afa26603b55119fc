"""Which process is meant, beyond its number: numbers are recycled, starts are not."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Identity:
    """A process of this machine: its number and the moment it started (opaque text)."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Tell whether this very process still runs (a zombie does not)."""
        return started_at(self.pid) == self.started

    def kill(self, number: int) -> bool:
        """Send a signal to this very process; False when it is gone."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def gone(self, seconds: float) -> bool:
        """Wait until the process has ended, for at most `seconds`."""
        deadline = time.monotonic() + seconds
        while self.alive():  # not psutil's wait: for it a zombie nobody collects runs for ever
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process."""
    started = started_at(pid)
    return None if started is None else Identity(pid, started)


def started_at(pid: int) -> str | None:
    """Return the start of process `pid` as opaque text, None when no such process runs."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if not BOOT_ID.exists():
            return f"{process.create_time():.2f}"
        # Ticks since boot do not move when the clock is set; the boot id tells machines' lives apart.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return f"{BOOT_ID.read_text().strip()}:{fields[19]}"
    except (psutil.Error, OSError):
        return None


def end(process: Identity, first: int, seconds: float) -> None:
    """End a process that is not our child: `first` signal, then SIGKILL after `seconds`."""
    if process.kill(first) and not process.gone(seconds):
        process.kill(signal.SIGKILL)
        process.gone(5)
