"""Migrate the stack's database in a process of its own: SQLAlchemy would stay in the supervisor's memory."""

from pathlib import Path

from workers import revisions
from workers.devstack.errors import StackError
from workers.devstack.processes import Child
from workers.devstack.programs import program


async def migrate(owner_url: str, log: Path) -> None:
    """Bring the database to the newest revision unless it is there. Raises StackError."""
    expected = revisions.newest()
    if expected is not None and expected == await revisions.present(owner_url):
        return
    environment = {"PERDURE_DATABASE_DIRECT_URL": owner_url}
    child = Child(program("workers.migrate", "upgrade", environment=environment), log)
    try:
        status = await child.exited()
    finally:
        await child.stop()
    if status != 0:
        raise StackError(f"The database could not be migrated:\n{child.last_words()}", f"See {log}.")
