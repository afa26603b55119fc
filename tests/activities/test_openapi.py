"""`openapi.request`: documents of three versions, parameters on the wire, and documents that mean harm."""

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.actions import openapi_documents
from activities.actions.registry import built_in
from activities.gateways.http_client import GuardedHttpClient, Limits
from activities.gateways.memory import Memory
from domain.actions import Effect
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault
from tests.activities.authority import Answer, Authority, Seen, Site
from tests.activities.test_http_client import certificate

Call = Callable[..., Awaitable[Any]]


def swagger(port: int) -> dict[str, Any]:
    """What matters of the public pet store's document."""
    pet = {"type": "object", "required": ["name"], "properties": {"id": {}, "name": {}, "tags": {}}}
    return {
        "swagger": "2.0",
        "host": f"127.0.0.1:{port}",
        "basePath": "/v2",
        "schemes": ["http"],
        "consumes": ["application/json"],
        "paths": {
            "/pet": {
                "post": {
                    "operationId": "addPet",
                    "consumes": ["application/xml", "application/json"],
                    "parameters": [
                        {
                            "in": "body",
                            "name": "pet",
                            "required": True,
                            "schema": {"$ref": "#/definitions/Pet"},
                        }
                    ],
                }
            },
            "/pet/findByStatus": {
                "get": {
                    "operationId": "findPetsByStatus",
                    "parameters": [
                        {"name": "status", "in": "query", "required": True, "collectionFormat": "multi"},
                        {"name": "sizes", "in": "query", "type": "array"},
                    ],
                }
            },
            "/pet/{petId}": {
                "parameters": [{"name": "petId", "in": "path", "required": True, "type": "integer"}],
                "get": {"operationId": "getPetById"},
                "post": {
                    "operationId": "updatePetWithForm",
                    "consumes": ["application/x-www-form-urlencoded"],
                    "parameters": [
                        {"name": "name", "in": "formData", "required": True},
                        {"name": "status", "in": "formData"},
                    ],
                },
                "delete": {"operationId": "deletePet", "parameters": [{"name": "api_key", "in": "header"}]},
            },
            "/pet/{petId}/uploadImage": {
                "post": {
                    "operationId": "uploadFile",
                    "consumes": ["multipart/form-data"],
                    "parameters": [
                        {"$ref": "#/parameters/petId"},
                        {"name": "note", "in": "formData"},
                    ],
                }
            },
        },
        "parameters": {"petId": {"name": "petId", "in": "path", "required": True}},
        "definitions": {"Pet": {"allOf": [pet, {"properties": {"status": {}}}]}},
    }


def three(**operation: Any) -> dict[str, Any]:
    """A document of OpenAPI 3.1 with one operation `go` at `/go/{id}`."""
    return {
        "openapi": "3.1.0",
        "servers": [{"url": "/api/{stage}", "variables": {"stage": {"default": "live"}}}],
        "paths": {
            "/go/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True}],
                "post": {"operationId": "go", **operation},
            }
        },
    }


@pytest.fixture
async def site(serve: Any) -> Site:
    """Answers every path with what arrived there, and `/doc` with the document it is given."""

    class Echoing(dict):  # type: ignore[type-arg]
        def get(self, path: str, otherwise: Any = None) -> Any:
            return super().get(path, echo)

    def echo(seen: Seen) -> Answer:
        return (
            200,
            {},
            {"method": seen.method, "path": seen.path, "query": seen.query, "body": seen.body.decode()},
        )

    site = Site(Echoing())
    site.peer = await serve(site)
    site.routes["/doc"] = lambda _: (200, {}, swagger(site.peer.port))
    return site


