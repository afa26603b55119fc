"""What migrations say over and over: who owns what they make, whose rows are whose, and who may call what.

Stable: migrations that were released run through it, so nothing here ever says anything else than it does, and
`tests/db/test_ddl.py` watches. What a later migration needs to be otherwise gets another name. All but the last four
answer statements and run none.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from alembic import op

#: Of a row: it belongs to the organization that was entered.
OURS: Final = "organization_id = (SELECT app.org())"
TENANT: Final = f"TO app_api, app_worker USING ({OURS}) WITH CHECK ({OURS})"
#: Policy → which roles see, and write, which rows.
POLICIES: Final = {
    "tenant": TENANT,
    "system": "TO app_system USING (true) WITH CHECK (true)",
    "erasure": "TO app_owner USING ((SELECT app.erased()) IN (organization_id))",
}


def policy(name: str, table: str) -> str:
    return f"CREATE POLICY {name} ON {table} {POLICIES[name]}"


def isolated(*tables: str, by: Iterable[str] = ()) -> Iterator[str]:
    """From now on nobody sees a row of them, not even the owner, except by these policies and later ones."""
    for table in tables:
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
        yield from (policy(name, table) for name in by)


def granted(grants: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Table → role → privileges."""
    for table, roles in grants.items():
        for role, privileges in roles.items():
            yield f"GRANT {privileges} ON {table} TO {role}"


def touched(table: str) -> str:
    """Every change of a row dates its `updated_at`."""
    return f"CREATE TRIGGER touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION app.touch()"


def definer(signature: str, body: str, callers: str) -> tuple[str, str]:
    """A function that acts as whoever makes it (see `as_system`), with nothing on its search path.

    `signature` is name, arguments, RETURNS, LANGUAGE and volatility. Nobody but `callers` may call it: migration
    0004 took that from PUBLIC by default.
    """
    return (
        f"CREATE FUNCTION {signature} SECURITY DEFINER SET search_path = '' AS $${body}$$",
        f"GRANT EXECUTE ON FUNCTION {_name(signature)} TO {callers}",
    )


def asked(signature: str, question: str) -> tuple[str, str]:
    """A function that becomes the API's role and asks. It runs as whoever connected, who must have been granted it."""
    return (
        f"CREATE FUNCTION {signature} LANGUAGE plpgsql VOLATILE AS $$ BEGIN "
        f"PERFORM pg_catalog.set_config('role', 'app_api', true); {question}; END $$",
        f"GRANT EXECUTE ON FUNCTION {_name(signature)} TO PUBLIC",
    )


def dropped(signatures: Iterable[str]) -> Iterator[str]:
    """The functions of these signatures go."""
    return (f"DROP FUNCTION {_name(signature)}" for signature in signatures)


def _name(signature: str) -> str:
    return signature.split("(", maxsplit=1)[0]


def run(statements: Iterable[str]) -> None:
    """One after another, each as it stands: a colon begins no parameter."""
    for statement in statements:
        op.execute(statement.replace(":", "\\:"))


@contextmanager
def as_owner() -> Iterator[None]:
    """What is made meanwhile belongs to app_owner. Also decorates `upgrade` and `downgrade`."""
    op.execute("SET LOCAL ROLE app_owner")
    yield
    op.execute("RESET ROLE")


@contextmanager
def as_system() -> Iterator[None]:
    """Within `as_owner`: app_system may create in the schema only while functions become its own."""
    op.execute("GRANT CREATE ON SCHEMA app TO app_system")
    op.execute("SET LOCAL ROLE app_system")
    yield
    op.execute("SET LOCAL ROLE app_owner")
    op.execute("REVOKE CREATE ON SCHEMA app FROM app_system")


@contextmanager
def seeing(*tables: str) -> Iterator[None]:
    """FORCE hides every row from the owner: meanwhile it sees those of these tables."""
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    for table in tables:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
