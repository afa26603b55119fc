"""Engines on a fresh database: `admin` sees everything, `app` is the login of the application, once."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.session import Database


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(admin_url, pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(database_url, pool_size=1)
    yield engine
    await engine.dispose()


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Database]:
    """A Database whose pool is one connection: whatever a transaction leaves behind, the next one meets."""
    database = Database(database_url, pool_size=1)
    yield database
    await database.close()
