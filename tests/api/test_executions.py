"""Starting, reading and cancelling executions: one trigger is one execution and one word to the engine."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from db.executions import WorkflowExecution
from db.outbox import OutboxRow
from tests.api.house import GREETING, House, details, house, problems

__all__ = ["house"]
TYPED = {
    "input": {
        "schema": {
            "format": "json",
            "document": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            },
        }
    },
    **GREETING,
}


async def test_a_start_writes_row_and_word_and_tells_the_engine(house: House) -> None:
    id = await house.published()
    answer = await house.member.post(f"/v1/workflows/{id}/executions", {"input": {"name": "Ada"}})
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["workflow_id"], body["version"]) == ("queued", id, 1)
    assert answer.headers["location"] == body["links"]["self"] == f"/v1/executions/{body['id']}"

    [row] = await house.everything("workflow_executions")
    [word] = await house.everything("outbox")
    [told] = house.dispatcher.told
    organization = house.owner.organization_id
    assert row["temporal_workflow_id"] == word["workflow_id"] == f"{organization}/workflow/{body['id']}"
    assert (row["status"], row["started_by"]) == ("queued", house.member.id)
    assert row["trigger_data"] == {"input": {"name": "Ada"}}
    assert (word["kind"], word["dispatched_at"], word["id"]) == ("start", None, told.id)
    [version] = await house.everything("workflow_versions")
    assert word["payload"] == told.payload
    assert told.payload == {
        "execution_id": body["id"],
        "version_id": str(version["id"]),
        "sha256": version["sha256"],
        "input": {"name": "Ada"},
        "trigger": {"type": "manual", "name": "api"},
        "started_by": str(house.member.id),
        "definition_name": "greeting",
    }


@pytest.mark.parametrize("end", ["from", "to"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_that_utc_has_no_year_for_is_refused_with_its_mend(
    house: House, end: str, moment: str
) -> None:
    answer = await house.member.get("/v1/executions?" + urlencode({end: moment}))
    assert answer.status_code == 422
    assert list(problems(answer)) == [f"query/{end}"]
    assert "2026-01-31T09:30:00Z" in answer.json()["errors"][0]["suggestion"]


@pytest.mark.parametrize("end", ["from", "to"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_ends_of_the_calendar_are_times(house: House, end: str, moment: str) -> None:
    assert (await house.member.get("/v1/executions?" + urlencode({end: moment}))).status_code == 200


async def test_the_hot_path_sends_few_statements(house: House) -> None:
    path = f"/v1/workflows/{await house.published()}/executions"
    await house.member.post(path, {"input": {}})
    async with house.counting() as plain:
        assert (await house.member.post(path, {"input": {}})).status_code == 202
    async with house.counting() as once:
        assert (await house.member.post(path, {"input": {}}, Idempotency_Key="a")).status_code == 202
    # Who holds the key; entrance, workflow, execution with its outbox; the Idempotency-Key's claim and answer.
    assert (len(plain), len(once)) == (4, 6), "\n".join(once)


async def test_one_key_starts_one_execution_however_many_ask(house: House) -> None:
    path = f"/v1/workflows/{await house.published()}/executions"
    await house.warm()
    answers = await asyncio.gather(
        *(house.member.post(path, {"input": {"n": 1}}, Idempotency_Key="k") for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert sum("idempotent-replay" in answer.headers for answer in answers) == 9
    assert len(await house.everything("workflow_executions")) == 1
    assert len(await house.everything("outbox")) == 1
    assert len(house.dispatcher.told) == 1
    other = await house.member.post(path, {"input": {"n": 2}}, Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    own = await house.owner.post(path, {"input": {"n": 2}}, Idempotency_Key="k")
    assert own.status_code == 202


async def test_a_refused_start_leaves_nothing_and_its_key_free(house: House) -> None:
    path = f"/v1/workflows/{await house.published(TYPED)}/executions"
    refused = await house.member.post(path, {"input": {"age": "old"}}, Idempotency_Key="k")
    assert refused.status_code == 422
    assert "#/input/age" in problems(refused)
    assert any("name" in detail for detail in details(refused))
    assert await house.everything("workflow_executions") == []
    assert await house.everything("outbox") == []
    assert house.dispatcher.told == []
    mended = await house.member.post(path, {"input": {"name": "Ada", "age": 36}}, Idempotency_Key="k")
    assert mended.status_code == 202
    assert (await house.member.post(path)).status_code == 422


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"inputs": {}}, "#/inputs"),
        ({"version": 0}, "#/version"),
        ({"version": 2**31}, "#/version"),
        ({"version": "one"}, "#/version"),
        ({"input": "x" * 140_000}, "#/input"),
        ([], "#"),
    ],
)
async def test_a_malformed_start_is_refused_at_its_place(house: House, body: Any, place: str) -> None:
    path = f"/v1/workflows/{await house.published()}/executions"
    answer = await house.member.post(path, body)
    assert answer.status_code == 422
    assert place in problems(answer)


async def test_only_published_active_workflows_start(house: House) -> None:
    draft = (await house.owner.post("/v1/workflows", {"name": "A", "definition": GREETING})).json()["id"]
    early = await house.member.post(f"/v1/workflows/{draft}/executions")
    assert (early.status_code, early.json()["code"]) == (409, "not_runnable")
    assert "publish" in early.json()["detail"]
    path = f"/v1/workflows/{await house.published()}"
    assert (await house.member.post(f"{path}/executions")).status_code == 202
    for verb, mend in (("pause", "resume"), ("archive", "create a new")):
        await house.owner.post(f"{path}/{verb}")
        refused = await house.member.post(f"{path}/executions")
        assert refused.status_code == 409
        assert mend in refused.json()["detail"]
    unknown = await house.member.post(f"/v1/workflows/{uuid4()}/executions")
    foreign = await house.stranger.post(f"{path}/executions")
    assert (unknown.status_code, unknown.content) == (404, foreign.content)
    assert (await house.reviewer.post(f"{path}/executions")).status_code == 403


async def test_a_version_can_be_chosen_and_a_new_one_is_taken_at_once(house: House) -> None:
    id = await house.published()
    path = f"/v1/workflows/{id}/executions"
    assert (await house.member.post(path)).json()["version"] == 1
    new = {"do": [{"greet": {"set": {"text": "again"}}}]}
    tag = (await house.owner.get(f"/v1/workflows/{id}")).headers["etag"]
    await house.owner.change(f"/v1/workflows/{id}", {"definition": new}, tag)
    await house.owner.post(f"/v1/workflows/{id}/publish")
    assert (await house.member.post(path)).json()["version"] == 2
    for _ in range(2):
        assert (await house.member.post(path, {"version": 1})).json()["version"] == 1
    assert (await house.member.post(path, {"version": 3})).status_code == 404
    foreign = await house.stranger.post(path, {"version": 1})
    assert foreign.status_code == 404


async def test_prefer_wait_answers_with_the_result_when_it_is_quick(house: House) -> None:
    path = f"/v1/workflows/{await house.published()}/executions"

    async def finish(workflow_id: str) -> bool:
        async with house.working() as tx:
            done = {"status": "completed", "progress": 100, "output": {"text": "hello"}}
            here = WorkflowExecution.temporal_workflow_id == workflow_id
            await tx.execute(update(WorkflowExecution).where(here).values(**done))
        return True

    house.dispatcher.finish = finish
    quick = await house.member.post(path, Prefer="respond-async, wait=5", Idempotency_Key="k")
    assert quick.status_code == 200
    assert (quick.json()["status"], quick.json()["output"]) == ("completed", {"text": "hello"})
    assert quick.headers["preference-applied"] == "wait=5"
    assert house.dispatcher.waited[-1][1] == 5.0

    house.dispatcher.finish = None
    again = await house.member.post(path, Prefer="wait=5", Idempotency_Key="k")
    assert (again.status_code, again.json()["id"]) == (200, quick.json()["id"])
    assert len(house.dispatcher.waited) == 1
    slow = await house.member.post(path, Prefer="wait=300")
    assert (slow.status_code, slow.json()["status"]) == (202, "queued")
    assert slow.headers["preference-applied"] == "wait=30"
    plain = await house.member.post(path, Prefer="wait=0")
    assert (plain.status_code, "preference-applied" in plain.headers) == (202, False)
    wrong = await house.member.post(path, Prefer="wait=soon")
    assert (wrong.status_code, list(problems(wrong))) == (422, ["header/prefer"])


async def test_prefer_wait_never_calls_an_open_execution_finished(house: House) -> None:
    path = f"/v1/workflows/{await house.published()}/executions"

    async def stopped_from_outside(_: str) -> bool:
        return True  # and the mirror has not noticed yet

    house.dispatcher.finish = stopped_from_outside
    answer = await house.member.post(path, Prefer="wait=1")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


async def test_the_mirror_is_shown_whole(house: House) -> None:
    id = await house.published()
    started = (await house.member.post(f"/v1/workflows/{id}/executions", {"input": [1]})).json()
    async with house.working() as tx:
        await tx.execute(
            update(WorkflowExecution).values(
                status="waiting",
                progress=40,
                current_step=1,
                waiting_on={"type": "task"},
                execution_log=[{"a": 1}],
            )
        )
    shown = (await house.reviewer.get(started["links"]["self"])).json()
    assert (shown["status"], shown["progress"], shown["current_step"]) == ("waiting", 40, 1)
    assert (shown["waiting_on"], shown["input"], shown["version"]) == ({"type": "task"}, [1], 1)
    assert shown["trigger_event"] == "manual:api"
    log = (await house.reviewer.get(started["links"]["log"])).json()
    assert log == {"items": [{"a": 1}]}


async def test_steps_are_listed_in_order_page_by_page(house: House) -> None:
    id = await house.published()
    started = (await house.member.post(f"/v1/workflows/{id}/executions")).json()
    for position in (3, 1, 2, 5, 4):
        await house.put(
            "execution_steps",
            execution_id=UUID(started["id"]),
            occurrence=f"/do/{position}/s#1",
            position=position,
            status="completed",
        )
    seen: list[int] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await house.member.get(started["links"]["steps"], params=query)).json()
        seen += [item["position"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [1, 2, 3, 4, 5]
    bad = await house.member.get(started["links"]["steps"], params={"cursor": "x"})
    assert bad.status_code == 422


async def test_executions_are_filtered_and_paged(house: House) -> None:
    first, second = await house.published(), await house.published()
    for id in (first, second, first):
        await house.member.post(f"/v1/workflows/{id}/executions")
    newest = (await house.member.get("/v1/executions", params={"limit": "1"})).json()
    async with house.working() as tx:
        here = WorkflowExecution.id == UUID(newest["items"][0]["id"])
        await tx.execute(update(WorkflowExecution).where(here).values(status="failed"))

    async def count(**query: Any) -> int:
        answer = await house.member.get("/v1/executions", params=query)
        assert answer.status_code == 200, answer.text
        return len(answer.json()["items"])

    assert await count() == 3
    assert not {"input", "output", "error"} & newest["items"][0].keys()
    assert await count(cursor=newest["next_cursor"]) == 2
    assert await count(workflow_id=first) == 2
    assert await count(status="failed") == 1
    assert await count(status=["failed", "queued"]) == 3
    assert await count(trigger="manual") == 3
    assert await count(trigger="schedule") == 0
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert await count(**{"from": soon}) == 0
    assert await count(to=soon) == 3
    for query in (
        {"status": "done"},
        {"workflow_id": "x"},
        {"from": "today"},
        {"from": "2026-01-01T00:00:00"},
    ):
        assert (await house.member.get("/v1/executions", params=query)).status_code == 422, query


async def test_strangers_see_nothing(house: House) -> None:
    id = await house.published()
    started = (await house.member.post(f"/v1/workflows/{id}/executions")).json()
    unknown = (await house.stranger.get(f"/v1/executions/{uuid4()}")).content
    for part in ("", "/steps", "/log"):
        answer = await house.stranger.get(f"/v1/executions/{started['id']}{part}")
        assert (answer.status_code, answer.content) == (404, unknown)
    for path in (started["links"]["cancel"], "/v1/executions/no-uuid/cancel"):
        answer = await house.stranger.post(path)
        assert (answer.status_code, answer.content) == (404, unknown)
    assert (await house.stranger.get("/v1/executions")).json()["items"] == []


async def test_cancelling_a_queued_execution_closes_it_with_its_word(house: House) -> None:
    id = await house.published()
    started = (await house.owner.post(f"/v1/workflows/{id}/executions")).json()
    house.dispatcher.told.clear()
    await _release_lease(house)
    await house.warm()
    answers = await asyncio.gather(
        *(house.owner.post(started["links"]["cancel"], {"reason": "mistake"}) for _ in range(3))
    )
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "cancelled")}
    [word] = await house.everything("outbox")
    assert (word["kind"], word["dispatched_at"] is not None) == ("start", True)
    assert house.dispatcher.told == []


async def test_cancelling_a_running_execution_asks_the_engine_once(house: House) -> None:
    id = await house.published()
    started = (await house.owner.post(f"/v1/workflows/{id}/executions")).json()
    await _sent(house, "running")
    house.dispatcher.told.clear()
    await house.warm()
    answers = await asyncio.gather(
        *(house.owner.post(started["links"]["cancel"], {"reason": "enough"}) for _ in range(3))
    )
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "running")}
    [told] = house.dispatcher.told
    assert (told.kind, told.payload) == ("cancel", {"reason": "enough"})
    assert [row["kind"] for row in await house.everything("outbox")].count("cancel") == 1


async def test_what_has_ended_cannot_be_cancelled(house: House) -> None:
    id = await house.published()
    started = (await house.owner.post(f"/v1/workflows/{id}/executions")).json()
    await _sent(house, "completed")
    refused = await house.owner.post(started["links"]["cancel"])
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_closed")
    assert "completed" in refused.json()["detail"]
    long = await house.owner.post(started["links"]["cancel"], {"reason": "x" * 501})
    assert list(problems(long)) == ["#/reason"]
    assert (await house.reviewer.post(started["links"]["cancel"])).status_code == 403


async def _release_lease(house: House) -> None:
    """As if the process that accepted the trigger had died before dispatching it."""
    async with house.admin.begin() as connection:
        await connection.execute(
            update(OutboxRow).values(leased_until=datetime.now(UTC) - timedelta(hours=1))
        )


async def _sent(house: House, status: str) -> None:
    """As if the engine had taken the execution over."""
    async with house.admin.begin() as connection:
        await connection.execute(update(OutboxRow).values(dispatched_at=datetime.now(UTC)))
        await connection.execute(update(WorkflowExecution).values(status=status))
