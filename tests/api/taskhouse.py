"""Open tasks for tests that ask over HTTP."""

from typing import Any
from uuid import UUID, uuid4

from db.taskopening import NewTask, open_task
from tests.api.house import House


async def a_task(house: House, **given: Any) -> str:
    """The path of a fresh open task of a fresh execution."""
    started = (await house.owner.post(f"/v1/workflows/{await house.published()}/executions")).json()
    house.dispatcher.told.clear()
    new = NewTask(
        id=uuid4(),
        organization_id=house.owner.organization_id,
        execution_id=UUID(started["id"]),
        occurrence="/do/0/ask#1",
        **{"kind": "approval", "title": "May we?", **given},
    )
    async with house.working() as tx:
        assert await open_task(tx, new)
    return f"/v1/tasks/{new.id}"
