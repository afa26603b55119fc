"""What a data directory remembers of its stack: who holds it, which processes, ports and places."""

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from workers.devstack.errors import AlreadyRunning, StackError
from workers.devstack.files import read_json, write_json
from workers.devstack.identity import Identity, identify

DEFAULT_FOLDER = Path(".perdure")


class Lock:
    """The right to run the stack of one data directory; the kernel returns it when we die."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "lock"
        self._file: BinaryIO | None = None

    def take(self) -> None:
        """Take it or raise AlreadyRunning with the holder's number."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = int(file.read().strip() or b"0")
            file.close()
            raise AlreadyRunning(str(self.path.parent), holder) from None
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        self._file = file

    @property
    def held(self) -> bool:
        return self._file is not None

    def release(self) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def holder(self) -> int | None:
        """Return the pid of the process holding the lock, None when nobody does."""
        if not self.path.exists():
            return None
        try:
            with self.path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(self.path.read_text().strip() or "0") or None
        except PermissionError:
            raise StackError(
                f"{self.path} belongs to another user.",
                "Run the command as that user, or use another --data-dir.",
            ) from None
        return None


@dataclass(slots=True)
class PartState:
    """A part as last seen."""

    pid: int
    started: str
    status: str
    restarts: int = 0

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)


@dataclass(slots=True)
class StackState:
    """The content of `stack.json`: no secret is in it, only where secrets lie."""

    data_dir: str
    status: str = "stopped"
    supervisor: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    parts: dict[str, PartState] = field(default_factory=dict)

    def save(self) -> None:
        """Write the file whole."""
        write_json(state_file(Path(self.data_dir)), self.as_json())

    def as_json(self) -> dict[str, Any]:
        parts = {
            name: {"pid": p.pid, "started": p.started, "status": p.status, "restarts": p.restarts}
            for name, p in self.parts.items()
        }
        return {
            "data_dir": self.data_dir,
            "status": self.status,
            "supervisor": self.supervisor,
            "ports": self.ports,
            "urls": self.urls,
            "files": self.files,
            "parts": parts,
        }

    def supervised_by_us(self) -> None:
        me = identify(os.getpid())
        self.supervisor = {"pid": os.getpid(), "started": me.started if me else ""}


def load(data_dir: Path) -> StackState:
    """Return what is remembered, an empty state for a new directory."""
    found = read_json(state_file(data_dir))
    if not found:
        return StackState(str(data_dir))
    parts = {name: PartState(**value) for name, value in found.pop("parts", {}).items()}
    return StackState(**{**found, "data_dir": str(data_dir), "parts": parts})


def state_file(data_dir: Path) -> Path:
    return data_dir / "stack.json"