@pytest.fixture
def call(site: Site, make_context: Any) -> Call:
    """`await call("getPetById", petId=1)`; arguments of the call itself under `given`."""
    organization: UUID = uuid4()
    operations: Memory[Any] = Memory()

    async def call(
        operation: str,
        *,
        given: dict[str, Any] | None = None,
        by: UUID | None = None,
        policy: AddressPolicy | None = None,
        **parameters: Any,
    ) -> Any:
        policy = policy or AddressPolicy.allowing([("127.0.0.1", site.peer.port)])
        context = make_context(policy=policy, organization_id=by or organization, operations=operations)
        arguments = {
            "document": {"endpoint": f"{site.url}/doc"},
            "operationId": operation,
            "parameters": parameters,
        }
        return await built_in().run("openapi.request", "1.0.0", context, arguments | (given or {}))

    return call


def publish(site: Site, document: Any) -> None:
    site.routes["/doc"] = lambda _: (200, {}, document)


async def refusal(call: Awaitable[Any]) -> Fault:
    with pytest.raises(Fault) as caught:
        await call
    return caught.value


# The pet store, as the conformance kit calls it


async def test_a_path_parameter(call: Call, site: Site) -> None:
    assert (await call("getPetById", petId=7))["path"] == "/v2/pet/7"
    assert site.seen[-1].method == "GET"
    assert "idempotency-key" not in site.seen[-1].headers


async def test_the_whole_response(call: Call, site: Site) -> None:
    output = await call("getPetById", petId=1, given={"output": "response"})
    assert output["statusCode"] == 200
    assert output["request"]["method"] == "GET"
    assert output["request"]["uri"] == f"{site.url}/v2/pet/1"
    assert output["request"]["headers"]["accept"].startswith("application/json")


async def test_query_parameters_in_their_formats(call: Call) -> None:
    answered = await call("findPetsByStatus", status=["a b", "c&d"], sizes=[1, 2])
    assert answered["query"] == {"status": ["a b", "c&d"], "sizes": ["1,2"]}


async def test_a_body_by_its_name_by_body_or_by_its_fields(call: Call, site: Site) -> None:
    for parameters in ({"pet": {"name": "x"}}, {"body": {"name": "x"}}, {"name": "x"}):
        answered = await call("addPet", **parameters)
        assert json.loads(answered["body"]) == {"name": "x"}
        assert site.seen[-1].headers["content-type"] == "application/json"
        assert site.seen[-1].headers["idempotency-key"].endswith("/do/0/step#1")
    fault = await refusal(call("addPet", pet={}, name="x"))
    assert "choose one way" in (fault.detail or "")


async def test_a_form(call: Call, site: Site) -> None:
    answered = await call("updatePetWithForm", petId=3, name="a b")
    assert (answered["path"], answered["body"]) == ("/v2/pet/3", "name=a+b")
    assert site.seen[-1].headers["content-type"] == "application/x-www-form-urlencoded"
    assert "'name' (form)" in str(await refusal(call("updatePetWithForm", petId=3, status="x")))


async def test_a_form_of_parts(call: Call, site: Site) -> None:
    answered = await call("uploadFile", petId=3, note='a\r\n--x"')
    boundary = site.seen[-1].headers["content-type"].partition("boundary=")[2]
    head = 'Content-Disposition: form-data; name="note"'
    assert answered["body"] == f'--{boundary}\r\n{head}\r\n\r\na\r\n--x"\r\n--{boundary}--\r\n'


async def test_a_header_is_one_line(call: Call, site: Site) -> None:
    await call("deletePet", petId=1, api_key="k")
    assert site.seen[-1].headers["api_key"] == "k"
    assert "one line" in str(await refusal(call("deletePet", petId=1, api_key="k\r\nX: y")))


@pytest.mark.parametrize("value", ["..", ".", ""])
async def test_a_parameter_cannot_leave_its_place_in_the_path(value: str, call: Call) -> None:
    assert "which path is called" in str(await refusal(call("getPetById", petId=value)))
    assert (await call("getPetById", petId="../x/{petId}?#"))["path"] == "/v2/pet/..%2Fx%2F%7BpetId%7D%3F%23"


