"""The one place that knows how a connection to PostgreSQL is made."""

import json
from sys import float_info
from typing import Any
from uuid import uuid4

from sqlalchemy import NullPool
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.definitions.values import normal_number

#: Sent when a connection opens; a pooler refuses such parameters, so they are left out behind one.
SERVER_SETTINGS = {
    "application_name": "perdure",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60000",
}


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for a postgresql:// or postgresql+asyncpg:// URL, with libpq's `sslmode` understood.

    `?pooler=transaction` says that PgBouncer (or Neon's pooler) stands in between in transaction mode: then
    no prepared statement outlives its use, and pooling is the pooler's. Without it statements stay prepared.
    """
    address, pooled = translate(url)
    # Values stay out of error messages and so out of logs.
    options: dict[str, Any] = {
        "json_serializer": to_json,
        "json_deserializer": from_json,
        "hide_parameters": True,
    }
    if pooled:
        return create_async_engine(
            address,
            poolclass=NullPool,
            connect_args={
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: f"__perdure_{uuid4()}__",
            },
            **options,
        )
    return create_async_engine(
        address,
        pool_size=pool_size,
        max_overflow=0,
        # Also bounds a gap of SQLAlchemy's pool: whoever waits is not told when opening a connection failed.
        pool_timeout=10,
        connect_args={
            "server_settings": SERVER_SETTINGS,
            "prepared_statement_cache_size": 500,
        },
        **options,
    )


def translate(url: str) -> tuple[URL, bool]:
    """The URL in asyncpg's words, and whether a transaction pooler stands in between.

    Raises ValueError when it is not a PostgreSQL URL or names an unknown kind of pooler.
    """
    address = make_url(url)
    if address.drivername not in ("postgres", "postgresql", "postgresql+asyncpg"):
        raise ValueError(f"a database URL begins with postgresql://, not {address.drivername}://")
    query = dict(address.query)
    pooler = query.pop("pooler", "none")
    if pooler not in ("none", "transaction"):
        raise ValueError(
            f"pooler={pooler} in the database URL is unknown; write pooler=transaction or leave it out"
        )
    query.pop("channel_binding", None)  # libpq's alone: asyncpg negotiates SCRAM without it
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return address.set(drivername="postgresql+asyncpg", query=query), pooler == "transaction"


def to_json(value: Any) -> str:
    """JSON as PostgreSQL stores it; NaN and infinities, which it cannot, raise ValueError here."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """A jsonb or json value as it was written; an integer beyond 64 bits comes back as the double it was.

    jsonb spells 1e300 as an integer of 301 digits, which no writer of answers and no state takes.
    """
    return _READER.decode(text)


def _whole(digits: str) -> int | float:
    if len(digits) <= 20:
        return normal_number(int(digits))
    # Python refuses thousands of digits as an integer; what no double holds was written by somebody else.
    return max(-float_info.max, min(float_info.max, float(digits)))


# Not orjson: it keeps integers between 2**63 and 2**64, and finding those costs more than it saves.
_READER = json.JSONDecoder(parse_int=_whole)
