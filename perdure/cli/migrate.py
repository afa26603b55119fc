"""`migrate`: move the database between versions of its schema."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import asyncpg
import typer
from rich.table import Table

from perdure.cli.importing import Wanted, import_from
from perdure.cli.output import AsJson, DataDir, Progress, emit, explained, out
from workers import revisions
from workers.devstack import control
from workers.devstack.databases import OWNER
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.devstack.state import DEFAULT_FOLDER
from workers.revisions import newest
from workers.urls import asyncpg_dsn

if TYPE_CHECKING:
    from workers.rehearsal import Passage


class Direction(StrEnum):
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    IMPORT = "import"


def migrate(
    direction: Annotated[Direction, typer.Argument()] = Direction.UPGRADE,
    revision: Annotated[
        str | None,
        typer.Argument(
            help="A revision; for import, the address of the customer's own database.",
            metavar="[REVISION|SOURCE_URL]",
            show_default="for upgrade, the newest",
        ),
    ] = None,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print both directions as SQL; touch nothing.")
    ] = False,
    rehearsed: Annotated[
        str | None,
        typer.Option(
            "--rehearse", help="Upgrade this restored copy, take it back, upgrade it again.", metavar="URL"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With import: tell everything, keep nothing.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="With import: where every refused row is told of, as JSON.", metavar="FILE"),
    ] = None,
    time_zone: Annotated[
        str, typer.Option(help="With import: where times without an offset were meant.", metavar="ZONE")
    ] = "UTC",
    role: Annotated[
        list[str] | None,
        typer.Option(
            help="With import: what a role of the source is here, such as super_admin=admin.",
            metavar="SOURCE=OURS",
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Upgrade or downgrade PERDURE_DATABASE_DIRECT_URL, or without it the stack's own database; or import into it."""
    with explained(as_json):
        if direction is Direction.IMPORT:
            wanted = Wanted(revision or "", dry_run, report, time_zone, tuple(role or ()))
            import_from(wanted, data_dir.resolve(), as_json=as_json)
            return
        if as_sql:
            _print_sql(revision or "head", as_json)
            return
        if rehearsed is not None:
            _rehearse(rehearsed, as_json)
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


def _rehearse(url: str, as_json: bool) -> None:
    _refuse_our_own(url)
    with Progress("Rehearsing") as progress:
        passages = asyncio.run(_passages(url, progress.say))
    if as_json:
        emit({"passages": [asdict(passage) for passage in passages]})
        return
    table = Table("direction", "revision", "seconds")
    for passage in passages:
        table.add_row(passage.direction, passage.revision, f"{passage.seconds:.2f}")
    out.print(table if passages else "The copy is at the newest revision already: nothing to rehearse.")


def _refuse_our_own(url: str) -> None:
    """A rehearsal takes tables away: never on the database that the settings name."""
    for name in ("PERDURE_DATABASE_DIRECT_URL", "PERDURE_DATABASE_URL"):
        ours = os.environ.get(name)
        if ours and _place(ours) == _place(url):
            raise StackError(
                f"This is the database of {name}.", "Restore its backup elsewhere and rehearse on that copy."
            )


def _place(url: str) -> tuple[str | None, int, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or 5432, parts.path


async def _passages(url: str, say: Callable[[str], None]) -> "list[Passage]":
    from workers.rehearsal import rehearse  # noqa: PLC0415  # Alembic is slow to load

    try:
        present = await revisions.present(asyncpg_dsn(url))
    except (OSError, ValueError, asyncpg.PostgresError) as problem:
        raise StackError(f"The copy cannot be reached: {problem}", "Check the URL.") from None
    found: list[Passage] = []
    await _explain(lambda url, _: found.extend(rehearse(url, present, say)), url, "")
    return found


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
