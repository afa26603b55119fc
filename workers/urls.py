"""One database address, three spellings: libpq's, SQLAlchemy's with asyncpg, and bare asyncpg's."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
# libpq options that change nothing for asyncpg, or that it does not know
IGNORED = frozenset({"channel_binding", "gssencmode", "connect_timeout", "target_session_attrs"})
SSL_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})


def sqlalchemy_url(url: str) -> str:
    """Return `postgresql+asyncpg://…` for any accepted spelling; `sslmode` becomes asyncpg's `ssl`.

    Raises ValueError saying what is wrong, without repeating the address (it holds a password).
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError("must start with postgresql:// (as printed by Neon, RDS or `perdure status`)")
    if not parts.path.strip("/"):
        raise ValueError("must name the database after the host: postgresql://user:password@host/database")
    options = []
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in IGNORED:
            continue
        key = "ssl" if name == "sslmode" else name
        if key == "ssl" and value not in SSL_MODES:
            raise ValueError(f"has the unknown sslmode {value!r}; use one of {', '.join(sorted(SSL_MODES))}")
        options.append((key, value))
    return urlunsplit(("postgresql+asyncpg", parts.netloc, parts.path, urlencode(options), ""))


def asyncpg_dsn(url: str) -> str:
    """Return the spelling `asyncpg.connect` understands."""
    parts = urlsplit(sqlalchemy_url(url))
    options = [("sslmode" if name == "ssl" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(options), ""))
