"""Look at, and end, a stack from another process."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.devstack import ports, state
from workers.devstack.errors import StackError
from workers.devstack.identity import end, identify


@dataclass(frozen=True, slots=True)
class Report:
    """What is true now, as opposed to what was last written."""

    running: bool
    supervisor: int | None
    details: dict[str, Any]
    """`stack.json` with the status of each part as found."""

    @property
    def healthy(self) -> bool:
        parts = self.details.get("parts", {}).values()
        return self.running and bool(parts) and all(part["status"] == "running" for part in parts)


def inspect(data_dir: Path) -> Report:
    """Report on the stack of a data directory, running or not."""
    data_dir = data_dir.resolve()
    known = state.load(data_dir)
    holder = state.Lock(data_dir).holder()
    details = known.as_json()
    for name, part in known.parts.items():
        if not part.identity.alive():
            details["parts"][name]["status"] = "ended"
    if holder is None:
        details["status"] = "stopped"
    details["supervisor_pid"] = holder
    return Report(holder is not None, holder, details)


def stop(data_dir: Path, seconds: float = 60) -> bool:
    """End a running stack and wait for it; False when none ran. Raises StackError when it does not end."""
    data_dir = data_dir.resolve()
    holder = state.Lock(data_dir).holder()
    found = identify(holder) if holder else None
    if found is None:
        return end_orphans(data_dir)
    found.kill(signal.SIGTERM)
    if not found.gone(seconds):
        raise StackError(
            f"The supervisor (pid {found.pid}) did not end within {seconds:.0f} s.",
            f"`kill -9 {found.pid}` ends it; the next start recovers.",
        )
    return True


def end_orphans(data_dir: Path) -> bool:
    """End parts that outlived a killed supervisor; tell whether there were any.

    On Linux the kernel ends them with the supervisor; elsewhere this is what does.
    """
    known = state.load(data_dir)
    found = [(name, part.identity) for name, part in known.parts.items() if part.identity.alive()]
    for name, process in reversed(found):
        end(process, signal.SIGINT if name == "postgres" else signal.SIGTERM, 10)
    return bool(found)


def answering(details: dict[str, Any]) -> dict[str, bool]:
    """Tell for each port of a report whether something answers there."""
    return {name: ports.answers(number) for name, number in details.get("ports", {}).items()}
