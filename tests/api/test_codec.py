"""The codec server: who gets to see what, from which page, and what is written down about it."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text

from api.app import create_app
from api.auth import cookie_name
from domain.ids import WorkflowId
from tests.api.house import House, house  # noqa: F401  the fixture
from workers.temporal.remote import RemoteSealing

UI = "http://127.0.0.1:8233"
PLAIN = {"metadata": {"encoding": base64.b64encode(b"json/plain").decode()}, "data": "ImNhbmFyeSI="}


@dataclass
class Codec:
    house: House
    sealing: RemoteSealing
    http: httpx2.AsyncClient

    def id(self, organization_id: UUID | None = None, execution_id: UUID | None = None) -> str:
        owner = organization_id or self.house.owner.organization_id
        return str(WorkflowId(owner, "workflow", execution_id or uuid4()))

    async def sealed(self, id: str) -> dict[str, Any]:
        return await self.sealing.seal(id, PLAIN)

    async def ask(self, what: str, payloads: Any, headers: Any, **options: Any) -> httpx2.Response:
        body = {"payloads": payloads}
        return await self.http.post(
            f"/codec/{what}?preserveStorageRefs=true", json=body, headers=headers, **options
        )

    async def decoded(self, payloads: Any, headers: Any) -> list[Any]:
        answer = await self.ask("decode", payloads, headers)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["payloads"])

    async def noted(self) -> list[Any]:
        return [
            e for e in await self.house.everything("activity_logs") if e["action"].startswith("payloads.")
        ]


def key(person: Any) -> dict[str, str]:
    return {"Authorization": person.http.headers["Authorization"]}


@pytest.fixture
async def codec(house: House) -> AsyncIterator[Codec]:  # noqa: F811
    parts = house.app.state.collaborators
    sealing = RemoteSealing(parts.keys)
    app = create_app(replace(parts, payloads=sealing, temporal_ui_url=UI))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield Codec(house, sealing, http)


async def test_a_member_reads_the_payloads_of_his_organization_only(codec: Codec) -> None:
    mine, foreign = codec.id(), codec.id(codec.house.stranger.organization_id)
    sealed = [await codec.sealed(mine), PLAIN, await codec.sealed(foreign), {}, await codec.sealed(mine)]
    assert await codec.decoded(sealed, key(codec.house.owner)) == [PLAIN, PLAIN, sealed[2], {}, PLAIN]
    assert await codec.decoded(sealed, key(codec.house.stranger)) == [sealed[0], PLAIN, PLAIN, {}, sealed[4]]
    first, second = sorted(await codec.noted(), key=lambda entry: entry["metadata"]["payloads"], reverse=True)
    assert first["resource_id"] == mine.rpartition("/")[2]
    assert first["metadata"]["payloads"] == 2
    assert first["user_id"] == codec.house.owner.id
    assert second["organization_id"] == codec.house.stranger.organization_id
    assert "canary" not in str([dict(entry) for entry in (first, second)])


async def test_nobody_and_strangers_see_ciphertext(codec: Codec) -> None:
    sealed = [await codec.sealed(codec.id())]
    for headers in (
        {},
        {"Authorization": "Bearer nonsense"},
        {"Cookie": "perdure_session=nonsense", "Origin": UI},
    ):
        answer = await codec.ask("decode", sealed, headers)
        assert answer.status_code == 401, answer.text
        assert answer.json()["code"] == "unauthenticated"
    assert await codec.noted() == []


async def test_without_the_permission_it_stays_sealed(codec: Codec) -> None:
    async with codec.house.admin.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET scopes = ARRAY['clients:read']"))
    sealed = [await codec.sealed(codec.id())]
    assert await codec.decoded(sealed, key(codec.house.owner)) == sealed
    assert await codec.noted() == []


async def _signed_in(codec: Codec) -> dict[str, str]:
    account = {"email": "eve@example.com", "password": "tidal ferns at dusk", "name": "Eve"}
    answer = await codec.http.post("/v1/auth/register", json={**account, "organization_name": "Eve & Co"})
    assert answer.status_code < 300, answer.text
    await codec.http.get("/login")
    page = (await codec.http.get("/login")).text
    token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"email": account["email"], "password": account["password"], "csrf_token": token}
    answer = await codec.http.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    cookie = codec.http.cookies[cookie_name(codec.house.app.state.collaborators)]
    codec.http.cookies.clear()
    return {"Cookie": f"perdure_session={cookie}", "organization": answer.headers["location"]}


async def test_the_cookie_works_from_the_page_of_temporal_alone(codec: Codec) -> None:
    headers = await _signed_in(codec)
    cookie = {"Cookie": headers["Cookie"]}
    async with codec.house.admin.connect() as connection:
        organization_id = await connection.scalar(
            text("SELECT id FROM organizations WHERE name = 'Eve & Co'")
        )
    sealed = [await codec.sealed(codec.id(organization_id)), await codec.sealed(codec.id())]
    assert await codec.decoded(sealed, {**cookie, "Origin": UI, "X-Namespace": "default"}) == [
        PLAIN,
        sealed[1],
    ]
    for origin in ({"Origin": "http://127.0.0.1:9999"}, {"Origin": "null"}, {}):
        answer = await codec.ask("decode", sealed, {**cookie, **origin})
        assert answer.status_code == 403, answer.text
        assert "access-control-allow-origin" not in answer.headers
    [entry] = await codec.noted()
    assert (entry["actor_type"], entry["organization_id"]) == ("user", organization_id)


async def test_the_cookie_reads_every_organization_of_its_owner(codec: Codec) -> None:
    """And stops reading one at the moment the membership ends."""
    headers = {"Cookie": (await _signed_in(codec))["Cookie"], "Origin": UI}
    second = codec.house.owner.organization_id
    sealed = [await codec.sealed(codec.id(second))]
    assert await codec.decoded(sealed, headers) == sealed
    async with codec.house.admin.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO user_organizations (organization_id, user_id, role_id, status)"
                " SELECT :organization, u.id, r.id, 'active' FROM users u, roles r"
                " WHERE u.email = 'eve@example.com' AND r.name = 'auditor' AND r.organization_id IS NULL"
            ),
            {"organization": second},
        )
    assert await codec.decoded(sealed, headers) == [PLAIN]
    async with codec.house.admin.begin() as connection:
        await connection.execute(
            text(
                "UPDATE user_organizations SET status = 'suspended' WHERE organization_id = :o"
                " AND user_id = (SELECT id FROM users WHERE email = 'eve@example.com')"
            ),
            {"o": second},
        )
    assert await codec.decoded(sealed, headers) == sealed


async def test_browsers_let_only_the_ui_read(codec: Codec) -> None:
    ask = {
        "Origin": UI,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-namespace",
    }
    answer = await codec.http.options("/codec/decode", headers=ask)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == UI
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "x-namespace" in answer.headers["access-control-allow-headers"]
    assert answer.headers["vary"] == "Origin"
    # Also of a refusal, or the UI could not say why it shows ciphertext.
    refused = await codec.ask("decode", [], {"Origin": UI})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, UI)
    for path, origin in (("/codec/decode", UI + "0"), ("/codec/decode", "null"), ("/v1/me", UI)):
        answer = await codec.http.options(path, headers={**ask, "Origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-methods" not in answer.headers


GARBAGE: list[Any] = [
    None,
    [],
    {},
    {"payloads": None},
    {"payloads": [1]},
    {"payloads": ["x"]},
    {"payloads": [{}] * 1001},
    {"payloads": {}},
]


@pytest.mark.parametrize("what", ["decode", "encode"])
@pytest.mark.parametrize("body", GARBAGE, ids=repr)
async def test_garbage_is_the_callers_fault(codec: Codec, what: str, body: Any) -> None:
    answer = await codec.http.post(f"/codec/{what}", json=body, headers=key(codec.house.owner))
    assert answer.status_code == 422, answer.text


STRANGE: list[Any] = [
    {},
    {"metadata": None},
    {"metadata": {"a": 1}},
    {"metadata": [1]},
    {"data": 5},
    {"data": "%%%"},
    {"data": {"a": [None]}},
    {"externalPayloads": 3},
    {"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}, "data": "AAAA"},
    {"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA==", "workflow-id": "/w=="}, "data": "AAAA"},
    {"unknown": {"deep": [[[[]]]]}},
]


@pytest.mark.parametrize("payload", STRANGE, ids=repr)
async def test_what_is_no_payload_comes_back_as_it_was(codec: Codec, payload: Any) -> None:
    assert await codec.decoded([payload], key(codec.house.owner)) == [payload]


async def test_a_sealed_payload_that_was_changed_stays_as_it_is(codec: Codec) -> None:
    sealed = await codec.sealed(codec.id())
    moved = {
        **sealed,
        "metadata": {**sealed["metadata"], "workflow-id": base64.b64encode(codec.id().encode()).decode()},
    }
    unknown = {
        **sealed,
        "metadata": {
            **sealed["metadata"],
            "workflow-id": base64.b64encode(str(WorkflowId(uuid4(), "workflow", uuid4())).encode()).decode(),
        },
    }
    short = {**sealed, "data": sealed["data"][:40]}
    assert await codec.decoded([moved, unknown, short], key(codec.house.owner)) == [moved, unknown, short]


async def test_too_much_is_refused_before_it_is_read(codec: Codec) -> None:
    for headers in (key(codec.house.owner), {}):
        answer = await codec.http.post(
            "/codec/decode",
            content=b" " * (9 * 1024 * 1024),
            headers={**headers, "Content-Type": "application/json"},
        )
        assert answer.status_code == 413
    large = json.dumps({"payloads": [{"data": "A" * (3 * 1024 * 1024)}]}).encode()
    answer = await codec.http.post(
        "/codec/decode", content=large, headers={**key(codec.house.owner), "Content-Type": "application/json"}
    )
    assert answer.status_code == 200


async def test_sealing_needs_an_execution_of_ones_own_and_the_permission(codec: Codec) -> None:
    row = await codec.house.put("workflow_executions")
    id = codec.id(execution_id=row["id"])
    named = {"X-Workflow-Id": id}
    answer = await codec.ask("encode", [PLAIN], {**key(codec.house.owner), **named})
    assert answer.status_code == 200, answer.text
    [sealed] = answer.json()["payloads"]
    assert codec.sealing.workflow_of(sealed) == id
    assert await codec.sealing.open(sealed) == PLAIN
    for who, headers, status in (
        (codec.house.owner, {}, 422),
        (codec.house.owner, {"X-Workflow-Id": "nonsense"}, 422),
        (codec.house.owner, {"X-Workflow-Id": codec.id()}, 404),
        (codec.house.stranger, named, 404),
        (codec.house.reviewer, named, 403),
    ):
        answer = await codec.ask("encode", [PLAIN], {**key(who), **headers})
        assert answer.status_code == status, answer.text
    answer = await codec.ask("encode", [{"data": 5}], {**key(codec.house.owner), **named})
    assert answer.status_code == 422
    [entry] = await codec.noted()
    assert (entry["action"], entry["resource_id"]) == ("payloads.encode", str(row["id"]))


async def test_an_api_key_reads_its_organization_alone(codec: Codec) -> None:
    """The owner of the key may be a member elsewhere: the key is not."""
    async with codec.house.admin.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO user_organizations (organization_id, user_id, role_id, status)"
                " SELECT :organization, :user, id, 'active' FROM roles"
                " WHERE name = 'owner' AND organization_id IS NULL"
            ),
            {"organization": codec.house.stranger.organization_id, "user": codec.house.owner.id},
        )
    foreign = [await codec.sealed(codec.id(codec.house.stranger.organization_id))]
    assert await codec.decoded(foreign, key(codec.house.owner)) == foreign
