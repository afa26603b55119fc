"""Connections: every accepted spelling of a URL, and what a transaction pooler needs."""

import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import StatementError

from db.engine import create_engine, to_json, translate
from db.session import Access, Database, Role


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h:5/d", "postgresql+asyncpg://u:p@h:5/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d?ssl=require", "postgresql+asyncpg://u:p@h/d?ssl=require"),
        (
            "postgresql://u:p@h/d?sslmode=verify-full&channel_binding=require",
            "postgresql+asyncpg://u:p@h/d?ssl=verify-full",
        ),
    ],
)
def test_urls_of_libpq_become_asyncpgs(given: str, expected: str) -> None:
    address, pooled = translate(given)
    assert address.render_as_string(hide_password=False) == expected
    assert not pooled


@pytest.mark.parametrize("url", ["mysql://u@h/d", "sqlite:///x", "postgresql://u@h/d?pooler=session"])
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ValueError, match="database URL"):
        translate(url)


async def test_behind_a_transaction_pooler_no_statement_stays_prepared(database_url: str) -> None:
    """PgBouncer may give the next transaction another server connection, which knows none of ours."""
    database = Database(f"{database_url}?pooler=transaction")
    async with database.transaction(Access(Role.SYSTEM)) as tx:
        backend = await tx.scalar(text("SELECT pg_backend_pid()"))
        for number in range(5):
            await tx.execute(text("SELECT cast(:n AS integer)"), {"n": number})
        kept = (await tx.scalars(text("SELECT name FROM pg_prepared_statements"))).all()
        assert len(kept) <= 1, "at most the one that is asking"
        assert not any(name.startswith("__asyncpg_") for name in kept), (
            "numbered names collide on shared connections"
        )
    async with database.transaction(Access(Role.SYSTEM)) as tx:
        assert await tx.scalar(text("SELECT pg_backend_pid()")) != backend, "pooling is the pooler's"
    await database.close()


async def test_json_keeps_big_integers_and_refuses_nan(database_url: str) -> None:
    assert to_json({"ä": 2**70}) == '{"ä":1180591620717411303424}'
    engine = create_engine(database_url, pool_size=1)
    async with engine.connect() as connection:
        assert await connection.scalar(select(literal({"n": 2**70}, JSONB()))) == {"n": 2**70}
        with pytest.raises(StatementError, match="not JSON compliant"):
            await connection.scalar(select(literal({"n": float("nan")}, JSONB())))
    await engine.dispose()
