"""The same POST again: answered, not repeated."""

import asyncio
from uuid import uuid4

import httpx2
import pytest

from tests.api.conftest import Account, World


async def create(account: Account, key: str, name: str = "Nils", **headers: str) -> httpx2.Response:
    sent = {"Idempotency-Key": key, **headers}
    return await account.post("/v1/clients", json={"name": name}, headers=sent)


async def count(account: Account) -> int:
    return len((await account.get("/v1/clients")).json()["items"])


async def test_a_repeat_is_answered_from_the_first(account: Account) -> None:
    first, second = await create(account, "k1"), await create(account, "k1")
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert "idempotent-replay" not in first.headers
    assert second.headers["idempotent-replay"] == "true"
    assert await count(account) == 1
    assert (await create(account, "k2")).json()["id"] != first.json()["id"]


async def test_key_order_and_space_do_not_matter_but_values_do(account: Account) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    first = await account.post("/v1/clients", content=b'{"name":"N","city":"Oslo"}', headers=headers)
    same = await account.post("/v1/clients", content=b'{ "city": "Oslo", "name": "N" }', headers=headers)
    assert same.json() == first.json()
    assert first.status_code == 201
    other = await create(account, "k", "M")
    assert other.status_code == 409
    assert other.json()["code"] == "idempotency_key_reused"
    assert await count(account) == 1


async def test_concurrent_repeats_do_the_work_once(account: Account) -> None:
    answers = await asyncio.gather(*(create(account, "k") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replay" in answer.headers for answer in answers) == 7
    assert await count(account) == 1


async def test_a_refused_request_may_be_repeated_with_its_key(account: Account) -> None:
    body = {"name": "Nils", "client_number": "7"}
    assert (await account.post("/v1/clients", json=body)).status_code == 201
    taken = await account.post("/v1/clients", json=body, headers={"Idempotency-Key": "k"})
    assert taken.status_code == 409
    again = await account.post(
        "/v1/clients", json={**body, "client_number": "8"}, headers={"Idempotency-Key": "k"}
    )
    assert again.status_code == 201
    assert "idempotent-replay" not in again.headers


async def test_keys_of_others_and_other_routes_are_other_keys(world: World, account: Account) -> None:
    other = await world.account()
    first, theirs = await create(account, "k"), await create(other, "k")
    assert first.json()["id"] != theirs.json()["id"]
    contact = await account.post(
        "/v1/contacts", json={"first_name": "A", "last_name": "B"}, headers={"Idempotency-Key": "k"}
    )
    assert contact.status_code == 201


async def test_a_key_is_free_again_after_a_day(world: World, account: Account) -> None:
    key = str(uuid4())
    first = await create(account, key)
    world.clock.forward(hours=25)
    tokens = await world.http.post("/v1/auth/refresh", json={"refresh_token": account.refresh_token})
    headers = {"Authorization": f"Bearer {tokens.json()['access_token']}"}
    second = await create(account, key, "Another", **headers)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there", "ünï"])
async def test_unusable_keys(account: Account, key: str) -> None:
    sent = [(b"Idempotency-Key", key.encode()), (b"Authorization", account.headers["Authorization"].encode())]
    answer = await account.http.post("/v1/clients", json={"name": "N"}, headers=sent)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "header/idempotency-key"


async def test_a_secret_is_not_kept_for_replays(world: World, account: Account) -> None:
    body, headers = {"name": "k", "scopes": ["tasks:read"]}, {"Idempotency-Key": "k"}
    first = (await account.post("/v1/me/api-keys", json=body, headers=headers)).json()
    again = await account.post("/v1/me/api-keys", json=body, headers=headers)
    assert first["key"].startswith("perdure_live_")
    assert again.json() == {**first, "key": None}
