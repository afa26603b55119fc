"""What is told of sign-ins that were refused, and of what people do to executions."""

import asyncio
from typing import Any

import pytest

from db.engine import create_engine
from tests.api.conftest import PASSWORD, World
from tests.api.house import House, house  # noqa: F401
from tests.db.test_audit import lines


async def refused(world: World, admin_url: str) -> list[Any]:
    await asyncio.sleep(0.1)
    engine = create_engine(admin_url)
    async with engine.connect() as connection:
        found = await lines(connection, action="session.refused")
    await engine.dispose()
    return found


async def test_a_wrong_password_is_told_to_the_organization_of_the_person(
    world: World, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.refusals.SOON", (0.0, 0.01))
    mara = await world.account()
    for email, password in (
        (mara.email, "not it"),
        ("nobody@lind.example", "not it"),
        (mara.email, PASSWORD),
    ):
        await world.http.post("/v1/auth/login", json={"email": email, "password": password})
    (told,) = await refused(world, admin_url)
    assert (str(told["organization_id"]), str(told["user_id"])) == (mara.organization_id, mara.user_id)
    assert (told["actor_type"], told["metadata"]) == ("system", {"by": "password"})
    assert told["ip_address"] == "127.0.0.1"


async def test_nothing_is_written_before_the_answer(world: World, admin_url: str) -> None:
    """So the answer takes as long as the one to somebody nobody knows."""
    mara = await world.account()
    answer = await world.http.post("/v1/auth/login", json={"email": mara.email, "password": "not it"})
    assert answer.status_code == 401
    assert await refused(world, admin_url) == []


async def test_what_people_do_to_an_execution_is_told(house: House) -> None:  # noqa: F811
    workflow = await house.published()
    execution = (await house.owner.post(f"/v1/workflows/{workflow}/executions", {"input": {}})).json()["id"]
    for path, body in (("signal", {"type": "paid"}), ("pause", None), ("cancel", {}), ("cancel", {})):
        await house.owner.post(f"/v1/executions/{execution}/{path}", body)
    told = [
        (row["action"], row["user_id"])
        for row in await house.everything("activity_logs")
        if row["resource_id"] == execution
    ]
    assert told == [(f"execution.{word}", house.owner.id) for word in ("signalled", "paused", "cancelled")]
