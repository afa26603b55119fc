"""A part of an import: however often and however many at once work on it, its rows are written once."""

import asyncio
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import text

from activities.actions.registry import built_in
from db.engine import create_engine
from db.keys import DataKeys
from db.sealed import place
from db.session import Access, Database, Role
from db.transfers import Transfers
from tests.factories import rows
from workers.secret_values import MasterKey


async def test_a_part_that_is_repeated_or_worked_on_twice_at_once_is_written_once(
    admin_url: str, database_url: str, make_context: Any
) -> None:
    admin, database = create_engine(admin_url), Database(database_url, pool_size=6)
    keys = DataKeys(database, [MasterKey("test", b"m" * 32)])
    async with admin.begin() as connection:
        organization = await rows.organization(connection)
    owner = organization["id"]
    transfer, part = uuid4(), uuid4()
    staged = [[line, [f"Client {line}"], None] for line in range(2, 32)]
    content = await keys.seal(owner, orjson.dumps(staged), place("transfer_parts", "content", part))
    async with database.transaction(Access(Role.API, owner, organization["created_by"])) as tx:
        asked = {"direction": "import", "kind": "clients", "mode": "create", "match_by": "client_number"}
        settings = {"columns": {"name": 0}, "width": 1}
        await Transfers(tx).add({"id": transfer, "organization_id": owner, "settings": settings, **asked})
        numbered = {"id": part, "organization_id": owner, "transfer_id": transfer, "number": 0, "rows": 30}
        await Transfers(tx).add_parts([{**numbered, "content": content}])

    async def work() -> Any:
        async with database.transaction(Access(Role.WORKER, owner)) as tx:
            context = make_context(connection=tx, organization_id=owner, keys=keys)
            arguments = {"transfer": str(transfer), "number": 0}
            return await built_in().run("transfer.import_part", "1.0.0", context, arguments)

    answers = [*await asyncio.gather(*(work() for _ in range(4))), await work()]
    assert answers == [{"rows": 30, "created": 30, "updated": 0, "unchanged": 0, "failed": 0}] * 5
    async with admin.connect() as connection:
        for table in ("clients", "events"):
            assert await connection.scalar(text(f"SELECT count(*) FROM {table}")) == 30
    await database.close()
    await admin.dispose()
