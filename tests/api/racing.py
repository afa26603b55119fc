"""Two requests made to meet: both run into a row that somebody holds, and go on at the same moment."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from sqlalchemy import text

from db.engine import create_engine

T = TypeVar("T")
_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def meeting(admin_url: str, rows: str, *requests: Awaitable[T]) -> list[T]:
    """The answers; `rows` is a SELECT … FOR UPDATE of what every one of the requests has to change."""
    engine = create_engine(admin_url, pool_size=2)
    try:
        async with engine.connect() as holder, engine.connect() as watcher:
            await holder.execute(text(rows))
            tasks = [asyncio.ensure_future(request) for request in requests]
            async with asyncio.timeout(20):
                while await watcher.scalar(_WAITING) < len(tasks):
                    await watcher.rollback()
                    await asyncio.sleep(0.02)
            await holder.rollback()
            return list(await asyncio.gather(*tasks))
    finally:
        await engine.dispose()
