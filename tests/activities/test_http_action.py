"""`http.request`: the language's arguments on the wire, and answers back in the execution."""

import base64
import json
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from activities.actions.registry import built_in
from domain.actions import Effect
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault

Serve = Any
Respond = Callable[..., bytes]
JSON = ["Content-Type: application/json"]


class Calling:
    """Runs the action against one peer."""

    def __init__(self, make_context: Any) -> None:
        self.make_context = make_context

    async def __call__(
        self, peer: Any, path: str = "/", *, occurrence: str = "/do/0/step#1", **arguments: Any
    ) -> Any:
        policy = AddressPolicy.allowing([(peer.host, peer.port)])
        context = self.make_context(policy=policy, occurrence=occurrence)
        base = f"http://127.0.0.1:{peer.port}{path}"
        arguments.setdefault("endpoint", base)
        arguments.setdefault("method", "get")
        return await built_in().run("http.request", "1.0.0", context, arguments)


@pytest.fixture
def call(make_context: Any) -> Calling:
    return Calling(make_context)


async def test_json_content_is_the_output(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b'{"id": 1, "price": 2.0}', headers=JSON))
    assert await call(peer, "/pet/1") == {"id": 1, "price": 2}


async def test_variables_and_query_reach_the_wire_encoded(
    call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(b"ok"))
    query = {"q": "a b&c", "tag": ["x", "y"], "none": None, "yes": True}
    await call(peer, "/pet/{id}?fixed=1", variables={"id": "a/../b"}, query=query)
    assert peer.requests[0].startswith(
        b"GET /pet/a%2F..%2Fb?fixed=1&q=a+b%26c&tag=x&tag=y&yes=true HTTP/1.1\r\n"
    )


async def test_an_object_body_is_json(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"ok"))
    await call(peer, method="POST", body={"a": "ü"})
    assert peer.header("content-type") == "application/json"
    assert json.loads(peer.requests[0].partition(b"\r\n\r\n")[2]) == {"a": "ü"}


async def test_a_form_body_follows_its_content_type(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"ok"))
    await call(
        peer,
        method="POST",
        body={"a": "b c", "n": 1},
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert peer.requests[0].endswith(b"\r\n\r\na=b+c&n=1")


async def test_a_text_body_is_sent_as_it_is(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"ok"))
    await call(peer, method="PUT", body="<a/>", headers={"Content-Type": "application/xml"})
    assert peer.requests[0].endswith(b"\r\n\r\n<a/>")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_carries_the_effect_key_and_a_repeat_the_same(
    method: str, call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(b"ok"))
    await call(peer, method=method)
    await call(peer, method=method)
    await call(peer, method=method, occurrence="/do/0/step#2")
    keys = [peer.header("idempotency-key", index) for index in range(3)]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] is not None
    assert keys[0].endswith("/do/0/step#1")


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_read_carries_no_key(method: str, call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response())
    await call(peer, method=method)
    assert peer.header("idempotency-key") is None


async def test_the_authors_own_key_wins(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"ok"))
    await call(peer, method="POST", headers={"idempotency-key": "order-7"})
    assert peer.requests[0].lower().count(b"idempotency-key") == 1
    assert peer.header("idempotency-key") == "order-7"


async def test_the_whole_response_shows_the_request_without_credentials(
    call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(b'{"a": 1}', headers=[*JSON, "X-Y: z"], status="201 Created"))
    endpoint = {
        "uri": f"http://127.0.0.1:{peer.port}/x",
        "authentication": {"basic": {"username": "ann", "password": "secret"}},
    }
    output = await call(peer, endpoint=endpoint, method="POST", output="response")
    assert peer.header("authorization") == "Basic " + base64.b64encode(b"ann:secret").decode()
    assert output["statusCode"] == 201
    assert output["content"] == {"a": 1}
    assert output["headers"]["x-y"] == "z"
    assert output["request"]["method"] == "POST"
    assert output["request"]["uri"] == f"http://127.0.0.1:{peer.port}/x"
    assert output["request"]["headers"]["authorization"] == "[withheld]"
    assert "secret" not in json.dumps(output)


async def test_raw_is_base64(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"\x00\xff"))
    assert await call(peer, output="raw") == base64.b64encode(b"\x00\xff").decode()


async def test_nothing_is_null(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(status="204 No Content", length=False))
    assert await call(peer) is None


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "503 Service Unavailable"])
async def test_an_error_status_is_a_fault_with_the_beginning_of_the_body(
    status: str, call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(b"because\r\n\x00" + b"x" * 5000, status=status))
    with pytest.raises(Fault) as caught:
        await call(peer)
    code, _, reason = status.partition(" ")
    fault = caught.value
    assert (fault.type.rpartition("/")[2], fault.status, fault.title) == ("communication", int(code), reason)
    assert (fault.detail or "").startswith("because")
    assert len(fault.detail or "") < 600


