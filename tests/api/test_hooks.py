"""What providers send to the address of a trigger: once is once, and everything else is refused on the record."""

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest
import uvicorn

from api import hookrequests
from tests.api.hooks import SECRET, STANDARD, hooked, ledger, verdicts
from tests.api.house import House, house, problems
from workers.devstack import ports

__all__ = ["house"]


async def test_one_event_sent_ten_times_at_once_starts_one_execution(house: House) -> None:
    hook = await hooked(house)
    await house.warm()
    answers = await asyncio.gather(*(hook.send({"order": 7}) for _ in range(10)))

    assert [each.status_code for each in answers] == [202] * 10
    told = [each.json() for each in answers]
    assert len({each["execution_id"] for each in told}) == 1
    assert len({each["delivery_id"] for each in told}) == 1
    assert sorted(each["duplicate"] for each in told) == [False] + [True] * 9

    executions = await house.everything("workflow_executions")
    assert [str(each["id"]) for each in executions] == [told[0]["execution_id"]]
    assert len(house.dispatcher.told) == len(await house.everything("outbox")) == 1
    assert sorted(await verdicts(house)) == ["accepted"] + ["duplicate"] * 9
    assert {each["execution_id"] for each in await ledger(house)} == {told[0]["execution_id"]}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_shuffled_duplicates_of_many_events_start_one_execution_each(house: House, seed: int) -> None:
    chance = random.Random(seed)
    hook = await hooked(house)
    await house.warm()
    sent = [f"evt-{number}" for number in range(12) for _ in range(chance.randint(1, 10))]
    chance.shuffle(sent)
    slots = asyncio.Semaphore(8)

    async def one(event_id: str) -> tuple[str, str]:
        async with slots:
            answer = await hook.send({"event": event_id}, event_id=event_id)
        assert answer.status_code == 202, answer.text
        return event_id, answer.json()["execution_id"]

    started = set(await asyncio.gather(*map(one, sent)))
    assert len(started) == len({event for event, _ in started}) == len(set(sent))
    executions = await house.everything("workflow_executions")
    assert {str(each["id"]) for each in executions} == {execution for _, execution in started}
    for execution in executions:
        assert (execution["trigger_data"]["input"]["event"], str(execution["id"])) in started


async def test_the_execution_gets_the_body_as_input_and_the_rest_as_trigger(house: House) -> None:
    hook = await hooked(house)
    await hook.send({"a": 1}, query="?page=2&token=hush", x_tenant="acme", cookie="session=hush")
    [entry] = house.dispatcher.told
    trigger = entry.payload["trigger"]
    assert entry.payload["input"] == {"a": 1}
    assert entry.payload["started_by"] is None
    assert (trigger["type"], trigger["name"]) == ("webhook", "orders")
    assert trigger["query"] == {"page": "2"}
    assert trigger["headers"]["x-tenant"] == "acme"
    assert trigger["headers"]["webhook-id"] == "evt-1"
    assert not {"cookie", "webhook-signature"} & trigger["headers"].keys()
    assert trigger["delivery"] == (await ledger(house))[0]["id"]


async def test_a_forged_request_is_refused_and_leaves_only_a_hash(house: House) -> None:
    hook = await hooked(house)
    hook.secret = SECRET.replace("c2V", "d2V")
    answer = await hook.send({"order": "forged"})
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_forged")
    [row] = await house.everything("deliveries")
    assert (row["verdict"], row["body"], row["body_key"], row["size"]) == ("forged", None, None, 19)
    assert len(row["sha256"]) == 64
    assert await house.everything("workflow_executions") == []


@pytest.mark.parametrize("away", [-301, 330])
async def test_a_stale_signature_is_refused(house: House, away: int) -> None:
    hook = await hooked(house)
    answer = await hook.send(now=int(time.time()) + away)
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_stale")
    assert await verdicts(house) == ["stale"]


async def test_a_malformed_body_is_refused_and_kept_for_whoever_looks(house: House) -> None:
    hook = await hooked(house)
    answer = await hook.send(body=b'{"a": NaN}')
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_malformed")
    [line] = await ledger(house)
    assert line["verdict"] == "malformed"
    assert "NaN" in line["reason"]
    kept = (await house.owner.get(f"/v1/deliveries/{line['id']}")).json()
    assert kept["body"] == '{"a": NaN}'


