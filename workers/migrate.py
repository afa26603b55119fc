"""Move a database between versions of its schema, with Alembic and without its command line.

`python -m workers.migrate upgrade|downgrade|sql [REVISION]` reads `PERDURE_DATABASE_DIRECT_URL`.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic import command
from alembic.config import Config

from workers.urls import sqlalchemy_url

SCRIPTS = Path(__file__).resolve().parents[1] / "migrations"


def configuration(url: str, output: io.StringIO | None = None) -> Config:
    """Return Alembic's configuration; `migrations/env.py` finds the URL in `config.attributes["url"]`."""
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["url"] = sqlalchemy_url(url)
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to `revision`; a libpq or SQLAlchemy URL. Blocks: use a thread from async code."""
    _alone(lambda: command.upgrade(configuration(url), revision))


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` (`base` is the empty schema)."""
    _alone(lambda: command.downgrade(configuration(url), revision))


def sql(revision: str = "head", *, down: bool = False) -> str:
    """Return the statements from the empty schema to `revision`, or back when `down`, without a database."""
    output = io.StringIO()
    config = configuration("postgresql://offline/offline", output)
    if down:
        _alone(lambda: command.downgrade(config, f"{revision}:base", sql=True))
    else:
        _alone(lambda: command.upgrade(config, revision, sql=True))
    return output.getvalue()


def _alone(work: Callable[[], None]) -> None:
    """Run in a fresh thread: env.py may start an event loop, and the caller may already be inside one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="migrate") as thread:
        thread.submit(work).result()


def main() -> None:
    parser = argparse.ArgumentParser(prog="workers.migrate")
    parser.add_argument("direction", choices=["upgrade", "downgrade", "sql"])
    parser.add_argument("revision", nargs="?", default="head")
    parser.add_argument("--down", action="store_true", help="with sql: the way back")
    options = parser.parse_args()
    if options.direction == "sql":
        sys.stdout.write(sql(options.revision, down=options.down))
        return
    url = os.environ.get("PERDURE_DATABASE_DIRECT_URL")
    if not url:
        raise SystemExit("PERDURE_DATABASE_DIRECT_URL is not set: the address of the database as its owner.")
    (upgrade if options.direction == "upgrade" else downgrade)(url, options.revision)


if __name__ == "__main__":
    main()
