"""What people have to do with executions: whoever answers however, or nobody does."""

import asyncio
import re
from typing import Any

import httpx2

from tests.replay.plays import answer, decide_and_cancel, rerun_from_the_task, task, told
from tests.replay.scene import ASK, OOPS, Kind, Scene, fork, guarded, line, sure, undoing
from tests.workflows.mail import send

FORM: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
}
FILLED: dict[str, Any] = {"outcome": "submitted", "data": {"name": "Ada", "age": 36}}
FILL: dict[str, Any] = {"call": "ask", "with": {"title": "Who?", "form": FORM}}
LINK = re.compile(r"/t/[A-Za-z0-9_-]{43}")
#: A second and a half: the loop that sees to deadlines looks every second.
SOON: dict[str, Any] = {"milliseconds": 500}


def approve(**more: Any) -> dict[str, Any]:
    return {"call": "approve", "with": {**ASK["with"], **more}}


async def fill(scene: Scene, id: str) -> None:
    await answer(scene, id, "Who?", **FILLED, comment="gladly")


async def both(scene: Scene, id: str) -> None:
    await answer(scene, id, "Go on?")
    await answer(scene, id, "Go on?", by=scene.second, comment="me too")


async def reject(scene: Scene, id: str) -> None:
    await answer(scene, id, "Go on?", outcome="rejected", comment="not now")


async def later(scene: Scene, id: str) -> None:
    await told(scene, id, "Go on?", "overdue")
    await answer(scene, id, "Go on?")


async def escalated(scene: Scene, id: str) -> None:
    await told(scene, id, "Go on?", "reminded")
    await told(scene, id, "Go on?", "escalated")
    await answer(scene, id, "Go on?")


async def prepare_and_decide(scene: Scene, id: str) -> None:
    await answer(scene, id, "Who?", by=scene.second, **FILLED)
    refused = await scene.second.post(
        f"/v1/tasks/{await task(scene, id, 'Go on?')}/decision", json={"outcome": "approved"}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "four_eyes")
    await answer(scene, id, "Go on?")


async def the_second_first(scene: Scene, id: str) -> None:
    await task(scene, id, "Go on?")
    await answer(scene, id, "Who?", **FILLED)
    await asyncio.sleep(0.2)
    await answer(scene, id, "Go on?")


async def by_client(scene: Scene, kind: Kind) -> str:
    client = await scene.post("/v1/clients", {"name": "Bo", "email": "bo@example.com"})
    return str((await scene.start(await scene.publish(kind.do), {"client": client["id"]}))["id"])


async def by_link(scene: Scene, id: str) -> None:
    await scene.waiting(id)
    links: list[str] = []
    while not links:
        texts = [mail.get_body(("plain",)) for to, mail in scene.box.mails if "bo@example.com" in to]
        links = [found[0] for text in texts if text and (found := LINK.search(text.get_content()))]
        await asyncio.sleep(0.05)
    async with httpx2.AsyncClient(
        transport=scene.http._transport, base_url="http://perdure.test"
    ) as stranger:
        sent = await stranger.post(links[0], data={"outcome": "submitted", "data/name": "Bo"})
    assert sent.status_code == 303, sent.text


async def undo_by_hand(scene: Scene, id: str) -> None:
    await answer(scene, id, "Go on?")


OVERDUE: dict[str, Any] = {"status": 408, "type": "timeout"}
TASKS: dict[str, Kind] = {
    "ask": Kind(
        [
            {"fill": FILL},
            {
                "sure": sure(
                    '.outcome == "submitted" and .data == {name: "Ada", age: 36} and .comment == "gladly"'
                    " and .decided_by != null"
                )
            },
        ],
        fill,
    ),
    "ask-a-client": Kind(
        [
            {
                "fill": {
                    "call": "ask",
                    "with": {"title": "Who?", "form": FORM, "assignees": ["client:${ .client }"]},
                }
            },
            {"sure": sure('.data.name == "Bo" and .decided_by == null and .decided_by_client != null')},
        ],
        by_link,
        begin=by_client,
    ),
    "approval-by-two": Kind(
        [
            {"ask": approve(quorum=2)},
            {"sure": sure('.approved and (.decisions | map(.comment)) == [null, "me too"]')},
        ],
        both,
    ),
    "approval-rejected": Kind(
        [
            {"ask": ASK},
            {"sure": sure('.approved == false and .outcome == "rejected" and .comment == "not now"')},
        ],
        reject,
    ),
    "overdue-fails": Kind(
        [{"ask": approve(due=SOON, on_overdue="fail")}, {"never": sure("true")}], ends="failed"
    ),
    "overdue-fails-and-is-caught": Kind(
        [
            {
                "ask": guarded(
                    approve(due=SOON, on_overdue="fail"),
                    errors={"with": OVERDUE},
                    do=[{"sure": sure('$error.status == 408 and ($error.instance | endswith("inner"))')}],
                )
            }
        ]
    ),
    "overdue-rejects": Kind(
        [
            {"ask": approve(due=SOON, on_overdue="reject")},
            {"sure": sure('.overdue and .outcome == "rejected" and .decided_by == null')},
        ]
    ),
    "overdue-kept": Kind(
        [{"ask": approve(due=SOON)}, {"sure": sure(".approved and .overdue == null")}], later
    ),
    "reminded-escalated-decided": Kind(
        [
            {
                "ask": approve(
                    assignees=["role:reviewer"],
                    due={"seconds": 20},
                    reminders=[{"milliseconds": 19500}],
                    escalate={"after": {"seconds": 1}, "to": ["role:owner"]},
                    on_overdue="fail",
                )
            },
            {"sure": sure(".approved")},
        ],
        escalated,
    ),
    "four-eyes": Kind(
        [
            {"prepare": FILL},
            {"check": approve(four_eyes=["prepare"], arguments="${ .data }")},
            {"sure": sure(".approved")},
        ],
        prepare_and_decide,
    ),
    "task-refused": Kind(
        [
            {
                "ask": guarded(
                    approve(assignees=["user:${ .nobody }"]),
                    errors={"with": {"status": 400}},
                    do=[{"sure": sure('$error.detail | contains("no active member")')}],
                )
            }
        ],
        input={"nobody": "nobody@example.com"},
    ),
    "fork-of-tasks": Kind(
        [{"both": fork(ASK, FILL)}, {"sure": sure(".[0].approved and .[1].data.age == 36")}], the_second_first
    ),
    "compensation-of-a-task": Kind(
        [{"ask": undoing(ASK, send("undone"))}, {"again": ASK}], decide_and_cancel, ends="cancelled"
    ),
    "compensation-by-a-task": Kind(
        [{"mail": undoing(send("one"), ASK)}, {"oops": OOPS}], undo_by_hand, ends="failed"
    ),
    "rerun-over-several-runs": Kind(
        [
            {"one": {**send("one"), "export": {"as": "{one: 1}"}}},
            {"ask": ASK},
            {"sure": sure(".approved and $context.one == 1")},
            {"line": line("x")},
        ],
        rerun_from_the_task,
    ),
}