async def test_a_redirect_is_an_error_unless_asked_for(
    call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(status="302 Found", headers=["Location: /b"]))
    with pytest.raises(Fault, match="set redirect: true") as caught:
        await call(peer)
    assert caught.value.status == 302
    assert peer.connections == 1


@pytest.mark.parametrize("output", ["content", "response", "raw"])
async def test_a_response_beyond_the_value_limit_names_it(
    output: str, call: Calling, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(b'"' + b"a" * 140_000 + b'"', headers=JSON))
    with pytest.raises(Fault, match="131072 bytes"):
        await call(peer, output=output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"methd": "GET"}, "did you mean method?"),
        ({"endpoint": "http://x/", "method": "BREW"}, "method must be one of"),
        ({"endpoint": {"url": "http://x/"}}, "uri is missing"),
        ({"redirect": "yes"}, "/redirect"),
        ({"output": "all"}, "/output"),
        ({"headers": {"A": {"b": 1}}}, "/headers/A"),
        ({"query": {"a": {"b": 1}}}, "/query/a"),
        ({"headers": {"Host": "x"}}, "Host is set by the platform"),
        ({"headers": {"A": "b\r\nC: d"}}, "one line"),
        ({"variables": {"x": [1]}, "endpoint": "http://h/{x}"}, "is an array"),
        (
            {"endpoint": {"uri": "http://x/", "authentication": {"digest": {}}}},
            "digest",
        ),
    ],
)
async def test_wrong_arguments_are_named(arguments: dict[str, Any], words: str, make_context: Any) -> None:
    given = {"method": "GET", "endpoint": "http://example.com/"} | arguments
    with pytest.raises(Fault) as caught:
        await built_in().run("http.request", "1.0.0", make_context(), given)
    assert caught.value.status == 400
    assert words in (caught.value.detail or "")


async def test_the_organizations_policy_decides(make_context: Any, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"secret"))
    arguments = {"method": "GET", "endpoint": f"http://127.0.0.1:{peer.port}/"}
    with pytest.raises(Fault, match="refused by the platform") as caught:
        await built_in().run("http.request", "1.0.0", make_context(), arguments)
    assert caught.value.status == 403
    assert peer.connections == 0


@pytest.mark.parametrize(("method", "retried"), [("GET", True), ("POST", False)])
async def test_an_unreachable_service_is_tried_again_only_when_that_is_safe(
    method: str, retried: bool, call: Calling, serve: Serve, response: Respond
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    peer = SimpleNamespace(host="127.0.0.1", port=port)
    with pytest.raises(Fault, match="could not connect") as caught:
        await call(peer, method=method)
    assert caught.value.transient is retried
    with pytest.raises(Fault, match="could not connect") as caught:
        await call(peer, method=method, idempotent=True)
    assert caught.value.transient is True


async def test_a_connection_broken_after_the_request_is_transient_silence(
    call: Calling, serve: Serve
) -> None:
    peer = await serve(b"")
    with pytest.raises(Fault) as caught:
        await call(peer, method="POST", body={})
    assert caught.value.transient is True
    assert caught.value.detail == "127.0.0.1 closed the connection before its answer had ended"
    assert len(peer.requests) == 1


async def test_bytes_that_are_no_http_are_told_so(call: Calling, serve: Serve) -> None:
    peer = await serve(b"220 mail.example ESMTP\r\n\r\n")
    with pytest.raises(Fault, match="does not speak proper HTTP"):
        await call(peer)


async def test_an_answer_is_never_transient(call: Calling, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"", status="503 Service Unavailable"))
    with pytest.raises(Fault) as caught:
        await call(peer)
    assert caught.value.transient is False


@pytest.mark.parametrize(
    ("arguments", "effect"),
    [
        ({"method": "get"}, Effect.IDEMPOTENT),
        ({"method": "DELETE"}, Effect.IRREVERSIBLE),
        ({"method": "POST"}, Effect.IRREVERSIBLE),
        ({"method": "POST", "idempotent": True}, Effect.KEYED),
    ],
)
def test_the_effect_depends_on_the_arguments(arguments: dict[str, Any], effect: Effect) -> None:
    given = {"endpoint": "http://example.com/"} | arguments
    assert built_in().effect("http.request", "1.0.0", given) is effect