@pytest.mark.parametrize(
    ("operation", "parameters", "words"),
    [
        ("getPetByID", {}, "did you mean 'getPetById'?"),
        ("zzz", {}, "it has addPet"),
        ("getPetById", {}, "needs 'petId' (path)"),
        ("getPetById", {"petId": None}, "needs 'petId' (path)"),
        ("getPetById", {"petid": 1}, "did you mean 'petId'?"),
        ("findPetsByStatus", {"status": {"a": [1]}}, "nested deeper"),
        ("addPet", {}, "needs 'pet' (the request body)"),
        ("addPet", {"nme": 1}, "did you mean 'name'?"),
    ],
)
async def test_what_is_wrong_is_named(
    operation: str, parameters: dict[str, Any], words: str, call: Call, site: Site
) -> None:
    fault = await refusal(call(operation, **parameters))
    assert fault.status == 400
    assert words in (fault.detail or "")
    assert [each.path for each in site.seen] == ["/doc"]


async def test_a_status_is_a_fault_and_redirects_are_wanted_or_not(call: Call, site: Site) -> None:
    site.routes["/v2/pet/1"] = lambda _: (302, {"Location": "/v2/pet/2"}, {})
    assert (await refusal(call("getPetById", petId=1))).status == 302
    assert (await call("getPetById", petId=1, given={"redirect": True}))["path"] == "/v2/pet/2"
    site.routes["/v2/pet/1"] = lambda _: (304, {}, b"")
    assert (await call("getPetById", petId=1, given={"redirect": True})) is None
    site.routes["/v2/pet/1"] = lambda _: (404, {}, {"message": "gone"})
    assert "gone" in str(await refusal(call("getPetById", petId=1)))


# OpenAPI 3


@pytest.mark.parametrize(
    ("parameter", "value", "query"),
    [
        ({}, ["a", "b"], "p=a&p=b"),
        ({"explode": False}, ["a,b", "c"], "p=a%2Cb,c"),
        ({"style": "pipeDelimited", "explode": False}, ["a", "b"], "p=a%7Cb"),
        ({"style": "spaceDelimited", "explode": False}, ["a", "b"], "p=a%20b"),
        ({"style": "deepObject", "explode": True}, {"a": 1, "b&": True}, "p%5Ba%5D=1&p%5Bb%26%5D=true"),
        ({}, {"a": 1}, "a=1"),
        ({"explode": False}, {"a": 1, "b": 2.5}, "p=a,1,b,2.5"),
        (
            {"content": {"application/json": {}}},
            {"a": [1, {"b": 2}]},
            "p=%7B%22a%22%3A%5B1%2C%7B%22b%22%3A2%7D%5D%7D",
        ),
        ({"allowReserved": True}, "a/b&c#d", "p=a/b%26c%23d"),
        ({}, "x", "p=x"),
    ],
)
async def test_styles_of_the_query(
    parameter: dict[str, Any], value: Any, query: str, call: Call, site: Site
) -> None:
    publish(site, three(parameters=[{"name": "p", "in": "query", **parameter}]))
    await call("go", id=1, p=value)
    assert site.peer.requests[-1].split(b" ")[1].decode() == f"/api/live/go/1?{query}"


@pytest.mark.parametrize(
    ("style", "explode", "value", "path"),
    [
        ("simple", False, ["a", "b"], "a,b"),
        ("simple", True, {"a": 1, "b": 2}, "a=1,b=2"),
        ("simple", False, {"a": 1}, "a,1"),
        ("label", False, "x", ".x"),
        ("label", True, ["a", "b"], ".a.b"),
        ("matrix", False, ["a", "b"], ";id=a,b"),
        ("matrix", True, ["a", "b"], ";id=a;id=b"),
        ("matrix", True, {"a": 1, "b": 2}, ";a=1;b=2"),
    ],
)
async def test_styles_of_the_path(
    style: str, explode: bool, value: Any, path: str, call: Call, site: Site
) -> None:
    own = {"name": "id", "in": "path", "required": True, "style": style, "explode": explode}
    publish(site, three(parameters=[own]))
    assert (await call("go", id=value))["path"] == f"/api/live/go/{path}"


