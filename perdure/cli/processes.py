"""Single roles of a node, for production: each command becomes that process."""

import os
import sys


def serve() -> None:
    """Run the API (reads PERDURE_ variables, see .env.example)."""
    _become("api")


def worker() -> None:
    """Run a Temporal worker."""
    _become("worker")


def relay() -> None:
    """Run the relay: delivers what was accepted but has not reached Temporal yet."""
    _become("relay")


def _become(role: str) -> None:
    # exec, so that signals and exit status are the node's own
    command = [sys.executable, "-m", "workers.node", "--roles", role]
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted
