"""Bad input of every kind: a 4xx problem naming place and mend, never a 500, and nothing of ours leaks."""

from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import InterfaceError

from domain.blobs import BlobsUnavailable
from tests.api.conftest import SECURITY, Account, World

JSON = {"Content-Type": "application/json"}


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"/docs#{code}"
    assert body["title"]
    assert body["detail"]
    return body


def places(answer: httpx2.Response) -> dict[str, str]:
    return {each["pointer"]: f"{each['detail']} {each['suggestion']}" for each in answer.json()["errors"]}


async def send(account: Account, raw: bytes, path: str = "/v1/me/api-keys") -> httpx2.Response:
    return await account.post(path, content=raw, headers=JSON)


async def test_every_problem_of_a_body_is_named_at_once(account: Account) -> None:
    answer = await send(account, b'{"name": 7, "scope": ["x"], "expires_at": "tomorrow"}')
    problem(answer, 422, "invalid")
    named = places(answer)
    assert set(named) == {"#/name", "#/scope", "#/scopes", "#/expires_at"}
    assert "Did you mean 'scopes'?" in named["#/scope"]
    assert "required" in named["#/scopes"]


@pytest.mark.parametrize(
    ("raw", "pointer", "says"),
    [
        (b'{"name": ', "#", "line 1, column 10"),
        (b"", "#", "needs a JSON body"),
        (b"\xff\xfe", "#", "not UTF-8"),
        (b'{"name": NaN}', "#/name", "NaN is not a JSON value"),
        (b'{"name": [1, -Infinity]}', "#/name/1", "not a JSON value"),
        (b'{"name": 1e999}', "#/name", "too large"),
        (b'{"name": 9223372036854775808}', "#/name", "64 bits"),
        (b'{"name": ' + b"9" * 5000 + b"}", "#/name", "64 bits"),
        (b'{"name": "a\\u0000b"}', "#/name", "NUL"),
        (b'{"a/b~": ["\\ud800"]}', "#/a~1b~0/0", "surrogate"),
        (b'{"\\udfff": 1}', "#", "surrogate"),
        (b'{"name": 1, "name": 2}', "#/name", "twice"),
        (b"[" * 100_000, "#", "deeper than 64"),
        (b'{"name": ' + b"[" * 65 + b"]" * 65 + b"}", "#", "deeper than 64"),
        (b"[]", "#", ""),
        (b"null", "#", ""),
    ],
)
async def test_hostile_json_is_refused_where_it_is(
    account: Account, raw: bytes, pointer: str, says: str
) -> None:
    answer = await send(account, raw)
    problem(answer, 422, "invalid")
    assert pointer in places(answer), answer.text
    assert says in places(answer)[pointer]


async def test_brackets_inside_text_are_not_depth(account: Account) -> None:
    answer = await send(account, b'{"name": "' + b"[" * 150 + b'\\"[", "scopes": ["tasks:read"]}')
    assert answer.status_code == 201


async def test_whole_surrogate_pairs_are_welcome(account: Account) -> None:
    answer = await send(account, b'{"name": "\\ud83c\\udf31", "scopes": ["tasks:read"]}')
    assert answer.status_code == 201
    assert answer.json()["name"] == "🌱"


async def test_size_and_type_of_bodies(account: Account) -> None:
    problem(await send(account, b'"' + b"x" * 1_048_576 + b'"'), 413, "payload_too_large")

    async def drip():  # type: ignore[no-untyped-def]  # an endless upload without a declared length
        for _ in range(40):
            yield b"x" * 65_536

    answer = await account.post("/v1/me/api-keys", content=drip(), headers=JSON)
    problem(answer, 413, "payload_too_large")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await account.post("/v1/me/api-keys", content=b"{}", headers={"Content-Type": kind})
        assert "application/json" in str(problem(answer, 415, "unsupported_media_type")["detail"])


async def test_ids_that_are_no_uuids_answer_like_unknown_ones(account: Account) -> None:
    bodies = set()
    for id in (str(uuid4()), "7", "%00", "..%2f..", "a" * 3000, "null"):
        answer = await account.request("DELETE", f"/v1/me/api-keys/{id}")
        if id != "..%2f..":
            problem(answer, 404, "not_found")
            bodies.add(answer.content)
        else:
            assert answer.status_code == 404
    assert len(bodies) == 1


async def test_unknown_addresses_and_methods(account: Account) -> None:
    problem(await account.get("/v1/nothing"), 404, "no_such_route")
    problem(await account.get("/v1/me/"), 404, "no_such_route")
    answer = await account.request("PUT", "/v1/me/api-keys", json={})
    problem(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} & set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1", "1e3", "9" * 400])
async def test_page_sizes_have_bounds(account: Account, limit: str) -> None:
    answer = await account.get(f"/v1/me/api-keys?limit={limit}")
    problem(answer, 422, "invalid")
    assert "query/limit" in places(answer)


@pytest.mark.parametrize("query", ["cursor=%00", "cursor=%ff", "%00=1"])
async def test_unusable_query_strings(account: Account, query: str) -> None:
    problem(await account.get(f"/v1/me/api-keys?{query}"), 422, "invalid")


async def test_a_fault_of_ours_is_logged_under_the_id_it_answers_with(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    @world.app.get("/v1/broken")
    async def broken() -> None:
        raise RuntimeError("the secret of the house")

    answer = await world.http.get("/v1/broken")
    body = problem(answer, 500, "unexpected")
    assert "secret of the house" not in answer.text
    assert str(body["instance"]).startswith("urn:uuid:")
    assert str(body["instance"]) in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_absent_database_is_a_503_that_says_when_to_return(account: Account, world: World) -> None:
    _add(world.app, "/v1/lost", InterfaceError("", None, OSError("connection refused")))
    _add(world.app, "/v1/gone", ConnectionRefusedError("127.0.0.1:5432"))
    for path in ("/v1/lost", "/v1/gone"):
        answer = await world.http.get(path)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert "5432" not in answer.text


async def test_an_absent_storage_is_a_503_that_says_when_to_return(world: World) -> None:
    _add(world.app, "/v1/away", BlobsUnavailable())
    answer = await world.http.get("/v1/away")
    problem(answer, 503, "storage_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def _add(app: FastAPI, path: str, error: Exception) -> None:
    @app.get(path)
    async def failing() -> None:
        raise error


async def test_a_stopped_database(account: Account, world: World) -> None:
    from dataclasses import replace

    from api.app import create_app
    from db.session import Database
    from tests.api.conftest import _client

    nowhere = Database("postgresql://nobody:x@127.0.0.1:9/none")
    app = create_app(replace(world.app.state.collaborators, database=nowhere))
    async with _client(app) as http:
        problem(await http.get("/v1/me", headers=account.headers), 503, "unavailable")
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["parts"]["database"].startswith("unavailable")
        assert (await http.get("/healthz")).json() == {"status": "ok"}
    await nowhere.close()


async def test_every_answer_is_protected(account: Account, world: World) -> None:
    for path in ("/v1/me", "/v1/nothing", "/login", "/docs", "/openapi.json", "/healthz"):
        headers = (await world.http.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert SECURITY.public_url.startswith("http://")
    assert "strict-transport-security" not in headers


async def test_the_openapi_document_knows_our_errors_and_names_every_operation(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = [each for methods in document["paths"].values() for each in methods.values()]
    ids = [each["operationId"] for each in operations]
    assert len(ids) == len(set(ids))
    assert all("_" in each and "-" not in each for each in ids)
    assert all("ProblemDetails" in str(each["responses"]["4XX"]) for each in operations)
    assert "HTTPValidationError" not in str(document)


async def test_the_reference_page_loads_nothing_from_elsewhere(world: World) -> None:
    page = (await world.http.get("/docs")).text
    assert "/v1/me/api-keys" in page
    assert "idempotency_key_reused" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
