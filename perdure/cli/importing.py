"""`migrate import`: bring the customer's own database over, and tell of every row that could not come."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
from rich.table import Table

from domain.keys import MasterKeyMissing
from domain.permissions import RoleName
from perdure.cli.output import Progress, emit, line, out
from workers.devstack import control, secrets
from workers.devstack.databases import OWNER
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.secret_values import MasterKey, parse_master_keys
from workers.urls import sqlalchemy_url

if TYPE_CHECKING:
    from workers.importing.report import Report

#: Of what is told on the screen; the file has all of it.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    source_url: str
    is_rehearsal: bool
    report: Path | None
    time_zone: str
    roles: tuple[str, ...]


def import_from(wanted: Wanted, data_dir: Path, *, as_json: bool) -> None:
    """Raises StackError with a mend for everything that can be foreseen."""
    zone, roles = _zone(wanted.time_zone), _roles(wanted.roles)
    if not wanted.source_url:
        raise StackError(
            "An import needs to know from where.", "perdure migrate import postgresql://…/their-database"
        )
    with Progress("Importing", lines=not as_json) as progress:
        report = asyncio.run(_import(wanted, data_dir, zone, roles, progress))
    if wanted.report is not None:
        report.write(wanted.report)
    if as_json:
        emit({"dry_run": wanted.is_rehearsal, **report.as_json()})
    else:
        _tell(report, wanted)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise StackError(
            f"{name} is no time zone.", "Use one of the IANA names, such as Europe/Berlin."
        ) from None


def _roles(given: tuple[str, ...]) -> Mapping[str, RoleName]:
    found: dict[str, RoleName] = {}
    for each in given:
        name, sign, ours = each.partition("=")
        if not sign or ours not in set(RoleName):
            raise StackError(
                f"--role {each} is not SOURCE=OURS.",
                f"Ours are {', '.join(RoleName)}: --role super_admin=admin",
            )
        found[name] = RoleName(ours)
    return found


async def _import(
    wanted: Wanted, data_dir: Path, zone: ZoneInfo, roles: Mapping[str, RoleName], progress: Progress
) -> "Report":
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # SQLAlchemy is slow to load

    from db.engine import create_engine  # noqa: PLC0415
    from workers.importing import source, target  # noqa: PLC0415
    from workers.importing.importer import Import, ImportIncomplete  # noqa: PLC0415

    async with _ours(data_dir) as (url, masters):
        engine = create_engine(sqlalchemy_url(url), pool_size=1)
        try:
            async with (
                source.opened(wanted.source_url) as found,
                target.entered(engine, is_rehearsal=wanted.is_rehearsal) as into,
            ):
                return await Import(found, into, masters, zone, roles, progress.say).run()
        except target.Busy:
            raise StackError("Another import into this database is running.", "Wait for its end.") from None
        except MasterKeyMissing as problem:
            raise StackError("A master key is missing.", str(problem)) from None
        except ImportIncomplete as problem:
            raise StackError(
                f"Rows were neither imported nor told of: {problem}",
                "What is here is right; please report this as a defect.",
            ) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as problem:
            raise StackError(
                f"The customer's database cannot be reached or read: {problem}",
                "Check the address, and that the login may read every table. Run the command again: it goes on.",
            ) from None
        except SQLAlchemyError as problem:
            raise StackError(
                f"Our own database refused: {problem}",
                "Every organization that was finished is here. Run the command again: it goes on.",
            ) from None
        finally:
            await engine.dispose()


@asynccontextmanager
async def _ours(data_dir: Path) -> AsyncIterator[tuple[str, list[MasterKey]]]:
    """The database as the login that migrates, and the master keys: of the settings, or of the stack."""
    given = os.environ.get("PERDURE_DATABASE_DIRECT_URL")
    if given:
        yield given, _masters(os.environ.get("PERDURE_MASTER_KEYS", ""))
        return
    report = control.inspect(data_dir)
    if report.running:
        server = Postgres(data_dir, report.details["ports"]["postgres"])
        known = secrets.load_or_create(data_dir / "secrets.env")["PERDURE_MASTER_KEYS"]
        yield server.url(OWNER), _masters(known)
        return
    async with Stack(data_dir, parts=("postgres",)) as stack:
        yield stack.owner_url, _masters(stack.secrets["PERDURE_MASTER_KEYS"])


def _masters(text: str) -> list[MasterKey]:
    try:
        return list(parse_master_keys(text))
    except ValueError as problem:
        raise StackError(
            f"PERDURE_MASTER_KEYS: {problem}.", "Secrets are sealed on their way in: see .env.example."
        ) from None


def _tell(report: "Report", wanted: Wanted) -> None:
    from workers.importing.report import Fate  # noqa: PLC0415

    table = Table("table", "in the source", "imported", "here already", "refused")
    for name, count in sorted(report.counts.items()):
        table.add_row(name, *map(str, (count.source, count.imported, count.known, count.refused)))
    out.print(table)
    entries = list(report.told())
    for entry in entries[:SHOWN]:
        where = ".".join(filter(None, (entry.table, entry.column)))
        of = f" {entry.id}" if entry.id else ""
        line(out, f"{entry.fate}: {where}{of}: {entry.reason}. {entry.mend}")
    if len(entries) > SHOWN:
        line(out, f"… and {len(entries) - SHOWN} more: --report FILE writes all of them.")
    fates = report.fates()
    told = f"{sum(count.refused for count in report.counts.values())} refused, {fates[Fate.CHANGED]} values changed."
    line(out, f"{'Nothing was kept: a dry run. ' if wanted.is_rehearsal else 'Done: '}{told}")
    if wanted.report is not None:
        line(out, f"The report: {wanted.report}")
