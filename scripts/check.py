"""`make check`: format, lint (bandit's rules included), types, imports and migrations, with every finding at once."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

BIN = Path(sys.executable).parent


def run(title: str, command: Sequence[str]) -> bool:
    started = time.monotonic()
    done = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False)
    mark = "ok" if done.returncode == 0 else "FAILED"
    print(f"{title:<12} {mark:<7} {time.monotonic() - started:5.1f} s", flush=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


def lint_migrations() -> bool:
    """squawk reads SQL files, so both directions of all migrations are written out first."""
    directions = {"upgrade": ([], "squawk.toml"), "downgrade": (["--down"], "squawk-back.toml")}
    with tempfile.TemporaryDirectory() as folder:
        fine = []
        for direction, (option, rules) in directions.items():
            file = Path(folder, f"{direction}.sql")
            written = subprocess.run(
                [sys.executable, "-m", "workers.migrate", "sql", *option],
                capture_output=True,
                text=True,
                check=False,
            )
            if written.returncode != 0:
                print(f"migrations   FAILED\n{written.stderr}", flush=True)
                return False
            file.write_text(written.stdout)
            fine.append(run(direction, ["squawk", "-c", f"migrations/{rules}", str(file)]))
        return all(fine)


def main() -> int:
    passed = [
        run("format", ["ruff", "format", "--check", "--quiet", "."]),
        run("lint", ["ruff", "check", "--quiet", "."]),
        run("types", ["mypy"]),
        run("imports", ["lint-imports"]),
        lint_migrations(),
    ]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
