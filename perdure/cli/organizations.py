"""`organizations`: what the platform's operators say about an organization, which no member of it can."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from domain.errors import DomainError, NotFound
from domain.tenants import VerificationLevel, domain_name
from perdure.cli.output import AsJson, DataDir, emit, explained, out
from workers.devstack import control
from workers.devstack.databases import RUNTIME
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.state import DEFAULT_FOLDER
from workers.urls import sqlalchemy_url

if TYPE_CHECKING:
    from db.session import Database

app = typer.Typer(help="Organizations, as the platform's operators see them.", no_args_is_help=True)


@app.callback()
def organizations() -> None:
    """Organizations, as the platform's operators see them."""


@app.command()
def verify(
    organization: Annotated[str, typer.Argument(help="Its id or slug.")],
    level: Annotated[
        VerificationLevel, typer.Option(help="How far it is trusted: how many invitations may be open.")
    ],
    domain: Annotated[
        str | None,
        typer.Option(help="The domain it has proven to be its own; without it, it has none.", metavar="NAME"),
    ] = None,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Say how far an organization is trusted, and which domain is its own: PERDURE_DATABASE_URL, or the stack's."""
    with explained(as_json):
        try:
            proven = None if domain is None else domain_name(domain)
        except PydanticCustomError as problem:
            raise StackError(problem.message(), "Say --domain lind.example.") from None
        if (proven is None) != (level is VerificationLevel.BASIC):
            raise StackError(
                "A domain goes with --level verified or enterprise, and these with a domain.",
                "Say --level basic alone, or --domain lind.example --level verified.",
            )
        done = asyncio.run(_verify(data_dir.resolve(), organization, level, proven))
    if as_json:
        emit(done)
    else:
        out.print(f"{done['slug']}: {done['verification_level']}, {done['domain'] or 'no domain'}.")


async def _verify(
    data_dir: Path, organization: str, level: VerificationLevel, domain: str | None
) -> dict[str, Any]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # SQLAlchemy is slow to load

    from db.session import Access, Role  # noqa: PLC0415
    from db.tenants import Verification  # noqa: PLC0415

    try:
        async with _database(data_dir) as database, database.transaction(Access(Role.SYSTEM)) as tx:
            verification = Verification(tx)
            row = await verification.find(organization)
            await verification.put(row["id"], level, domain)
            return {
                name: str(value) if value else None
                for name, value in (await verification.find(row["slug"])).items()
            }
    except NotFound:
        raise StackError(f"There is no organization {organization!r}.", "Give its id or its slug.") from None
    except DomainError as refusal:
        raise StackError(refusal.message, "Ask who has it; a domain is one organization's.") from None
    except (SQLAlchemyError, OSError) as problem:
        raise StackError(
            f"The database cannot be asked: {problem}", "Nothing was changed; try again."
        ) from None


@asynccontextmanager
async def _database(data_dir: Path) -> AsyncIterator["Database"]:
    from db.session import Database  # noqa: PLC0415

    given = os.environ.get("PERDURE_DATABASE_URL")
    if not given:
        report = control.inspect(data_dir)
        if not report.running:
            raise StackError(
                "No database.", "Set PERDURE_DATABASE_URL, or start the stack with `perdure up`."
            )
        given = Postgres(data_dir, report.details["ports"]["postgres"]).url(RUNTIME)
    try:
        database = Database(sqlalchemy_url(given), pool_size=1)
    except ValueError as problem:
        raise StackError(f"PERDURE_DATABASE_URL: {problem}.", "See .env.example.") from None
    try:
        yield database
    finally:
        await database.close()
