"""Dry runs over HTTP: drafts, versions and unsaved definitions; nothing is written."""

from typing import Any

from tests.api.house import House, house, problems

__all__ = ["house"]

DEFINITION: dict[str, Any] = {
    "do": [
        {"ask": {"call": "approve", "with": {"title": "sure"}, "output": {"as": ".approved"}}},
        {"rest": {"wait": "2 days"}},
        {"tell": {"set": {"approved": "${ . }", "who": "${ $workflow.trigger.name }"}}},
    ]
}
MOCKS = {"ask": {"decision": "approved"}}


async def test_a_draft_and_a_version_are_tried(house: House) -> None:
    id = await house.published(DEFINITION)
    path = f"/v1/workflows/{id}"
    tag = (await house.owner.get(path)).headers["etag"]
    await house.owner.change(path, {"definition": {"do": [{"only": {"set": {"a": 1}}}]}}, tag)

    draft = (await house.owner.post(path + "/test")).json()
    assert (draft["status"], draft["output"], draft["path"]) == ("completed", {"a": 1}, ["only"])
    body = {"version": 1, "mocks": MOCKS, "starts_at": "2027-03-01T08:00:00+01:00", "input": {"n": 1}}
    tried = (await house.owner.post(path + "/test", body)).json()
    assert tried["output"] == {"approved": True, "who": "test"}
    assert (tried["started"], tried["elapsed_ms"]) == ("2027-03-01T07:00:00.000Z", 2 * 86_400_000 + 1)
    assert [(each["name"], each["answered_by"]) for each in tried["trace"]] == [
        ("ask", "mock"),
        ("rest", "clock"),
        ("tell", None),
    ]
    assert (await house.owner.post(path + "/test", {"version": 9})).status_code == 404


async def test_nothing_is_written(house: House) -> None:
    before = await counts(house)
    answer = await house.owner.post("/v1/workflows/test", {"definition": DEFINITION, "mocks": MOCKS})
    assert answer.json()["status"] == "completed", answer.text
    assert await counts(house) == before


async def counts(house: House) -> dict[str, int]:
    tables = (
        "workflows",
        "workflow_executions",
        "execution_steps",
        "tasks",
        "outbox",
        "idempotency_keys",
        "events",
    )
    return {table: len(await house.everything(table)) for table in tables}


async def test_what_is_wrong_is_told_with_its_place(house: House) -> None:
    async def refused(**body: Any) -> dict[str, str]:
        answer = await house.owner.post("/v1/workflows/test", {"definition": DEFINITION, **body})
        assert answer.status_code == 422, answer.text
        return problems(answer)

    assert await refused(mocks={"aks": {"output": 1}}) == {"#/mocks/aks": "bad_mock"}
    assert await refused(mocks=[]) == {"#/mocks": "invalid"}
    assert await refused(definition={"do": [{"a": {"call": "gone"}}]}) == {"/do/0/a/call": "unknown_action"}
    assert await refused(unmocked="perhaps")
    assert await refused(definition="do: [")


async def test_text_is_taken_and_questions_are_asked(house: House) -> None:
    answer = await house.owner.post(
        "/v1/workflows/test", {"definition": "do:\n  - ask: {call: approve, with: {title: x}}\n"}
    )
    told = answer.json()
    assert told["status"] == "unanswered"
    assert told["question"]["suggestion"] == 'Add to `mocks`: "ask": {decision: approved}'


async def test_an_endless_loop_ends(house: House) -> None:
    loop = {"do": [{"a": {"wait": "PT1S"}}, {"b": {"set": {"x": 1}, "then": "a"}}]}
    told = (await house.owner.post("/v1/workflows/test", {"definition": loop})).json()
    assert told["status"] == "failed"
    assert told["error"]["title"] == "Step budget exceeded"
    assert len(told["trace"]) <= 2001
