"""Runs migrations: one at a time per database, each in its own transaction, never waiting long for a lock.

The caller passes `config.attributes["connection"]` (a synchronous Connection) or `config.attributes["url"]`,
and may name the application's login in `config.attributes["login"]` (default `perdure_app`) and the models in
`config.attributes["metadata"]`.
"""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from db.engine import translate

#: Advisory lock of whoever is migrating this database ("perdure" in ASCII).
MIGRATING = 0x70657264757265
SETTINGS = ("SET lock_timeout = '5s'", "SET statement_timeout = '10min'")
OPTIONS: dict[str, Any] = {
    # Only comparing and autogenerating need the models; moving a database must not import the product.
    "target_metadata": context.config.attributes.get("metadata"),
    "transaction_per_migration": True,
    "compare_type": True,
    "compare_server_default": True,
}


def online(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATING})")
    for setting in SETTINGS:
        connection.exec_driver_sql(setting)
    connection.commit()
    try:
        context.configure(connection=connection, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.exec_driver_sql("RESET lock_timeout")
        connection.exec_driver_sql("RESET statement_timeout")
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({MIGRATING})")
        connection.commit()


def offline() -> None:
    context.configure(url="postgresql+asyncpg://", literal_binds=True, **OPTIONS)
    for setting in SETTINGS:
        context.execute(setting)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run(url: str) -> None:
    address, _ = translate(url)
    engine = create_async_engine(address, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(online)
    await engine.dispose()


if context.is_offline_mode():
    offline()
elif "connection" in context.config.attributes:
    online(context.config.attributes["connection"])
else:
    asyncio.run(connect_and_run(context.config.attributes["url"]))
