"""Colleagues in one organization, and what the product mailed them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine import create_engine
from db.tenants import SHIPPED_ROLES
from domain.onetime import Purpose, derive
from domain.permissions import RoleName
from tests.api.conftest import SECURITY, Account, World
from tests.factories import rows


@dataclass(frozen=True)
class Colleague(Account):
    """Acts in `organization_id`, whatever their default organization is."""

    @property
    def headers(self) -> dict[str, str]:
        return {**super().headers, "X-Organization-Id": self.organization_id}


@asynccontextmanager
async def unrestricted(admin_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that no policy restricts."""
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()


@dataclass
class People:
    """One organization: its owner, and whoever is added."""

    world: World
    behind: AsyncConnection
    owner: Account

    @property
    def id(self) -> str:
        return self.owner.organization_id

    def place(self, rest: str = "") -> str:
        return f"/v1/organizations/{self.id}{rest}"

    async def add(self, role: RoleName = RoleName.MEMBER, **given: Any) -> Colleague:
        """A new person with an account of their own, made a member."""
        account = await self.world.account("Elsewhere")
        await rows.member(self.behind, UUID(self.id), user_id=UUID(account.user_id), role=role, **given)
        return self.inside(account)

    def inside(self, account: Account) -> Colleague:
        return Colleague(
            account.http, account.email, account.user_id, self.id, account.access_token, account.refresh_token
        )

    async def member(self, user_id: str) -> dict[str, Any]:
        answer = await self.owner.get(self.place(f"/members/{user_id}"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def change(self, who: Account, user_id: str, **body: Any) -> Any:
        """PATCH with the ETag that somebody who may read has just seen."""
        seen = await self.owner.get(self.place(f"/members/{user_id}"))
        headers = {"If-Match": seen.headers.get("ETag", '"1"')}
        return await who.request("PATCH", self.place(f"/members/{user_id}"), json=body, headers=headers)

    async def invite(self, email: str, role: RoleName = RoleName.MEMBER) -> dict[str, Any]:
        body = {"email": email, "role_id": str(SHIPPED_ROLES[role])}
        answer = await self.owner.post(self.place("/invitations"), json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def mails(self, template: str) -> list[dict[str, Any]]:
        """What was queued to be mailed, in order."""
        inputs = [entry.payload.get("input") for entry in self.world.dispatcher.entries]
        return [each for each in inputs if isinstance(each, dict) and each.get("template") == template]

    def link(self) -> str:
        """The token in the newest invitation's mail."""
        token = self.mails("invitation")[-1]["token"]
        return derive(SECURITY.token_secret, Purpose(token["purpose"]), UUID(token["id"]))

    async def log(self) -> list[str]:
        """The actions noted in the organization, oldest first; changes that triggers tell are left out."""
        found = await self.behind.execute(
            text(
                "SELECT action FROM activity_logs WHERE organization_id = :id AND action LIKE '%.%' "
                "ORDER BY created_at"
            ),
            {"id": UUID(self.id)},
        )
        return [row.action for row in found]


@pytest.fixture
async def people(world: World, admin_url: str) -> AsyncIterator[People]:
    async with unrestricted(admin_url) as behind:
        yield People(world, behind, await world.account("Lind & Co"))
