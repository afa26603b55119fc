"""Connections: every accepted spelling of a URL, and what a transaction pooler needs."""

import orjson
import pytest
from sqlalchemy import JSON, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import StatementError

from db.engine import create_engine, translate
from db.session import Access, Database, Role
from domain.definitions.values import check_value


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


async def test_json_refuses_nan(database_url: str) -> None:
    engine = create_engine(database_url, pool_size=1)
    async with engine.connect() as connection:
        with pytest.raises(StatementError, match="not JSON compliant"):
            await connection.scalar(select(literal({"n": float("nan")}, JSONB())))
    await engine.dispose()


@pytest.mark.parametrize("kind", [JSONB(), JSON()])
async def test_what_jsonb_spells_as_a_huge_integer_comes_back_as_the_double_it_was(
    database_url: str, kind: JSON
) -> None:
    given = [1e18, 1e19, -1e19, 1e20, -1e20, 1e300, 1.7976931348623157e308, 5e-324, 0.1, 2**63 - 1, -(2**63)]
    engine = create_engine(database_url, pool_size=1)
    async with engine.connect() as connection:
        read = await connection.scalar(select(literal({"ä": given, "big": 2**70}, kind)))
        written_elsewhere = await connection.scalar(text("SELECT ('-' || repeat('9', 5000))::jsonb"))
    await engine.dispose()
    assert read == {"ä": given, "big": 2.0**70}
    assert all(type(each) is float or -(2**63) <= each < 2**63 for each in [*read["ä"], read["big"]])
    assert orjson.loads(orjson.dumps(read)) == read, "an answer can tell it"
    assert check_value(read) == read, "a state can hold it"
    assert written_elsewhere == -1.7976931348623157e308
