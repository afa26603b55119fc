"""The application as it is served, in this process, on a real migrated PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import FastAPI
from schemathesis.python import asgi

from activities.actions.registry import built_in
from api.app import create_app
from api.collaborators import Collaborators
from db.session import Database
from tests.api.conftest import PROCESSES, SECURITY, Recorder, keys_of


@dataclass(frozen=True, slots=True)
class Addresses:
    """One migrated database, as the product's login and as superuser."""

    runtime: str
    admin: str


@contextmanager
def served(addresses: Addresses) -> Iterator[FastAPI]:
    """The application with the shipped catalogue; starts are recorded, no worker takes them.

    Its pool opens in the event loop of schemathesis' transport; the application itself ends here.
    """
    database = Database(addresses.runtime, pool_size=5)
    app = create_app(
        Collaborators(
            database,
            keys_of(database),
            built_in().specs(),
            Recorder(),
            SECURITY,
            lambda: datetime.now(UTC),
            PROCESSES,
        )
    )
    try:
        yield app
    finally:
        asgi.shutdown_lifespans()
