"""Events from outside: what is taken, what is refused and why, and what a batch with bad members comes to."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.api.house import GREETING, House, details, house, problems

__all__ = ["house"]

PATH = "/v1/events"


def cloud(**more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "https://shop.example",
        "type": "order.paid",
        **more,
    }


async def test_an_event_is_taken_once(house: House) -> None:
    event = cloud(data={"n": 1}, subject="order 1", traceparent="00-1", datacontenttype="application/json")
    first = await house.owner.post(PATH, event)
    assert first.status_code == 202, first.text
    [taken] = first.json()["items"]
    assert (taken["verdict"], taken["id"], first.json()["accepted"]) == ("accepted", event["id"], 1)
    again = (await house.owner.post(PATH, {**event, "time": "2026-01-01T00:00:00Z"})).json()
    assert (again["items"][0]["verdict"], again["items"][0]["event_id"], again["accepted"]) == (
        "duplicate",
        taken["event_id"],
        0,
    )
    shown = (await house.owner.get(f"{PATH}/{taken['event_id']}")).json()
    assert {name: shown["event"][name] for name in event} == event
    assert shown["event"]["time"].endswith("Z")
    assert (shown["routings"], shown["reached"], shown["type"]) == ([], [], "order.paid")
    assert len(await house.everything("events")) == 1


async def test_the_same_id_with_other_content_is_a_conflict(house: House) -> None:
    event = cloud(data=1)
    await house.owner.post(PATH, event)
    answer = await house.owner.post(PATH, {**event, "data": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "event_id_reused")
    mixed = (await house.owner.post(PATH, [cloud(), {**event, "type": "order.paid.late"}])).json()
    assert [each["verdict"] for each in mixed["items"]] == ["accepted", "conflict"]
    assert mixed["items"][1]["errors"][0]["pointer"] == "#/1/id"


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"specversion": "0.3"}, "#/specversion", "invalid"),
        ({"specversion": None}, "#/specversion", "invalid"),
        ({"id": None}, "#/id", "invalid"),
        ({"id": ""}, "#/id", "invalid"),
        ({"id": "ü" * 251}, "#/id", "invalid"),
        ({"source": 3}, "#/source", "invalid"),
        ({"source": "/perdure/executions"}, "#/source", "reserved_source"),
        ({"type": "x" * 201}, "#/type", "invalid"),
        ({"type": ["a"]}, "#/type", "invalid"),
        ({"time": "yesterday"}, "#/time", "invalid"),
        ({"time": "2026-02-30T00:00:00Z"}, "#/time", "invalid"),
        ({"time": 1700000000}, "#/time", "invalid"),
        ({"subject": ""}, "#/subject", "invalid"),
        ({"datacontenttype": {}}, "#/datacontenttype", "invalid"),
        ({"data_base64": "no!"}, "#/data_base64", "invalid"),
        ({"data_base64": "YQ==", "data": 1}, "#/data_base64", "invalid"),
        ({"roomId": 1}, "#/roomId", "invalid"),
        ({"room": {}}, "#/room", "invalid"),
        ({"a/b": 1}, "#/a~1b", "invalid"),
    ],
)
async def test_what_is_no_event_is_refused_with_place_and_mend(
    house: House, change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await house.owner.post(PATH, cloud(**change))
    assert answer.status_code == 422, answer.text
    assert problems(answer) == {pointer: code}
    assert all(each["suggestion"] for each in answer.json()["errors"])
    assert await house.everything("events") == []


async def test_every_problem_of_an_event_is_told_at_once(house: House) -> None:
    answer = await house.owner.post(PATH, {"data": 1})
    assert set(problems(answer)) == {"#/specversion", "#/id", "#/source", "#/type"}


async def test_an_event_that_is_too_large_is_told_its_limit(house: House) -> None:
    large = cloud(data="x" * 131_072)
    answer = await house.owner.post(PATH, large)
    assert (answer.status_code, answer.json()["code"]) == (413, "event_too_large")
    assert any("128 KB" in each for each in details(answer))
    mixed = (await house.owner.post(PATH, [large, cloud()])).json()
    assert [each["verdict"] for each in mixed["items"]] == ["refused", "accepted"]


async def test_a_batch_tells_the_fate_of_each_and_loses_none(house: House) -> None:
    twice = cloud(data=1)
    batch = [
        cloud(),
        3,
        cloud(type=None),
        twice,
        {**twice, "data": 2},
        twice,
        cloud(source="/perdure/x"),
        cloud(),
    ]
    answer = await house.owner.post(PATH, batch)
    assert answer.status_code == 202
    items = answer.json()["items"]
    told = ["accepted", "refused", "refused", "accepted", "conflict", "duplicate", "refused", "accepted"]
    assert [each["verdict"] for each in items] == told
    assert [each["index"] for each in items] == list(range(8))
    assert [each["errors"][0]["pointer"] for each in items if each["verdict"] == "refused"] == [
        "#/1",
        "#/2/type",
        "#/6/source",
    ]
    stored = sorted(await house.everything("events"), key=lambda row: row["number"])
    assert [row["event_id"] for row in stored] == [batch[0]["id"], twice["id"], batch[7]["id"]]  # type: ignore[index]


@pytest.mark.parametrize("body", [[], [cloud() for _ in range(101)]])
async def test_batches_have_a_size(house: House, body: list[Any]) -> None:
    answer = await house.owner.post(PATH, body)
    assert answer.status_code == 422
    assert "1 to 100" in answer.text


async def test_a_batch_of_which_nothing_can_be_taken_is_refused(house: House) -> None:
    answer = await house.owner.post(PATH, [3, cloud(id=7)])
    assert (answer.status_code, set(problems(answer))) == (422, {"#/0", "#/1/id"})


@pytest.mark.parametrize("body", [3, "text", None, True])
async def test_other_json_is_no_event(house: House, body: Any) -> None:
    answer = await house.owner.http.post(PATH, json=body)
    assert (answer.status_code, problems(answer).keys()) == (422, {"#"})


async def test_content_types_of_cloudevents_are_understood_and_others_are_not(house: House) -> None:
    for kind, body in (
        ("application/cloudevents+json", b'{"specversion":"1.0","id":"1","source":"s","type":"t"}'),
        (
            "application/cloudevents-batch+json; charset=utf-8",
            b'[{"specversion":"1.0","id":"2","source":"s","type":"t"}]',
        ),
    ):
        answer = await house.owner.http.post(PATH, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 202, answer.text
    answer = await house.owner.http.post(PATH, content=b"{}", headers={"Content-Type": "application/avro"})
    assert answer.status_code == 415


async def test_the_same_event_from_many_at_once_is_one(house: House) -> None:
    await house.warm()
    event = cloud(data=1)
    answers = await asyncio.gather(*(house.owner.post(PATH, event) for _ in range(8)))
    verdicts = sorted(each.json()["items"][0]["verdict"] for each in answers)
    assert verdicts == ["accepted"] + ["duplicate"] * 7
    assert len({each.json()["items"][0]["event_id"] for each in answers}) == 1


async def test_a_repeated_request_is_answered_as_the_first(house: House) -> None:
    event = cloud()
    first = await house.owner.post(PATH, event, Idempotency_Key="k1")
    again = await house.owner.post(PATH, event, Idempotency_Key="k1")
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replay"] == "true"


async def test_lists_are_filtered_and_paged(house: House) -> None:
    for n in range(5):
        await house.owner.post(
            PATH, [cloud(type="a", id=f"a{n}"), cloud(type="b", id=f"b{n}", source="other")]
        )
    first = (await house.owner.get(f"{PATH}?type=a&limit=3")).json()
    rest = (await house.owner.get(f"{PATH}?type=a&limit=3&cursor={first['next_cursor']}")).json()
    assert [each["event_id"] for each in first["items"] + rest["items"]] == ["a4", "a3", "a2", "a1", "a0"]
    assert rest["next_cursor"] is None
    assert {each["type"] for each in (await house.owner.get(f"{PATH}?source=other")).json()["items"]} == {"b"}
    assert (await house.owner.get(f"{PATH}?from=2100-01-01T00:00:00Z")).json()["items"] == []
    assert (await house.stranger.get(PATH)).json()["items"] == []


async def test_what_an_event_may_start_is_shown_before_the_router_has_looked(house: House) -> None:
    trigger = {"type": "event", "name": "paid", "configuration": {"type": "order.paid"}}
    id = await house.published(triggers=[trigger])
    [taken] = (await house.owner.post(PATH, cloud())).json()["items"]
    shown = (await house.owner.get(f"{PATH}/{taken['event_id']}")).json()
    [routing] = shown["routings"]
    assert (routing["verdict"], routing["workflow_id"], routing["trigger"]) == ("pending", id, "paid")
    assert (await house.owner.get(PATH)).json()["items"][0]["routings"] == shown["routings"]


async def test_a_list_tells_the_first_of_many_triggers_and_how_many_there_are(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cloudevents.MOST_LISTED", 2)
    monkeypatch.setattr("api.cloudevents.MOST_ROUTINGS", 3)
    names = ["a", "b", "c", "d"]
    await house.published(triggers=[hearing(name, "order.paid") for name in names])
    await house.owner.post(PATH, [cloud(), cloud(), cloud(type="other")])
    listed = (await house.owner.get(PATH)).json()["items"]
    assert [[each["trigger"] for each in event["routings"]] for event in listed] == [[], *[["a", "b"]] * 2]
    assert [event["routings_count"] for event in listed] == [0, 4, 4]
    shown = (await house.owner.get(f"{PATH}/{listed[1]['id']}")).json()
    assert ([each["trigger"] for each in shown["routings"]], shown["routings_count"]) == (["a", "b", "c"], 4)
    # What a filter sent away says least.
    async with house.admin.begin() as connection:
        await connection.execute(
            text(
                "UPDATE event_routings SET verdict = 'filtered' FROM triggers"
                " WHERE triggers.id = trigger_id AND triggers.name IN ('a', 'c')"
            )
        )
    listed = (await house.owner.get(PATH)).json()["items"]
    assert [each["trigger"] for each in listed[1]["routings"]] == ["b", "d"]


async def test_triggers_of_a_workflow_that_is_not_seen_are_not_counted(house: House) -> None:
    seen = await house.published(triggers=[hearing("b", "order.paid")])
    await house.published(triggers=[hearing("a", "order.paid")], visibility="private")
    await house.owner.post(PATH, cloud())
    [mine] = (await house.owner.get(PATH)).json()["items"]
    assert ([each["trigger"] for each in mine["routings"]], mine["routings_count"]) == (["a", "b"], 2)
    [theirs] = (await house.member.get(PATH)).json()["items"]
    assert ([each["workflow_id"] for each in theirs["routings"]], theirs["routings_count"]) == ([seen], 1)


def hearing(name: str, types: Any, **more: Any) -> dict[str, Any]:
    """A trigger for events of one type, of several, or (None) of any."""
    configuration = {"on": {"any": []}} if types is None else {"type": types}
    return {"type": "event", "name": name, "configuration": configuration, **more}


@pytest.fixture
def three_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("db.routing", "api.triggerviews"):
        monkeypatch.setattr(f"{module}.MOST_TRIGGERS", 3)


async def publish(house: House, *triggers: dict[str, Any], who: Any = None) -> Any:
    """The answer to publishing a new workflow with these triggers."""
    who = who or house.owner
    body = {"name": uuid4().hex, "definition": GREETING, "triggers": triggers}
    made = (await who.post("/v1/workflows", body)).json()
    return await who.post(f"/v1/workflows/{made['id']}/publish")


async def edit(house: House, id: str, *triggers: dict[str, Any]) -> Any:
    """The answer to publishing it anew with other triggers."""
    read = await house.owner.get(f"/v1/workflows/{id}")
    changed = await house.owner.change(
        f"/v1/workflows/{id}", {"triggers": list(triggers)}, read.headers["etag"]
    )
    assert changed.status_code == 200, changed.text
    return await house.owner.post(f"/v1/workflows/{id}/publish")


@pytest.mark.usefixtures("three_at_most")
async def test_events_of_one_type_have_so_many_triggers_at_most(house: House) -> None:
    first = await house.published(triggers=[hearing("one", "paid"), hearing("two", ["paid", "sent"])])
    second = await house.published(triggers=[hearing("three", "paid", is_active=True)])
    refused = await publish(house, hearing("plus", ["new", "paid"]))
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_event_triggers")
    assert refused.json()["detail"].startswith(
        "With its trigger “plus”, 4 active event triggers of your organization would take events of the type “paid”;"
        " 3 at most may"
    )
    assert len(await house.everything("triggers")) == 3, "nothing is left of what was refused"
    # One for any type is one for each; other types, other organizations and what is switched off do not count.
    assert (await publish(house, hearing("all", None))).status_code == 409
    assert (await publish(house, hearing("off", "paid", is_active=False))).status_code == 201
    assert (await publish(house, hearing("other", "new"))).status_code == 201
    assert (await publish(house, hearing("theirs", "paid"), who=house.stranger)).status_code == 201
    assert (await publish(house, {"type": "webhook", "configuration": {"scheme": "url"}})).status_code == 201
    # Full is not too full, and a pause keeps the place.
    assert (await edit(house, second, hearing("three", ["paid", "late"]))).status_code == 200
    await house.owner.post(f"/v1/workflows/{second}/pause")
    assert (await publish(house, hearing("plus", "paid"))).status_code == 409
    await house.owner.post(f"/v1/workflows/{second}/resume")
    # What is switched off, removed or archived makes room.
    assert (await edit(house, first, hearing("one", "paid"))).status_code in (200, 201)
    assert (await publish(house, hearing("all", None))).status_code == 201
    assert (await publish(house, hearing("plus", "paid"))).status_code == 409
    assert (await publish(house, *[hearing(n, "new") for n in ("1", "2")])).status_code == 409
    await house.owner.post(f"/v1/workflows/{second}/archive")
    assert (await publish(house, hearing("plus", "paid"))).status_code == 201
    assert (await house.owner.get(f"/v1/workflows/{second}/triggers")).json()["items"][0][
        "is_active"
    ] is False


@pytest.mark.usefixtures("three_at_most")
async def test_triggers_for_any_type_are_too_many_by_themselves(house: House) -> None:
    refused = await publish(house, *[hearing(name, None) for name in "abcd"])
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_event_triggers")
    assert "would take events of any type; 3 at most may" in refused.json()["detail"]


@pytest.mark.usefixtures("three_at_most")
async def test_who_publishes_at_the_same_time_gets_no_more_triggers_together(house: House) -> None:
    await house.warm()
    await house.published(triggers=[hearing("one", "paid"), hearing("two", "paid")])
    bodies = [
        {"name": f"w{n}", "definition": GREETING, "triggers": [hearing("more", "paid")]} for n in range(4)
    ]
    made = [(await house.owner.post("/v1/workflows", body)).json()["id"] for body in bodies]
    answers = await asyncio.gather(*(house.owner.post(f"/v1/workflows/{id}/publish") for id in made))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]


@pytest.mark.parametrize(
    ("configuration", "pointer", "code"),
    [
        ({}, "", "missing_field"),
        ({"type": 3}, "/type", "bad_event_type"),
        ({"type": []}, "/type", "bad_event_type"),
        ({"type": ["a", ""]}, "/type/1", "bad_event_type"),
        ({"type": "a("}, "/type", "bad_pattern"),
        ({"type": "a", "filter": ".data |"}, "/filter", "bad_expression"),
        ({"type": "a", "filter": "$context.x"}, "/filter", "unknown_variable"),
        ({"type": "a", "filter": "$secrets.x"}, "/filter", "secret_not_here"),
        ({"type": "a", "read": "all"}, "/read", "bad_reading"),
        ({"type": "a", "max_age": "soon"}, "/max_age", "bad_duration"),
        ({"type": "a", "tpye": "b"}, "/tpye", "unknown_field"),
        ({"type": "a", "on": {"one": {"with": {"type": "a"}}}}, "/type", "said_twice"),
        ({"on": {"any": [], "until": {"one": {"with": {"type": "a"}}}}}, "/on/until", "misplaced_until"),
        ({"on": {"all": []}}, "/on/all", "no_filter"),
        (
            {
                "on": {
                    "all": [
                        {"with": {"type": "a"}, "correlate": {"x": {"from": ".data.x"}}},
                        {"with": {"type": "b"}},
                    ]
                }
            },
            "/on/all",
            "uneven_correlation",
        ),
    ],
)
async def test_triggers_that_could_never_be_right_are_told(
    house: House, configuration: dict[str, Any], pointer: str, code: str
) -> None:
    trigger = {"type": "event", "name": "paid", "configuration": configuration}
    body = {"definition": {"do": [{"a": {"set": {"x": 1}}}]}, "triggers": [trigger]}
    found = (await house.owner.post("/v1/workflows/validate", body)).json()["problems"]
    assert {each["pointer"]: each["code"] for each in found} == {f"/triggers/0/configuration{pointer}": code}
