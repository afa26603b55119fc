"""Deciding tasks over HTTP: the first decision counts, by whom it concerns, and is told once."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from db.tasks import Task
from domain.executions import TaskStatus
from tests.api.house import House, Person, house, problems
from tests.api.taskhouse import a_task

__all__ = ["house"]
FORM = {
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
    "additionalProperties": False,
}


async def signals(house: House) -> list[Any]:
    return [row for row in await house.everything("outbox") if row["kind"] == "signal"]


async def test_a_decision_closes_the_task_and_tells_the_execution(house: House) -> None:
    path = await a_task(house)
    answer = await house.member.post(f"{path}/decision", {"outcome": "approved", "comment": "fine"})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["outcome"], body["decided_by"]) == (
        "decided",
        "approved",
        str(house.member.id),
    )
    assert body["decision"] == {
        "outcome": "approved",
        "approved": True,
        "comment": "fine",
        "data": None,
        "decided_by": str(house.member.id),
        "decided_at": body["decision"]["decided_at"],
    }
    assert (await house.member.get(path)).json() == body
    [word] = await signals(house)
    [told] = house.dispatcher.told
    assert told.id == word["id"]
    assert word["workflow_id"] == f"{house.owner.organization_id}/workflow/{body['execution_id']}"
    assert (
        word["payload"]
        == told.payload
        == {
            "signal": "decide",
            "arguments": {"task_id": body["id"], "occurrence": "/do/0/ask#1", "decision": body["decision"]},
        }
    )


async def test_of_concurrent_decisions_exactly_one_wins(house: House) -> None:
    path = await a_task(house)
    await house.warm()
    people = [house.owner, house.member, house.reviewer] * 3
    answers = await asyncio.gather(
        *(
            person.post(
                f"{path}/decision", {"outcome": "approved" if n % 2 else "rejected", "comment": str(n)}
            )
            for n, person in enumerate(people)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 8
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    lost = next(answer.json() for answer in answers if answer.status_code == 409)
    assert lost["code"] == "task_closed"
    assert won["outcome"] in lost["detail"]
    assert won["decided_by"] in lost["detail"]
    assert len(await signals(house)) == len(house.dispatcher.told) == 1


async def test_the_same_decision_by_the_same_person_answers_the_same(house: House) -> None:
    path = await a_task(house)
    body = {"outcome": "rejected", "comment": "no"}
    await house.warm()
    answers = await asyncio.gather(*(house.member.post(f"{path}/decision", body) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert len(await signals(house)) == len(house.dispatcher.told) == 1
    by_another = await house.owner.post(f"{path}/decision", body)
    otherwise = await house.member.post(f"{path}/decision", {"outcome": "rejected"})
    assert by_another.status_code == otherwise.status_code == 409


async def test_what_is_filled_in_has_to_fit_the_form(house: House) -> None:
    path = await a_task(house, form=FORM)
    for data, place in (
        ({"amount": 0}, "#/data/amount"),
        ({"amount": "many"}, "#/data/amount"),
        ({"amount": 1, "extra": True}, "#/data"),
        ({}, "#/data"),
        (None, "#/data"),
        ([], "#/data"),
    ):
        refused = await house.member.post(f"{path}/decision", {"outcome": "approved", "data": data})
        assert refused.status_code == 422, data
        assert any(pointer.startswith(place) for pointer in problems(refused)), (data, problems(refused))
    assert (await house.member.get(path)).json()["status"] == "open"
    assert await signals(house) == []
    wrong = await house.member.post(f"{path}/decision", {"outcome": "rejected", "data": {"amount": 0}})
    assert wrong.status_code == 422
    good = await house.member.post(f"{path}/decision", {"outcome": "approved", "data": {"amount": 7}})
    assert good.json()["decision"]["data"] == {"amount": 7}
    without = await a_task(house, form=FORM)
    rejected = await house.member.post(f"{without}/decision", {"outcome": "rejected"})
    assert rejected.status_code == 200


async def test_only_assignees_decide(house: House) -> None:
    async def outcome(assignees: list[str], person: Person) -> int:
        path = await a_task(house, assignees=assignees)
        answer = await person.post(f"{path}/decision", {"outcome": "approved"})
        return answer.status_code

    assert await outcome([f"user:{house.member.email.upper()}"], house.member) == 200
    assert await outcome([f"user:{house.member.email}"], house.owner) == 403
    assert await outcome(["role:reviewer"], house.reviewer) == 200
    assert await outcome(["role:reviewer", f"user:{house.owner.email}"], house.owner) == 200
    assert await outcome(["role:reviewer"], house.member) == 403
    assert await outcome([], house.reviewer) == 200


async def test_the_inbox_is_filtered(house: House) -> None:
    theirs = await a_task(house, assignees=["role:reviewer"])
    anybodys = await a_task(house)
    mine = await a_task(house, assignees=[f"user:{house.member.email}"])
    await house.member.post(f"{anybodys}/decision", {"outcome": "approved"})
    execution = (await house.member.get(mine)).json()["execution_id"]

    async def inbox(person: Person, **query: Any) -> list[str]:
        answer = await person.get("/v1/tasks", params=query)
        return [f"/v1/tasks/{item['id']}" for item in answer.json()["items"]]

    assert await inbox(house.member) == [mine, anybodys, theirs]
    assert await inbox(house.member, mine="true") == [mine, anybodys]
    assert await inbox(house.member, mine="true", status="open") == [mine]
    assert await inbox(house.reviewer, mine="true", status="open") == [theirs]
    assert await inbox(house.member, execution_id=execution) == [mine]
    assert await inbox(house.stranger) == []
    page = (await house.member.get("/v1/tasks", params={"limit": 2})).json()
    assert await inbox(house.member, cursor=page["next_cursor"]) == [theirs]
    for query in ({"status": "lost"}, {"mine": "maybe"}, {"execution_id": "x"}):
        assert (await house.member.get("/v1/tasks", params=query)).status_code == 422


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "#/outcome"),
        ({"outcome": "maybe"}, "#/outcome"),
        ({"outcome": "approved", "by": "me"}, "#/by"),
        ({"outcome": "approved", "comment": "x" * 4_001}, "#/comment"),
        ({"outcome": "approved", "data": "x" * 140_000}, "#/data"),
    ],
)
async def test_a_malformed_decision_is_refused_at_its_place(house: House, body: Any, place: str) -> None:
    path = await a_task(house)
    answer = await house.member.post(f"{path}/decision", body)
    assert answer.status_code == 422
    assert place in problems(answer)
    assert (await house.member.get(path)).json()["status"] == "open"


async def test_a_cancelled_task_cannot_be_decided(house: House) -> None:
    path = await a_task(house)
    async with house.admin.begin() as connection:
        await connection.execute(update(Task).values(status=TaskStatus.CANCELLED))
    answer = await house.member.post(f"{path}/decision", {"outcome": "approved"})
    assert (answer.status_code, answer.json()["code"]) == (409, "task_closed")
    assert await signals(house) == []


async def test_strangers_see_nothing(house: House) -> None:
    path = await a_task(house)
    unknown = (await house.stranger.get(f"/v1/tasks/{uuid4()}")).content
    for answer in (
        await house.stranger.get(path),
        await house.stranger.post(f"{path}/decision", {"outcome": "approved"}),
        await house.stranger.get("/v1/tasks/no-uuid"),
    ):
        assert (answer.status_code, answer.content) == (404, unknown)


async def test_an_idempotency_key_replays_the_decision(house: House) -> None:
    path = await a_task(house)
    body = {"outcome": "approved"}
    first = await house.member.post(f"{path}/decision", body, Idempotency_Key="k")
    async with house.admin.begin() as connection:  # so only the kept answer can still say it
        await connection.execute(update(Task).values(title="Changed"))
    again = await house.member.post(f"{path}/decision", body, Idempotency_Key="k")
    assert again.json() == first.json()
    assert again.headers["idempotent-replay"] == "true"