async def test_bodies_of_three(call: Call, site: Site) -> None:
    publish(site, three(requestBody={"$ref": "#/components/requestBodies/B"}))
    document = three(requestBody={"$ref": "#/components/requestBodies/B"})
    content = {"text/plain": {}, "application/vnd.x+json": {"schema": {"properties": {"a": {}, "id": {}}}}}
    document["components"] = {"requestBodies": {"B": {"required": True, "content": content}}}
    publish(site, document)
    assert json.loads((await call("go", id=1, a=2))["body"]) == {"a": 2}
    assert site.seen[-1].headers["content-type"] == "application/vnd.x+json"
    assert json.loads((await call("go", id=1, body=[1]))["body"]) == [1]
    assert "(the request body)" in str(await refusal(call("go", id=1)))


async def test_cookies_and_headers_of_the_call_itself(call: Call, site: Site) -> None:
    publish(
        site,
        three(
            parameters=[
                {"name": "sid", "in": "cookie"},
                {"name": "Authorization", "in": "header", "required": True},
                {"name": "X-L", "in": "header"},
            ]
        ),
    )
    await call("go", id=1, sid="a;b", **{"X-L": [1, 2]})
    assert site.seen[-1].headers["cookie"] == "sid=a%3Bb"
    assert site.seen[-1].headers["x-l"] == "1,2"
    assert "authorization" not in site.seen[-1].headers


async def test_yaml_and_a_document_behind_a_redirect(call: Call, site: Site) -> None:
    text = "openapi: 3.0.3\nservers: [{url: ./v1}]\npaths:\n  /x:\n    get: {operationId: go}\n"
    site.routes["/doc"] = lambda _: (302, {"Location": "/docs/api.yaml"}, b"")
    site.routes["/docs/api.yaml"] = lambda _: (200, {}, text.encode())
    assert (await call("go"))["path"] == "/docs/v1/x"


# What is remembered


async def test_a_document_is_fetched_once_for_an_organization_and_an_operation(
    call: Call, site: Site
) -> None:
    for _ in range(3):
        await call("getPetById", petId=1)
    assert len(site.asked("/doc")) == 1
    await call("getPetById", petId=1, by=uuid4())
    assert len(site.asked("/doc")) == 2


async def test_a_failure_is_not_remembered(call: Call, site: Site) -> None:
    publish(site, {})
    await refusal(call("getPetById", petId=1))
    publish(site, swagger(site.peer.port))
    await call("getPetById", petId=1)


def test_what_is_remembered_is_bounded_and_grows_old() -> None:
    clock = iter([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 100.0])
    memory: Memory[int] = Memory(capacity=2, seconds=50, clock=lambda: next(clock))
    memory.put("a", 1)
    memory.put("b", 2)
    assert memory.get("a") == 1
    memory.put("c", 3)
    assert (memory.get("b"), memory.get("a"), memory.get("c")) == (None, 1, 3)
    assert memory.get("c") is None


# Authentication


async def test_credentials_for_the_document_and_for_the_operation(
    call: Call, site: Site, make_context: Any, serve: Any
) -> None:
    endpoint = {"uri": f"{site.url}/{{name}}", "authentication": {"bearer": {"token": "reader"}}}
    given = {
        "document": {"name": "pets", "endpoint": endpoint},
        "variables": {"name": "doc"},
        "authentication": {"basic": {"username": "a", "password": "b"}},
    }
    await call("getPetById", petId=1, given=given)
    assert [each.headers["authorization"].split(" ")[0] for each in site.seen] == ["Bearer", "Basic"]


async def test_oauth2_for_an_operation(serve: Any, make_context: Any) -> None:
    authority = Authority()
    authority.site.peer = await serve(authority.site)
    document = {"openapi": "3.0.0", "paths": {"/api": {"get": {"operationId": "api"}}}}
    authority.site.routes["/doc"] = lambda _: (200, {}, document)
    policy = {
        "authority": authority.realm,
        "grant": "client_credentials",
        "client": {"id": "runtime", "secret": "s3cret/+&"},
    }
    arguments = {
        "document": {"endpoint": f"{authority.site.url}/doc"},
        "operationId": "api",
        "authentication": {"oauth2": policy},
    }
    context = make_context(policy=AddressPolicy.allowing([("127.0.0.1", authority.site.peer.port)]))
    answered = await built_in().run("openapi.request", "1.0.0", context, arguments)
    assert answered["token"] == "[secret access_token]"


