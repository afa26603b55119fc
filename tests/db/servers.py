"""Other PostgreSQL servers of this machine: we ship 18, and promise 15 and later."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.devstack import accounts, ports

#: Where Debian's packages put every version; elsewhere there is just the one of the wheel.
PACKAGED = Path("/usr/lib/postgresql")


def installed() -> list[Path]:
    """The installations beside the wheel's, newest last."""
    return sorted(path.parents[1] for path in PACKAGED.glob("*/bin/postgres"))


@contextmanager
def running(install: Path) -> Iterator[str]:
    """A throw-away cluster of that version; its address as superuser `postgres`, without a password."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o711)
    account, port = accounts.for_postgres(), ports.any_free()
    accounts.own(folder / "server", account)
    data = folder / "server" / "data"

    def call(program: str, *arguments: str) -> None:
        subprocess.run(
            [str(install / "bin" / program), "-D", str(data), *arguments],
            check=True,
            timeout=60,
            cwd="/",
            stdout=subprocess.DEVNULL,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    options = f"-p {port} -c listen_addresses={ports.LOOPBACK} -c unix_socket_directories='' -c fsync=off"
    call("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    try:
        call("pg_ctl", "-w", "-l", str(folder / "server" / "log"), "-o", options, "start")
        yield f"postgresql://postgres@{ports.LOOPBACK}:{port}/postgres"
    finally:
        call("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
