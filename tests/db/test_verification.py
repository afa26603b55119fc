"""What operators found out about organizations: one domain is one organization's, and only a proven one counts."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from perdure.cli.app import app
from tests.factories import rows


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch, database_url: str, no_settings_of_the_machine: None) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", database_url)


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    """In a thread of its own: the command brings its own event loop."""
    command = ["organizations", "verify", *arguments, "--json"]
    with ThreadPoolExecutor(max_workers=1) as thread:
        done = thread.submit(CliRunner().invoke, app, command).result()
    return done.exit_code, json.loads(done.stdout)


async def test_a_proven_domain_is_one_organizations_and_a_claim_gives_way(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme, other = await rows.organization(connection), await rows.organization(connection)
        # As an import may leave it: said, and never proven.
        await connection.execute(
            text("UPDATE organizations SET domain = 'lind.example' WHERE id = :id"), {"id": other["id"]}
        )
    status, said = verify(acme["slug"], "--domain", "Lind.Example", "--level", "verified")
    assert (status, said["domain"], said["verification_level"]) == (0, "lind.example", "verified")
    status, said = verify(str(other["id"]), "--domain", "lind.example", "--level", "enterprise")
    assert status == 1
    assert said["error"]["message"] == "Another organization has proven this domain."
    async with admin.connect() as connection:
        kept = await connection.execute(
            text("SELECT id, domain, is_verified FROM organizations WHERE id IN (:a, :b)"),
            {"a": acme["id"], "b": other["id"]},
        )
        assert {tuple(row) for row in kept} == {
            (acme["id"], "lind.example", True),
            (other["id"], None, False),
        }
    status, said = verify(acme["slug"], "--level", "basic")
    assert (status, said["domain"], said["verification_level"]) == (0, None, "basic")


async def test_what_cannot_be_said_is_refused_with_a_mend(admin: AsyncEngine) -> None:
    async with admin.begin() as connection:
        acme = await rows.organization(connection)
    for arguments in (
        ("nobody", "--level", "basic"),
        (acme["slug"], "--level", "verified"),
        (acme["slug"], "--level", "basic", "--domain", "lind.example"),
        (acme["slug"], "--level", "verified", "--domain", "https://lind.example"),
    ):
        status, said = verify(*arguments)
        assert status == 1, arguments
        assert said["error"]["mend"], arguments
