"""Who sees a workflow: its creator, its team or everybody, and whoever audits."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tenants import SHIPPED_ROLES
from domain.permissions import Permission, RoleName
from tests.api.conftest import Account, World
from tests.factories import rows

PATH = "/v1/workflows"
WORKFLOW = {"name": "Close the month", "definition": {"do": [{"note": {"set": {"a": 1}}}]}}
KEY = "X-Organization-Id"


async def colleague(world: World, behind: AsyncConnection, owner: Account, role: UUID) -> Account:
    """Somebody else's account that is a member of the owner's organization too."""
    account = await world.account("Elsewhere")
    await rows.row(
        behind,
        "user_organizations",
        UUID(owner.organization_id),
        user_id=UUID(account.user_id),
        role_id=role,
    )
    return account


class House:
    def __init__(self, owner: Account) -> None:
        self.owner = owner

    def there(self, **more: str) -> dict[str, str]:
        return {KEY: self.owner.organization_id, **more}

    async def seen(self, by: Account, id: str) -> bool:
        answer = await by.get(f"{PATH}/{id}", headers=self.there())
        listed = (await by.get(PATH, headers=self.there())).json()["items"]
        assert answer.status_code in (200, 404)
        assert (answer.status_code == 200) == (id in [each["id"] for each in listed])
        return answer.status_code == 200


@pytest.fixture
def house(account: Account) -> House:
    return House(account)


async def made(owner: Account, **fields: Any) -> dict[str, Any]:
    answer = await owner.post(PATH, json={**WORKFLOW, **fields})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_a_workflow_is_seen_by_those_it_is_meant_for(
    world: World, behind: AsyncConnection, account: Account, house: House
) -> None:
    reader = await colleague(world, behind, account, SHIPPED_ROLES[RoleName.MEMBER])
    auditor = await colleague(world, behind, account, SHIPPED_ROLES[RoleName.AUDITOR])
    everybodys = await made(account)
    assert everybodys["visibility"] == "organization"
    private = await made(account, visibility="private", assigned_users=[reader.user_id])
    teams = await made(account, visibility="team", assigned_users=[reader.user_id])
    others = await made(account, visibility="team")
    for workflow, shown in ((everybodys, True), (private, False), (teams, True), (others, False)):
        assert await house.seen(reader, workflow["id"]) is shown
        assert await house.seen(auditor, workflow["id"])
        assert await house.seen(account, workflow["id"])
    start = await reader.post(f"{PATH}/{private['id']}/executions", json={"input": {}}, headers=house.there())
    assert start.status_code == 404, "what one cannot see one cannot start"


async def test_a_team_is_of_members(account: Account) -> None:
    stranger = str(uuid4())
    answer = await account.post(PATH, json={**WORKFLOW, "assigned_users": [account.user_id, stranger]})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/assigned_users/1"]


async def test_nobody_takes_a_workflow_out_of_their_own_sight(
    world: World, behind: AsyncConnection, account: Account, house: House
) -> None:
    writes = [Permission.WORKFLOWS_READ.value, Permission.WORKFLOWS_WRITE.value]
    editor_role = await rows.row(
        behind, "roles", organization_id=UUID(account.organization_id), permissions=writes
    )
    editor = await colleague(world, behind, account, editor_role["id"])
    workflow = await made(account)
    seen = (await editor.get(f"{PATH}/{workflow['id']}", headers=house.there())).headers["ETag"]
    headers = house.there(**{"If-Match": seen})
    hidden = await editor.request(
        "PATCH", f"{PATH}/{workflow['id']}", json={"visibility": "private"}, headers=headers
    )
    assert hidden.status_code == 403
    renamed = await editor.request(
        "PUT", f"{PATH}/{workflow['id']}", json={**WORKFLOW, "name": "Other"}, headers=headers
    )
    assert renamed.status_code == 200, renamed.text
    own = await editor.post(PATH, json={**WORKFLOW, "visibility": "private"}, headers=house.there())
    assert own.status_code == 201
    assert await house.seen(editor, own.json()["id"])
