"""`migrate`: move the database between versions of its schema."""

import asyncio
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.output import AsJson, DataDir, Progress, emit, explained, out
from workers.devstack import control
from workers.devstack.databases import OWNER
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.stack import DEFAULT_FOLDER, Stack
from workers.revisions import newest


class Direction(StrEnum):
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"


def migrate(
    direction: Annotated[Direction, typer.Argument()] = Direction.UPGRADE,
    revision: Annotated[str | None, typer.Argument(help="Default for upgrade: the newest.")] = None,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print both directions as SQL; touch nothing.")
    ] = False,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Upgrade or downgrade PERDURE_DATABASE_DIRECT_URL, or without it the stack's own database."""
    with explained(as_json):
        if as_sql:
            _print_sql(revision or "head", as_json)
            return
        if direction is Direction.DOWNGRADE and revision is None:
            raise StackError(
                "A downgrade needs to know how far.", "Name a revision, `-1`, or `base` (empty)."
            )
        target = revision or "head"
        with Progress("Migrating") as progress:
            progress.say(f"{direction} to {target}")
            asyncio.run(_migrate(direction, target, data_dir))
    if as_json:
        emit({"direction": direction, "revision": target})
    else:
        out.print(f"Done: {direction} to {target}.", markup=False)


async def _migrate(direction: Direction, revision: str, data_dir: Path) -> None:
    from workers.migrate import downgrade, upgrade  # noqa: PLC0415  # Alembic is slow to load

    work = upgrade if direction is Direction.UPGRADE else downgrade
    given = os.environ.get("PERDURE_DATABASE_DIRECT_URL") or os.environ.get("PERDURE_DATABASE_URL")
    if given:
        await _explain(work, given, revision)
        return
    report = control.inspect(data_dir)
    if report.running:
        server = Postgres(data_dir, report.details["ports"]["postgres"])
        await _explain(work, server.url(OWNER), revision)
        return
    async with Stack(data_dir, parts=("postgres",), migrate=False) as stack:
        await _explain(work, stack.owner_url, revision)


async def _explain(work: Callable[[str, str], None], url: str, revision: str) -> None:
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        await asyncio.to_thread(work, url, revision)
    except CommandError as problem:
        raise StackError(
            f"Alembic refused: {problem}.", "`perdure migrate --sql` shows every revision."
        ) from None
    except (SQLAlchemyError, OSError, ValueError) as problem:
        raise StackError(
            f"The migration failed: {problem}", "Nothing of the failed revision was kept."
        ) from None


def _print_sql(revision: str, as_json: bool) -> None:
    from workers.migrate import sql  # noqa: PLC0415

    up = sql(revision)
    down = sql(revision if revision != "head" else newest() or "head", down=True)
    if as_json:
        emit({"upgrade": up, "downgrade": down})
    else:
        print(f"-- upgrade to {revision}\n{up}\n-- downgrade from {revision} to base\n{down}")