async def test_an_oversized_body_is_refused(house: House) -> None:
    hook = await hooked(house)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    answer = await hook.http.post(hook.path, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    announced = await hook.http.post(hook.path, content=b"x" * (6 * 1024 * 1024))
    assert announced.status_code == 413
    assert await verdicts(house) == ["oversized", "oversized"]
    assert [each["size"] for each in await ledger(house)] == [0, 6 * 1024 * 1024]


@pytest.mark.parametrize("framing", ["chunked", "announced"])
async def test_a_sender_of_too_much_can_read_the_answer(house: House, framing: str) -> None:
    """Over a socket: a sender that looks for an answer only after its last byte must not find a reset."""
    hook = await hooked(house)
    port, piece, pieces = ports.any_free(), b"x" * 100_000, 120
    serving = uvicorn.Server(uvicorn.Config(house.app, port=port, log_config=None, lifespan="off"))
    task = asyncio.create_task(serving.serve())
    while not serving.started:  # noqa: ASYNC110  uvicorn offers nothing else
        await asyncio.sleep(0.01)
    how = {"chunked": "Transfer-Encoding: chunked", "announced": f"Content-Length: {pieces * len(piece)}"}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {hook.path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{how[framing]}\r\n\r\n".encode()
    )
    for _ in range(pieces):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)
        await writer.drain()
    writer.write(b"0\r\n\r\n" if framing == "chunked" else b"")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"payload_too_large" in await asyncio.wait_for(reader.readuntil(b"}"), 10)
    writer.close()
    serving.should_exit = True
    await task
    assert await verdicts(house) == ["oversized"]


@pytest.mark.parametrize(
    ("headers", "most"),
    [
        ({}, 85),
        ({"content-length": "6000000"}, 35),
        ({"content-length": "6000000", "expect": "100-continue"}, 0),
    ],
)
async def test_too_much_is_read_within_a_bound(
    house: House, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], most: int
) -> None:
    monkeypatch.setattr(hookrequests, "_DRAINED_BYTES", 3_000_000)
    hook = await hooked(house)
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 100_000

    answer = await asyncio.wait_for(hook.http.post(hook.path, content=endless(), headers=headers), 10)
    assert answer.status_code == 413
    assert read <= most


async def test_a_trigger_without_a_secret_believes_nobody(house: House) -> None:
    hook = await hooked(house, secret=None)
    answer = await hook.send()
    assert answer.status_code == 401
    assert "no secret yet" in answer.json()["detail"]
    view = (await house.owner.get(f"/v1/triggers/{hook.trigger_id}")).json()
    assert view["ready"] is False


async def test_an_unknown_address_is_a_404_without_a_trace(house: House) -> None:
    hook = await hooked(house)
    for token in ("nobody", "x" * 5000, "%00", "%F0%9F%8C%8A"):
        answer = await hook.http.post(f"/v1/hooks/{token}", content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_route")
    assert await house.everything("deliveries") == []


async def test_another_method_is_refused(house: House) -> None:
    hook = await hooked(house)
    answer = await hook.send(method="PUT")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    put = await hooked(house, {**STANDARD, "methods": ["PUT"]})
    assert (await put.send(method="PUT")).status_code == 202


async def test_what_does_not_fit_the_workflow_is_rejected_and_may_come_again(house: House) -> None:
    schema = {"document": {"type": "object", "required": ["order"]}}
    hook = await hooked(house, definition={"input": {"schema": schema}, "do": [{"a": {"set": {"x": 1}}}]})
    answer = await hook.send({"ordre": 1})
    assert answer.status_code == 422
    assert problems(answer) == {"#/input": "schema"}
    await house.owner.post(f"/v1/workflows/{hook.workflow_id}/pause")
    assert (await hook.send({"order": 1}, event_id="evt-2")).status_code == 409
    await house.owner.post(f"/v1/workflows/{hook.workflow_id}/resume")
    assert (await hook.send({"order": 1}, event_id="evt-2")).status_code == 202
    assert await verdicts(house) == ["rejected", "rejected", "accepted"]
