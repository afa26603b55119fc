"""Break the tenants' isolation in every way one statement can, and demand that the isolation test notices.

`python scripts/mutate_rls.py [table …]` starts a throw-away PostgreSQL, migrates it, and per policy and table drops the
policy, widens it, opens its check, lets the owner in, switches row security off. A mutation that leaves the
test green is a hole in the test: exit 1. Partitions, views and definer functions are broken too: no policy binds them.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.session import Role
from db.tenants import PLATFORM
from tests.db import doors
from tests.db.isolation import findings, owner
from tests.db.world import World, settle
from workers.devstack.databases import OWNER, RUNTIME, SUPERUSER, copy_database
from workers.devstack.postgres import DATABASE, Postgres
from workers.migrate import upgrade

CLONE = "mutants"
POLICIES = text(
    "SELECT tablename, policyname, permissive, cmd, qual, with_check, array_to_string(roles, ', ') AS roles "
    "FROM pg_policies WHERE schemaname = 'public' ORDER BY tablename, policyname"
)
FORCED = text(
    "SELECT relname, relispartition FROM pg_class WHERE relnamespace = 'public'::regnamespace "
    "AND relforcerowsecurity ORDER BY relname"
)
MAY_ENTER = text("SELECT pg_get_functiondef('app.may_enter'::regproc)")
#: Definer functions that answer by the entered organization.
ANSWERING = text(
    "SELECT proname, pg_get_functiondef(oid) AS whole FROM pg_proc "
    "WHERE prosecdef AND pronamespace = 'app'::regnamespace AND prosrc LIKE '%app.org()%' ORDER BY proname"
)
LETS_EVERYBODY_IN = (
    "CREATE OR REPLACE FUNCTION app.may_enter(organization uuid, member uuid) RETURNS boolean "
    "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$ SELECT true $$"
)


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    table: str
    breaks: str
    mends: tuple[str, ...]
    more: tuple[str, ...] = ()


async def mutations(admin: AsyncEngine, world: World) -> list[Mutation]:
    found = []
    async with admin.connect() as connection:
        for policy in (await connection.execute(POLICIES)).mappings():
            table, name = policy["tablename"], policy["policyname"]
            create = f"CREATE POLICY {name} ON {table} AS {policy['permissive']} FOR {policy['cmd']} "
            create += f"TO {policy['roles']} "
            if policy["qual"]:
                create += f"USING ({policy['qual']})"
            if policy["with_check"]:
                create += f" WITH CHECK ({policy['with_check']})"
            drop = f"DROP POLICY {name} ON {table}"
            mend = (drop, create)
            found.append(Mutation(f"drop {name} on {table}", table, drop, (create,)))
            alter = f"ALTER POLICY {name} ON {table}"
            if policy["permissive"] == "RESTRICTIVE" and policy["cmd"] == "INSERT":
                # More roles would only narrow it.
                found.append(
                    Mutation(
                        f"open the check of {name} on {table}", table, f"{alter} WITH CHECK (true)", mend
                    )
                )
                continue
            if policy["qual"] == "true" or policy["cmd"] == "INSERT":
                roles = f"{policy['roles']}, app_api, app_worker"
                # Where nobody but the system was granted anything, the policy alone opens nothing.
                more = () if readable(world, table) else (f"GRANT SELECT ON {table} TO app_api",)
                mends = (
                    *mend,
                    *(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM ") for grant in more),
                )
                found.append(
                    Mutation(f"open {name} on {table} to all", table, f"{alter} TO {roles}", mends, more)
                )
                continue
            check = " WITH CHECK (true)" if policy["with_check"] else ""
            found.append(Mutation(f"widen {name} on {table}", table, f"{alter} USING (true){check}", mend))
            if check and writable(world, table):
                found.append(Mutation(f"open the check of {name} on {table}", table, f"{alter}{check}", mend))
        for table, is_partition in (await connection.execute(FORCED)).all():
            parent = "activity_logs" if is_partition else table
            for word, breaks, mends in (("disable", "DISABLE", "ENABLE"), ("unforce", "NO FORCE", "FORCE")):
                alter = f"ALTER TABLE {table} {{}} ROW LEVEL SECURITY"
                found.append(
                    Mutation(
                        f"{word} row security of {table}",
                        parent,
                        alter.format(breaks),
                        (alter.format(mends),),
                    )
                )
        whole = await connection.scalar(MAY_ENTER)
        found.append(Mutation("let everybody enter", "organizations", LETS_EVERYBODY_IN, (str(whole),)))
        for name, whole in (await connection.execute(ANSWERING)).all():
            # Whoever asks, it answers the other organization, or as the platform.
            always = PLATFORM if name in doors.AT_HOME or name == "add_registration" else world.b["id"]
            breaks = whole.replace("app.org()", f"'{always}'::uuid")
            found.append(Mutation(f"let {name} answer anybody", "organizations", breaks, (whole,)))
        for name in await connection.scalars(doors.UNPROTECTED):
            schema = name.rpartition(".")[0] or "public"
            found.append(
                Mutation(
                    f"let {name} be read by name",
                    "activity_logs",
                    f"GRANT SELECT ON {name} TO app_api",
                    (f"REVOKE SELECT ON {name} FROM app_api", *_closing(schema)),
                    () if schema == "public" else (f"GRANT USAGE ON SCHEMA {schema} TO app_api",),
                )
            )
    return found


def _closing(schema: str) -> tuple[str, ...]:
    return () if schema == "public" else (f"REVOKE USAGE ON SCHEMA {schema} FROM app_api",)


def readable(world: World, table: str) -> bool:
    return any(world.privileges[role, table, "SELECT"] for role in (Role.API, Role.WORKER))


def writable(world: World, table: str) -> bool:
    """Whether a check on new rows can matter: without the privilege to write them it is never evaluated."""
    return any(
        "organization_id" in world.privileges[role, table, privilege]
        for role in (Role.API, Role.WORKER)
        for privilege in ("INSERT", "UPDATE")
    )


async def execute(admin: AsyncEngine, *statements: str) -> None:
    async with admin.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def red(admin: AsyncEngine, app: AsyncEngine, world: World, mutation: Mutation) -> list[str]:
    await execute(admin, mutation.breaks, *mutation.more)
    try:
        return await findings(app, world, [mutation.table]) + await owner(admin, [mutation.table])
    finally:
        await execute(admin, *mutation.mends)


async def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    server = Postgres(folder, durable=False)
    await server.start()
    try:
        await asyncio.to_thread(upgrade, server.url(OWNER))
        await copy_database(server.url(SUPERUSER, "postgres"), DATABASE, CLONE)
        admin = create_engine(server.url(SUPERUSER, CLONE), pool_size=1)
        app = create_engine(server.url(RUNTIME, CLONE), pool_size=1)
        started = time.monotonic()
        code = await judge(admin, app)
        print(f"{time.monotonic() - started:.1f} s")
        await admin.dispose()
        await app.dispose()
        return code
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def judge(admin: AsyncEngine, app: AsyncEngine) -> int:
    world = await settle(admin)
    if leaks := await findings(app, world) + await owner(admin):
        print("red before anything was broken:", *leaks, sep="\n  ")
        return 1
    chosen = [
        each for each in await mutations(admin, world) if each.table in sys.argv[1:] or not sys.argv[1:]
    ]
    survivors = []
    for mutation in chosen:
        leaks = await red(admin, app, world, mutation)
        print(f"{'red  ' if leaks else 'GREEN'} {mutation.name}" + (f": {leaks[0]}" if leaks else ""))
        if not leaks:
            survivors.append(mutation)
    if leaks := await findings(app, world) + await owner(admin):
        print("not whole again after mending:", *leaks, sep="\n  ")
        return 1
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations turned the isolation test red")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
