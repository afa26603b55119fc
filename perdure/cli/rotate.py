"""`rotate-keys`: new master keys and new data keys while the product runs."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from domain.keys import MasterKeyMissing, WrongMasterKey
from perdure.cli.output import AsJson, DataDir, Progress, emit, explained, out
from workers.devstack import control, secrets
from workers.devstack.databases import RUNTIME
from workers.devstack.errors import StackError
from workers.devstack.postgres import Postgres
from workers.devstack.stack import Stack
from workers.devstack.state import DEFAULT_FOLDER
from workers.secret_values import parse_master_keys
from workers.urls import sqlalchemy_url

if TYPE_CHECKING:
    from db.keys import DataKeys
    from db.session import Database


def rotate_keys(
    master: Annotated[
        bool, typer.Option("--master", help="Wrap every data key by the first of PERDURE_MASTER_KEYS.")
    ] = False,
    data: Annotated[
        bool,
        typer.Option(
            "--data",
            help="New data keys; what the database holds is sealed again. Large webhook bodies in S3 keep their "
            "key (they are kept for 30 days at most), and so do histories in Temporal.",
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --data: no new keys, only seal what older keys sealed.")
    ] = False,
    organization: Annotated[
        UUID | None, typer.Option(help="With --data: only this organization.", metavar="ID")
    ] = None,
    give_up: Annotated[
        str | None,
        typer.Option(
            help="Delete the data keys that a lost master key wrapped. What they sealed stays unreadable.",
            metavar="MASTER_KEY",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --give-up: do not ask.")] = False,
    data_dir: DataDir = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Rotate keys under load: PERDURE_DATABASE_URL and PERDURE_MASTER_KEYS, or the stack's own.

    To replace a master key: name the new one second on every node, then first, run `--master`, then drop the old.
    """
    with explained(as_json):
        if not (master or data or give_up):
            raise StackError("Nothing to rotate.", "Say --master, --data or both.")
        if (organization or resume) and not data:
            raise StackError(
                "--organization and --resume belong to --data.", "Add --data, or leave them out."
            )
        if give_up and not yes:
            typer.confirm(f"Delete every data key wrapped by {give_up!r} for ever?", abort=True, err=True)
        with Progress("Rotating", lines=not as_json) as progress:
            done = asyncio.run(
                _rotate(
                    data_dir.resolve(),
                    progress,
                    master=master,
                    data=data,
                    renew=not resume,
                    organization=organization,
                    give_up=give_up,
                )
            )
    if as_json:
        emit(done)
    else:
        _tell(done)
    if done.get("data", {}).get("unreadable"):
        raise typer.Exit(1)


async def _rotate(
    data_dir: Path,
    progress: Progress,
    *,
    master: bool,
    data: bool,
    renew: bool,
    organization: UUID | None,
    give_up: str | None,
) -> dict[str, Any]:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415  # SQLAlchemy is slow to load

    from db.keys import FRESH_SECONDS  # noqa: PLC0415
    from db.rotation import Rotation  # noqa: PLC0415

    done: dict[str, Any] = {}
    try:
        async with _keys(data_dir) as (database, keys):
            rotation = Rotation(database, keys, say=progress.say)
            if give_up is not None:
                if give_up not in await keys.missing_masters():
                    raise StackError(
                        f"No data key needs the master key {give_up!r}, or PERDURE_MASTER_KEYS has it.",
                        "Only a master key that is lost can be given up; `perdure doctor` names it.",
                    )
                done["data_keys_given_up"] = await rotation.give_up(give_up)
            if master:
                done["data_keys_wrapped_again"] = await rotation.master()
            if data:
                done["data"] = (await rotation.data(organization, renew=renew)).as_json()
                if renew:
                    done["data"]["resume_after_seconds"] = int(FRESH_SECONDS)
    except WrongMasterKey as problem:
        raise StackError("A master key is not the one that bore its name.", str(problem)) from None
    except MasterKeyMissing as problem:
        raise StackError("A master key is missing.", str(problem)) from None
    except (SQLAlchemyError, OSError) as problem:
        raise StackError(
            f"The database cannot be asked: {problem}", "Nothing is half done: run the command again."
        ) from None
    return done


@asynccontextmanager
async def _keys(data_dir: Path) -> AsyncIterator["tuple[Database, DataKeys]"]:
    """The keys of PERDURE_DATABASE_URL, or of the stack in the data directory, started for this if need be."""
    given = os.environ.get("PERDURE_DATABASE_URL")
    if given:
        async with _opened(given, os.environ.get("PERDURE_MASTER_KEYS", "")) as found:
            yield found
        return
    report = control.inspect(data_dir)
    if report.running:
        server = Postgres(data_dir, report.details["ports"]["postgres"])
        known = secrets.load_or_create(data_dir / "secrets.env")["PERDURE_MASTER_KEYS"]
        async with _opened(server.url(RUNTIME), os.environ.get("PERDURE_MASTER_KEYS", known)) as found:
            yield found
        return
    async with Stack(data_dir, parts=("postgres",)) as stack:
        known = stack.secrets["PERDURE_MASTER_KEYS"]
        async with _opened(stack.database_url, os.environ.get("PERDURE_MASTER_KEYS", known)) as found:
            yield found


@asynccontextmanager
async def _opened(url: str, master_keys: str) -> AsyncIterator["tuple[Database, DataKeys]"]:
    from db.keys import DataKeys  # noqa: PLC0415
    from db.session import Database  # noqa: PLC0415

    try:
        masters = parse_master_keys(master_keys)
        database = Database(sqlalchemy_url(url), pool_size=4)
    except ValueError as problem:
        raise StackError(
            f"PERDURE_DATABASE_URL or PERDURE_MASTER_KEYS: {problem}.", "See .env.example for both."
        ) from None
    try:
        yield database, DataKeys(database, masters)
    finally:
        await database.close()


def _tell(done: dict[str, Any]) -> None:
    if "data_keys_given_up" in done:
        out.print(f"Given up: {done['data_keys_given_up']} data keys.")
    if "data_keys_wrapped_again" in done:
        out.print(f"Wrapped by the current master key: {done['data_keys_wrapped_again']} data keys.")
    if "data" not in done:
        return
    data = done["data"]
    values = (
        ", ".join(f"{count} {column}" for column, count in data["values_sealed_again"].items()) or "nothing"
    )
    out.print(f"New data keys: {data['data_keys_made']} in {data['organizations']} organizations.")
    out.print(f"Sealed again: {values}.")
    if seconds := data.get("resume_after_seconds"):
        out.print(
            f"Running nodes notice new keys within {seconds} s. After that, `perdure rotate-keys --data --resume` "
            "seals again what they wrote meanwhile under the old ones.",
            soft_wrap=True,
        )
    for where in data["unreadable"]:
        out.print(f"[bold red]✗[/] unreadable with any key, left as it is: {where}")
