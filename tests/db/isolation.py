"""What no role may do in any context, asked of every table that the metadata knows.

`findings` returns one sentence per leak and per lost row, none when the database isolates its tenants. The
tests assert that it is empty; `scripts/mutate_rls.py` breaks one policy at a time and asserts that it is not.
"""

from collections.abc import Iterable
from uuid import uuid4

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.erasure import Belonging, Removal, belongings
from db.session import Access, Role, enter
from db.tables import SYSTEM_TABLES, metadata
from domain.erasure import Subject
from domain.errors import Forbidden
from tests.db import doors
from tests.db.probe import DENIED, Probe
from tests.db.world import World

PARTITIONS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'activity_logs'::regclass"
)


async def findings(app: AsyncEngine, world: World, tables: Iterable[str] | None = None) -> list[str]:
    """Every leak found, as sentences. `app` connects as the application's login."""
    chosen = [metadata.tables[name] for name in tables] if tables else metadata.sorted_tables
    found: list[str] = []
    async with app.connect() as connection:
        for role in (Role.API, Role.WORKER):
            for context in world.contexts():
                for table in chosen:
                    probe = Probe(connection, world, role, context, table)
                    found += [f"{role} in context {context.name}: {leak}" for leak in await probe.run()]
        for table in chosen:
            found += await system(connection, world, table)
            found += await unreached(connection, world, table)
        found += await forgetful(connection)
        found += await unnoticed(connection, world)
        found += await decided(connection, world)
        if doors.TABLES & {table.name for table in chosen}:
            found += await doors.findings(connection, world)
        found += await strangers(connection, world)
    return found


async def system(connection: AsyncConnection, world: World, table: Table) -> list[str]:
    """app_system sees every row of the tables it needs and not one of any other."""
    try:
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.SYSTEM))
            seen = await connection.scalar(select(func.count()).select_from(table))
            await transaction.rollback()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in DENIED:
            raise
        return [f"app_system cannot read {table.name}"] if table.name in SYSTEM_TABLES else []
    if table.name not in SYSTEM_TABLES:
        return [f"app_system reads {table.name}, which is not on its list"]
    missing = len(world.everything[table.name]) - (seen or 0)
    return [f"app_system does not see {missing} rows of {table.name}"] if missing else []


async def unreached(connection: AsyncConnection, world: World, table: Table) -> list[str]:
    """An erasure reaches every row of its subject, by whichever column it belongs to them."""
    whose = {Subject.ORGANIZATION: world.b["id"], Subject.USER: world.b["created_by"]}
    own = {"organizations": Subject.ORGANIZATION, "users": Subject.USER}
    belonging = [
        (subject, each.column)
        for subject in Subject
        for each in belongings(subject)
        if each.table == table.name
    ]
    belonging += [(own[table.name], "id")] if table.name in own else []
    found = []
    for subject, column in belonging:
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.SYSTEM))
            reached = await Removal(connection).remaining(whose[subject], Belonging(table.name, column))
            await transaction.rollback()
        there = sum(row[column] == whose[subject] for row in world.everything[table.name])
        if reached != there:
            found.append(f"an erasure reaches {reached} of {there} rows of {table.name} by {column}")
    return found


async def forgetful(connection: AsyncConnection) -> list[str]:
    """The sweep removes sessions that have expired, never one that could still be used or reused."""
    async with connection.begin() as transaction:
        await enter(connection, Access(Role.SYSTEM))
        gone = (await connection.execute(text("DELETE FROM sessions"))).rowcount
        await transaction.rollback()
    return [f"app_system deletes {gone} sessions that have not expired"] if gone else []


async def unnoticed(connection: AsyncConnection, world: World) -> list[str]:
    """A change is written into the organization's log, by a function that may append there and nothing else."""
    log, renamed = metadata.tables["activity_logs"], metadata.tables["clients"]
    seen = select(func.count()).select_from(log)
    try:
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.API, world.a["id"], world.a["created_by"]))
            before = await connection.scalar(seen) or 0
            changed = (await connection.execute(update(renamed).values(name="other"))).rowcount
            after = await connection.scalar(seen) or 0
            await transaction.rollback()
    except Forbidden:
        return ["a founder cannot enter"]
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in DENIED:
            raise
        return [f"a change cannot be written down: {error.orig}"]
    return (
        [] if after - before == changed > 0 else [f"{changed} changes left {after - before} lines in the log"]
    )


async def decided(connection: AsyncConnection, world: World) -> list[str]:
    """Nobody writes a task that was decided before anybody saw it; one that waits may be written."""
    tasks, found = metadata.tables["tasks"], []
    for outcome in (None, "approved"):
        new = {
            "id": uuid4(),
            "organization_id": world.a["id"],
            "occurrence": "x",
            "kind": "approval",
            "title": "T",
        }
        end = {} if outcome is None else {"status": "decided", "outcome": outcome, "decision": {}}
        async with connection.begin() as transaction:
            await enter(connection, Access(Role.WORKER, world.a["id"]))
            try:
                await connection.execute(insert(tasks).values(**new, **end))
                is_written = True
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in DENIED:
                    raise
                is_written = False
            await transaction.rollback()
        if is_written == bool(end):
            found.append(
                f"a worker {'writes' if is_written else 'cannot write'} a task with outcome {outcome}"
            )
    return found


async def owner(admin: AsyncEngine, tables: Iterable[str] | None = None) -> list[str]:
    """FORCE hides the rows from the role that owns the tables and partitions, too."""
    found = []
    async with admin.connect() as connection:
        names = list(tables or metadata.tables)
        if "activity_logs" in names:
            names += await connection.scalars(PARTITIONS)
        await connection.execute(text("SET LOCAL ROLE app_owner"))
        for name in names:
            seen = await connection.scalar(text(f"SELECT count(*) FROM {name}"))
            if seen:
                found.append(f"app_owner sees {seen} rows of {name}")
        await connection.rollback()
    return found


async def strangers(connection: AsyncConnection, world: World) -> list[str]:
    """A user enters only organizations with an active membership."""
    found = []
    for user_id in (world.a["created_by"], uuid4()):
        try:
            async with connection.begin():
                await enter(connection, Access(Role.API, world.b["id"], user_id))
            found.append("app.enter lets in a user without a membership")
        except Forbidden:
            pass
    return found
