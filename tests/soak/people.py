"""Who sends the requests: the owner of an organization with something in every table, replaced when undone.

Requests sign people out, change their passwords and delete their organizations. Then somebody else signs up:
the test goes on with full rights instead of seeing nothing but refusals.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from anyio.from_thread import BlockingPortal
from schemathesis.python import asgi
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import create_engine
from db.tables import metadata
from tests.api.conftest import PASSWORD
from tests.api.test_isolation import SUBJECTS, Subject, the_row
from tests.factories import rows

#: Shorter than an access token lives, and than a login counts as fresh.
TRUSTED = timedelta(minutes=8)


@dataclass(frozen=True, slots=True)
class Owner:
    token: str
    organization_id: str
    user_id: str
    since: datetime


@dataclass
class People:
    """Gives every request an owner who still is one."""

    app: Any
    admin_url: str
    portal: BlockingPortal
    behind: AsyncEngine
    signed_up: int = 0
    _doubted: bool = False
    _owner: Owner | None = None

    def owner(self) -> Owner:
        if self._owner is None or (self._doubted and not self._stands(self._owner)):
            self._owner = self._sign_up()
        self._doubted = False
        return self._owner

    def answered(self, status: int) -> None:
        """A refusal may mean that a request before took the owner's rights."""
        self._doubted = self._doubted or status in (401, 403, 404)

    def tag(self, path: str) -> str | None:
        """The ETag of what the path names, if the owner may see it."""
        with asgi.get_client(self.app) as client:
            answer = client.get(path, headers={"Authorization": f"Bearer {self.owner().token}"})
        return answer.headers.get("ETag") if answer.status_code == 200 else None

    def _stands(self, owner: Owner) -> bool:
        if datetime.now(UTC) - owner.since > TRUSTED:
            return False
        headers = {"Authorization": f"Bearer {owner.token}"}
        paths = ("/v1/clients?limit=1", f"/v1/organizations/{owner.organization_id}", "/v1/secrets")
        with asgi.get_client(self.app) as client:
            return all(client.get(path, headers=headers).status_code == 200 for path in paths)

    def _sign_up(self) -> Owner:
        email = f"soak-{uuid4().hex[:10]}@lind.example"
        body = {"email": email, "password": PASSWORD, "name": "Mara Lind", "organization_name": "Lind"}
        with asgi.get_client(self.app) as client:
            answer = client.post(f"{client.base_url}/v1/auth/register", json=body)
        if answer.status_code != 201:
            raise RuntimeError(f"nobody can sign up: {answer.status_code} {answer.text}")
        made = answer.json()
        organization_id = made["organization"]["id"]
        asyncio.run(furnish(self.admin_url, UUID(organization_id), UUID(made["user"]["id"])))
        self.signed_up += 1
        return Owner(made["access_token"], organization_id, made["user"]["id"], datetime.now(UTC))

    def subject(self, operation: str) -> dict[str, str]:
        """Parts of the path of an operation that names rows: a fresh row of the owner's for it, and its place."""
        owner, found = self.owner(), SUBJECTS.get(operation)
        if found is None:
            return {}
        try:
            id = self.portal.call(self._row, found, owner)
        except DBAPIError:  # the table takes one such row, and has it; or a request closed the organization
            return {}
        number = {"number": str(found.path["number"])} if "number" in found.path else {}
        return {"": id, "organization_id": owner.organization_id, **number}

    async def _row(self, subject: Subject, owner: Owner) -> str:
        async with self.behind.begin() as connection:
            return await the_row(connection, subject, owner)  # type: ignore[arg-type]  # what it reads of an Account


async def furnish(admin_url: str, organization_id: UUID, user_id: UUID) -> None:
    """A row in every table that takes one, so that lists are not empty and their ids lead somewhere."""
    engine = create_engine(admin_url, pool_size=1)
    try:
        async with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if "organization_id" in table.c:
                    with suppress(IntegrityError):  # the organization has its one already
                        async with connection.begin():
                            await rows.row(connection, table.name, organization_id)
    finally:
        await engine.dispose()
