"""Whom an explanation of an execution names."""

from uuid import UUID

from domain.permissions import Permission
from tests.api.people import People, people
from tests.factories.rows import row

__all__ = ["people"]  # a fixture


async def test_clients_are_named_to_those_who_may_read_clients(people: People) -> None:
    organization = UUID(people.id)
    client = await row(people.behind, "clients", organization, name="Ada Lovelace")
    waits = {"kind": "task", "step": "ask", "occurrence": "/do/0/ask#1"}
    execution = await row(
        people.behind, "workflow_executions", organization, status="waiting", waiting_on=waits
    )
    await row(
        people.behind,
        "tasks",
        organization,
        execution_id=execution["id"],
        occurrence=waits["occurrence"],
        assignees=[f"client:{client['id']}"],
    )
    told = {}
    for permissions in ([Permission.EXECUTIONS_READ], [Permission.EXECUTIONS_READ, Permission.CLIENTS_READ]):
        key = (await people.owner.api_key(*permissions))["key"]
        answer = await people.world.http.get(
            f"/v1/executions/{execution['id']}/explain", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 200, answer.text
        told[len(permissions)] = answer.json()["text"]
    assert "waits for the client Ada Lovelace" in told[2]
    assert "waits for the client" in told[1]
    assert "Ada" not in told[1]