async def test_credentials_stay_behind_tls(serve: Any, tmp_path: Path, make_context: Any) -> None:
    server, trust = certificate(tmp_path, "127.0.0.1")
    plain = Site({"/x": lambda _: (200, {}, {"ok": True})})
    plain.peer = await serve(plain)
    document = {
        "openapi": "3.0.0",
        "servers": [{"url": plain.url}],
        "paths": {"/x": {"get": {"operationId": "x"}}},
    }
    safe = Site({"/doc": lambda _: (200, {}, document)})
    safe.peer = await serve(safe, tls=server)
    assert isinstance(trust, ssl.SSLContext)
    policy = AddressPolicy.allowing([("127.0.0.1", site.peer.port) for site in (plain, safe)])
    context = make_context(policy=policy, http=GuardedHttpClient(limits=Limits(total=5), tls=trust))
    arguments: dict[str, Any] = {
        "document": {"endpoint": f"https://127.0.0.1:{safe.peer.port}/doc"},
        "operationId": "x",
    }
    run = built_in().run
    assert await run("openapi.request", "1.0.0", context, arguments) == {"ok": True}
    arguments["authentication"] = {"bearer": {"token": "t"}}
    with pytest.raises(Fault, match="came over https"):
        await run("openapi.request", "1.0.0", context, arguments)
    assert len(plain.seen) == 1


# Hostile documents


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "not an object"),
        ({}, "its version"),
        ({"openapi": "4.0.0"}, "expected OpenAPI 3.0"),
        ({"swagger": "1.2"}, "its version is '1.2'"),
        ({"openapi": ["3.0"]}, "its version"),
        ({"openapi": "3.0.0"}, "no operation 'go'; it has none"),
        ({"openapi": "3.0.0", "paths": 5}, "no operation"),
        ({"openapi": "3.0.0", "paths": {"/x": 5, "/y": {"get": 5}}}, "no operation"),
        ({"openapi": "3.0.0", "paths": {"/x": {"$ref": "#/paths/~1x"}}}, "no operation"),
        (three(parameters=[{"$ref": "#/a"}]) | {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}}, "in a circle"),
        (three(parameters=[{"$ref": "#/nowhere/at/all"}]), "leads nowhere"),
        (three(parameters=[{"$ref": "other.json#/x"}]), "another document"),
        (three(parameters=[{"$ref": "http://169.254.169.254/"}]), "another document"),
        (three(parameters=[{"$ref": 5}]), "another document"),
        (three(parameters=[{"name": "a", "in": "body"}]), "nowhere a call can put it"),
        (three(parameters=[{"name": f"p{n}", "in": "query"} for n in range(500)]), "more than 200"),
        (three(requestBody={"content": {}}), "no content type"),
        (three(servers=[{"url": "http://169.254.169.254"}]), "public"),
        (three(servers=[{"url": "file:///etc"}]), "no web address"),
        (three(servers=[{"url": "http://{host}/"}]), "without a default"),
        (three(servers=[{"url": "http://[/"}]), "no web address"),
        (
            three(servers=[{"url": "{a}", "variables": {"a": {"default": "{a}{a}" * 100}}}]),
            "without a default",
        ),
        (three(servers=[{"url": "http://u:p@127.0.0.1/"}]), "user name"),
        (three() | {"paths": {f"/{n}": {"get": {"operationId": "go"}} for n in range(2)}}, "2 operations"),
        (three() | {"paths": {"/{x}/": {"get": {"operationId": "go"}}}}, "no parameter fills"),
    ],
)
async def test_a_document_that_cannot_be_used_says_why(
    document: Any, words: str, call: Call, site: Site
) -> None:
    publish(site, document)
    takes_id = "/go/{id}" in json.dumps(document)
    fault = await refusal(call("go", **({"id": 1} if takes_id else {})))
    assert fault.status in (400, 403)
    assert words in (fault.detail or "")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "neither JSON nor YAML"),
        (b'{"a": ', "neither JSON nor YAML"),
        (b'{"a": ' * 50_000, "nested too deeply"),
        (b"a: &x [*x]\n", "cannot be read"),
        (b"a: 1\n" * 60_000, "256 KB"),
        (b"<html>", "not an object"),
    ],
)
async def test_what_is_no_document_says_why(body: bytes, words: str, call: Call, site: Site) -> None:
    site.routes["/doc"] = lambda _: (200, {}, body)
    fault = await refusal(call("go"))
    assert words in (fault.detail or "")


