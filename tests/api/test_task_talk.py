"""Claiming, releasing, delegating, commenting and the history of tasks over HTTP."""

from uuid import uuid4

import pytest

from tests.api.house import House, house, problems
from tests.api.taskhouse import a_task

__all__ = ["house"]


async def test_a_claimed_task_waits_for_whoever_claimed_it(house: House) -> None:
    path = await a_task(house)
    claimed = await house.member.post(f"{path}/claim")
    assert (claimed.status_code, claimed.json()["claimed_by"]) == (200, str(house.member.id))
    for refused in (
        await house.reviewer.post(f"{path}/claim"),
        await house.reviewer.post(f"{path}/release"),
        await house.reviewer.post(f"{path}/decision", {"outcome": "approved"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "task_claimed")
    mine = {"params": {"mine": "true", "status": "open"}}
    assert (await house.reviewer.get("/v1/tasks", **mine)).json()["items"] == []
    assert len((await house.member.get("/v1/tasks", **mine)).json()["items"]) == 1
    # Who may control executions takes a claim back that leads nowhere.
    assert (await house.owner.post(f"{path}/release")).json()["claimed_by"] is None
    assert (await house.reviewer.post(f"{path}/decision", {"outcome": "approved"})).status_code == 200
    over = await house.member.post(f"{path}/claim")
    assert (over.status_code, over.json()["code"]) == (409, "task_closed")


async def test_a_delegate_is_told_and_decides(house: House) -> None:
    path = await a_task(house, assignees=["role:reviewer"])
    refused = await house.member.post(f"{path}/delegate", {"to": house.owner.email})
    assert refused.status_code == 403
    for to in ("nobody@example.test", "role:owner", "what?", house.reviewer.email):
        wrong = await house.reviewer.post(f"{path}/delegate", {"to": to})
        assert (wrong.status_code, problems(wrong)) == (422, {"#/to": "not_a_delegate"}), wrong.text
    done = await house.reviewer.post(
        f"{path}/delegate", {"to": house.member.email, "comment": "yours"}, Idempotency_Key="d"
    )
    assert (done.status_code, done.json()["claimed_by"]) == (200, str(house.member.id))
    again = await house.reviewer.post(
        f"{path}/delegate", {"to": house.member.email, "comment": "yours"}, Idempotency_Key="d"
    )
    assert again.headers["idempotent-replay"] == "true"
    mails = [row for row in await house.everything("workflow_executions") if row["kind"] == "mail"]
    assert [mail["trigger_data"]["input"]["to"] for mail in mails] == [house.member.email]
    assert mails[0]["trigger_data"]["input"]["path"] == f"/tasks/{path.rpartition('/')[2]}"
    assert (await house.member.post(f"{path}/decision", {"outcome": "rejected"})).status_code == 200


async def test_comments_and_everything_else_stand_in_the_history(house: House) -> None:
    path = await a_task(house)
    for n in range(3):
        said = await house.member.post(f"{path}/comments", {"comment": f"word {n}"})
        assert (said.status_code, said.json()["user_id"]) == (201, str(house.member.id))
    assert (await house.member.post(f"{path}/comments", {"comment": ""})).status_code == 422
    await house.reviewer.post(f"{path}/decision", {"outcome": "rejected", "comment": "no"})
    later = await house.owner.post(f"{path}/comments", {"comment": "why?"})
    assert later.status_code == 201
    page = (await house.member.get(f"{path}/comments", params={"limit": 2})).json()
    assert [line["comment"] for line in page["items"]] == ["word 0", "word 1"]
    rest = await house.member.get(f"{path}/comments", params={"limit": 2, "cursor": page["next_cursor"]})
    assert [line["comment"] for line in rest.json()["items"]] == ["word 2", "why?"]
    history = (await house.member.get(f"{path}/events")).json()["items"]
    assert [line["kind"] for line in history] == ["opened", *["commented"] * 3, "decided", "commented"]
    assert (history[4]["outcome"], history[4]["comment"]) == ("rejected", "no")


@pytest.mark.parametrize("what", ["claim", "release", "delegate", "comments", "events"])
async def test_strangers_find_nothing(house: House, what: str) -> None:
    path = await a_task(house)
    unknown = f"/v1/tasks/{uuid4()}"
    bodies = {"delegate": {"to": "ada@example.test"}, "comments": {"comment": "hm"}}
    answers = []
    for where in (path, unknown):
        if what == "events":
            answers.append(await house.stranger.get(f"{where}/{what}"))
        else:
            answers.append(await house.stranger.post(f"{where}/{what}", bodies.get(what)))
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
