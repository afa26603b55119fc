"""Webhooks in the whole engine: one event, one execution that really runs and says what it was told."""

import asyncio
import random
import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import create_app
from db.outbox import OutboxEntry
from domain.webhooks.configuration import Configuration
from domain.webhooks.schemes import scheme_of
from tests.workflows.engine import HEADER, Engine

STANDARD = {"scheme": "standard-webhooks"}
TELL: list[dict[str, Any]] = [
    {
        "tell": {
            "set": {
                "order": "${ .order }",
                "shop": '${ $workflow.trigger.headers["x-shop"] }',
                "page": "${ $workflow.trigger.query.page }",
                "by": "${ $workflow.trigger.type + $workflow.trigger.name }",
                "delivery": "${ $workflow.trigger.delivery }",
            }
        }
    }
]


class Provider:
    """Knows the address of one trigger and its secret."""

    def __init__(self, engine: Engine, path: str, secret: str) -> None:
        self.http = httpx2.AsyncClient(transport=engine.http._transport, base_url="http://perdure.test")
        self.path = path
        self._secret = secret

    async def send(self, event_id: str, body: bytes = b'{"order": 7}', **headers: str) -> httpx2.Response:
        how = scheme_of(Configuration.parse(STANDARD))
        signed = how.sign(body, self._secret, event_id, int(time.time()))
        return await self.http.post(
            self.path, content=body, headers={"content-type": "application/json", **signed, **headers}
        )


async def provider(engine: Engine, do: list[dict[str, Any]], **configuration: Any) -> Provider:
    trigger = {"type": "webhook", "name": "orders", "configuration": {**STANDARD, **configuration}}
    definition = {"document": HEADER, "do": do}
    created = await engine.post(
        "/v1/workflows", {"name": "test", "definition": definition, "triggers": [trigger]}
    )
    await engine.post(f"/v1/workflows/{created['id']}/publish", {})
    [found] = (await engine.get(f"/v1/workflows/{created['id']}/triggers"))["items"]
    rotated = await engine.post(f"/v1/triggers/{found['id']}/rotate-secret", {})
    return Provider(engine, "/v1/hooks/" + found["url"].rpartition("/")[2], rotated["secret"])


async def test_one_webhook_ten_times_at_once_runs_once_and_is_told_headers_and_query(engine: Engine) -> None:
    shop = await provider(engine, TELL)
    shop.path += "?page=2"
    answers = await asyncio.gather(*(shop.send("evt-1", **{"X-Shop": "harbour"}) for _ in range(10)))
    assert [each.status_code for each in answers] == [202] * 10
    assert sorted(each.json()["duplicate"] for each in answers) == [False] + [True] * 9
    [execution_id] = {each.json()["execution_id"] for each in answers}
    row = await engine.ended(execution_id)
    assert (row["status"], row["trigger_event"]) == ("completed", "webhook:orders")
    assert row["output"] == {
        "order": 7,
        "shop": "harbour",
        "page": "2",
        "by": "webhookorders",
        "delivery": answers[0].json()["delivery_id"],
    }
    started = await engine.get("/v1/executions?trigger=webhook")
    assert [each["id"] for each in started["items"]] == [execution_id]


async def test_a_replay_runs_again_with_the_same_body(engine: Engine) -> None:
    shop = await provider(engine, TELL)
    first = (await shop.send("evt-1", **{"X-Shop": "harbour"})).json()
    again = await engine.post(f"/v1/deliveries/{first['delivery_id']}/replay", {})
    one, two = [(await engine.ended(each["execution_id"])) for each in (first, again)]
    assert one["id"] != two["id"]
    assert {**one["output"], "delivery": None} == {**two["output"], "delivery": None}


async def test_a_sender_that_waits_gets_the_result(engine: Engine) -> None:
    shop = await provider(engine, TELL, wait="PT20S")
    answer = await shop.send("evt-1")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert answer.json()["output"]["order"] == 7


class Dying:
    """A dispatcher of a process that dies right after its commit."""

    async def dispatch(self, entry: OutboxEntry) -> None:
        return

    async def settled(self, workflow_id: str) -> None:
        return

    async def finished(self, workflow_id: str, timeout: float) -> None:  # noqa: ASYNC109  the protocol's own
        return None


async def test_what_was_answered_runs_although_the_process_died_after_its_commit(engine: Engine) -> None:
    shop = await provider(engine, TELL)
    dying = create_app(replace(engine.parts.api, dispatcher=Dying()))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=dying), base_url="http://perdure.test"
    ) as shop.http:
        first = (await shop.send("evt-1")).json()
    shop.http = engine.http
    again = (await shop.send("evt-1")).json()
    assert (again["execution_id"], again["duplicate"]) == (first["execution_id"], True)
    assert (await engine.ended(first["execution_id"]))["status"] == "completed"


@pytest.mark.parametrize("seed", [7])
async def test_shuffled_duplicates_run_once_each(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    shop = await provider(engine, TELL)
    sent = [f"evt-{number}" for number in range(15) for _ in range(chance.randint(1, 10))]
    chance.shuffle(sent)
    slots = asyncio.Semaphore(8)

    async def one(event_id: str) -> str:
        async with slots:
            answer = await shop.send(event_id)
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["execution_id"]
        return found

    ids = set(await asyncio.gather(*map(one, sent)))
    assert len(ids) == 15
    for id in ids:
        assert (await engine.ended(id))["status"] == "completed"
    listed = await engine.get("/v1/executions?limit=200")
    assert {each["id"] for each in listed["items"]} == ids