async def test_a_bomb_and_a_flood_end_at_the_limit(call: Call, site: Site) -> None:
    site.routes["/doc"] = lambda _: (200, {}, b"{" + b" " * 6_000_000)
    assert (await refusal(call("go"))).status == 413


async def test_wide_schemas_are_looked_at_within_bounds(call: Call, site: Site) -> None:
    document = three(requestBody={"content": {"application/json": {"schema": {"$ref": "#/s/a"}}}})
    parts = [{"$ref": "#/s/a"}] * 1000
    document["s"] = {"a": {"allOf": parts, "properties": {f"f{n}": {} for n in range(5000)}}}
    publish(site, document)
    assert (await call("go", id=1, body=1))["body"] == "1"


async def test_a_slow_document_is_not_waited_for(
    call: Call, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi_documents, "PATIENCE", 0.2)

    async def slow(_: Seen) -> Answer:
        await asyncio.sleep(5)
        return 200, {}, {}

    site.routes["/doc"] = slow
    fault = await refusal(call("go"))
    assert (fault.status, fault.transient) == (504, False)
    assert (await refusal(call("go", given={"idempotent": True}))).transient is True


async def test_a_document_in_an_inner_network_is_refused(call: Call) -> None:
    fault = await refusal(call("go", given={"document": {"endpoint": "http://169.254.169.254/"}}))
    assert fault.status == 403


async def test_a_missing_document_says_so(call: Call, site: Site) -> None:
    site.routes["/doc"] = lambda _: (404, {}, {"m": 1})
    fault = await refusal(call("go"))
    assert fault.status == 404
    assert (fault.detail or "").startswith("the OpenAPI document:")


async def test_whether_it_may_be_repeated_is_read_in_the_document(site: Site, make_context: Any) -> None:
    context = make_context(policy=AddressPolicy.allowing([("127.0.0.1", site.peer.port)]))
    registry = built_in()
    arguments = {"document": {"endpoint": f"{site.url}/doc"}, "operationId": "getPetById"}

    async def found(**given: Any) -> tuple[Effect, Effect]:
        what = ("openapi.request", "1.0.0")
        after = await registry.effect_found(*what, context, arguments | given)
        return registry.effect(*what, arguments | given), after

    assert await found() == (Effect.IRREVERSIBLE, Effect.IDEMPOTENT)
    assert await found(operationId="addPet") == (Effect.IRREVERSIBLE, Effect.IRREVERSIBLE)
    assert await found(operationId="addPet", idempotent=True) == (Effect.KEYED, Effect.KEYED)
    assert len(site.seen) == 2
    with pytest.raises(Fault):
        await found(operationId="none")


async def test_reading_is_tried_again_and_writing_is_not(call: Call, site: Site, serve: Any) -> None:
    document = swagger(site.peer.port)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    publish(site, document)
    document["host"] = f"127.0.0.1:{port}"
    policy = AddressPolicy.allowing([("127.0.0.1", port), ("127.0.0.1", site.peer.port)])
    for operation, parameters, is_retried in (
        ("getPetById", {"petId": 1}, True),
        ("addPet", {"pet": {}}, False),
    ):
        fault = await refusal(call(operation, policy=policy, **parameters))
        assert fault.title == "Host not reachable"
        assert fault.transient is is_retried
