"""The user PostgreSQL runs as: ourselves, or, since it refuses root, somebody without power."""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OVERFLOW_ID = 65534  # the kernel's own "nobody", present even where the user database is empty
STATE_ROOT = Path("/var/lib/perdure")


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged user other than the one we run as."""

    uid: int
    gid: int


def for_postgres(owner_of: Path | None = None) -> Account | None:
    """Return the account for the server, None when we need not change.

    An existing cluster decides, because its files belong to somebody already.
    """
    if os.geteuid() != 0:
        return None
    if owner_of is not None and owner_of.exists():
        status = owner_of.stat()
        if status.st_uid != 0:
            return Account(status.st_uid, status.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    return Account(OVERFLOW_ID, OVERFLOW_ID)


def can_reach(path: Path, account: Account | None) -> bool:
    """Tell whether the account can enter this folder, asked of the kernel rather than computed from modes."""
    if account is None:
        return True
    probe = subprocess.run(  # noqa: S603  # the path is an argument of the shell, not part of its text
        ["/bin/sh", "-c", 'cd "$0"', str(path)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return probe.returncode == 0


def own(folder: Path, account: Account | None) -> None:
    """Create a folder that only the account may read."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def reachable_copies(sources: Iterable[Path], base: Path, target: Path) -> Path:
    """Copy read-only trees to where everybody can enter, at the same places below `target` as below `base`.

    The copy is made once and appears whole or not at all.
    """
    if not target.exists():
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        scratch.mkdir(mode=0o755, parents=True)
        for source in sources:
            if source.exists():
                shutil.copytree(source, scratch / source.relative_to(base), symlinks=True)
        try:
            scratch.rename(target)
        except OSError:  # somebody else finished first; theirs is the same
            shutil.rmtree(scratch)
    return target


def private_place(home: Path) -> Path:
    """Return a folder of our own for data whose natural place the account cannot enter."""
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    STATE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    return STATE_ROOT / name
