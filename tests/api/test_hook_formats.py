"""Bodies in every format, handshakes, event ids, synchronous answers, large bodies, and garbage."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from activities.gateways.s3 import S3Blobs
from api import hookrequests
from api.app import create_app
from domain.blobs import BlobMissing
from tests.activities.test_s3 import Server
from tests.api.hooks import SECRET, STANDARD, Sender, hooked, ledger, verdicts
from tests.api.house import House, house
from workers.sweeps import Sweeper

__all__ = ["house"]
LATIN = "text/plain; charset=iso-8859-1"


def last_input(house: House) -> Any:
    return house.dispatcher.told[-1].payload["input"]


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json; charset=utf-8", b'{"a": [1, 2.0]}', {"a": [1, 2]}),
        ("application/vnd.api+json", b"[]", []),
        ("application/json", b'"text"', "text"),
        ("application/x-www-form-urlencoded", b"a=1&b=%C3%A9&b=&c", {"a": "1", "b": ["é", ""], "c": ""}),
        ("text/plain", "grüß".encode(), "grüß"),
        (LATIN, "grüß".encode("latin-1"), "grüß"),
        ("application/xml", b"<a/>", "<a/>"),
        (
            "application/octet-stream",
            b"\x00\xff",
            {"content_type": "application/octet-stream", "base64": "AP8="},
        ),
        ("", b"{}", {"content_type": None, "base64": "e30="}),
        ("application/json", b"", {}),
    ],
)
async def test_what_becomes_input(house: House, content_type: str, body: bytes, expected: Any) -> None:
    hook = await hooked(house)
    answer = await hook.send(body=body, content_type=content_type)
    assert answer.status_code == 202, answer.text
    assert last_input(house) == expected


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b'{"a": "\\u0000"}'),
        ("application/json", b'{"a": "\\ud800"}'),
        ("application/json", b'{"a": 1e999}'),
        ("application/json", b"[" * 70 + b"]" * 70),
        ("application/json", b"[" * 200_000),
        ("application/json", b'{"a": 1, "a": 2}'),
        ("application/json", b"\xff"),
        ("application/x-www-form-urlencoded", b"a=%ff"),
        ("application/x-www-form-urlencoded", b"a=%00"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1_001)),
        ("text/plain", b"\xff"),
        ("text/plain", b"\x00"),
        ("text/plain; charset=utf-7", b"a"),
    ],
)
async def test_what_is_malformed(house: House, content_type: str, body: bytes) -> None:
    hook = await hooked(house)
    answer = await hook.send(body=body, content_type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_malformed")
    assert await verdicts(house) == ["malformed"]


@pytest.mark.parametrize("query", ["?a=%ff", "?a=%00", "?" + "a" * 8_193, "?" + "&".join(["a"] * 1_001)])
async def test_a_query_that_is_no_text_is_malformed(house: House, query: str) -> None:
    hook = await hooked(house)
    answer = await hook.send(query=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_malformed")


async def test_a_format_can_be_prescribed(house: House) -> None:
    hook = await hooked(house, {**STANDARD, "body": "json"})
    await hook.send(body=b'{"a": 1}', content_type="text/plain", event_id="1")
    assert last_input(house) == {"a": 1}
    raw = await hooked(house, {**STANDARD, "body": "raw"})
    await raw.send(body=b'{"a": 1}', event_id="2")
    assert last_input(house) == {"content_type": "application/json", "base64": "eyJhIjogMX0="}


# Which event -------------------------------------------------------------------------------------------------


async def test_github_names_its_deliveries(house: House) -> None:
    hook = await hooked(house, {"scheme": "github"}, secret="a secret of github")
    first = await hook.send({"ref": "main"}, event_id="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    again = await hook.send({"ref": "main"}, event_id="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    other = await hook.send({"ref": "main"}, event_id="another")
    assert [each.json()["duplicate"] for each in (first, again, other)] == [False, True, False]


async def test_stripe_signs_every_attempt_anew_yet_the_event_is_one(house: House) -> None:
    hook = await hooked(house, {"scheme": "stripe"}, secret="whsec_stripe_secret")
    now = int(time.time())
    answers = [await hook.send({"id": "evt_1", "try": number}, now=now - number) for number in range(3)]
    assert [each.json()["duplicate"] for each in answers] == [False, True, True]
    assert (await ledger(house))[0]["event_id"] == "evt_1"


@pytest.mark.parametrize(
    ("place", "headers", "body", "status"),
    [
        ({"header": "X-Request-Id"}, {"x_request_id": "r1"}, {}, 202),
        ({"header": "X-Request-Id"}, {}, {}, 422),
        ({"header": "X-Request-Id"}, {"x_request_id": "r" * 256}, {}, 422),
        ({"expression": "${ .data.id }"}, {}, {"data": {"id": 7}}, 202),
        ({"expression": ".data.id"}, {}, {"data": {}}, 422),
        ({"expression": ".data.id"}, {}, {"data": [1]}, 422),
        ({"expression": "[range(1000000)] | length"}, {}, {}, 422),
    ],
)
async def test_the_event_id_stands_where_it_is_configured(
    house: House, place: Any, headers: dict[str, str], body: Any, status: int
) -> None:
    hook = await hooked(house, {**STANDARD, "event_id": place})
    answers = [await hook.send(body, event_id=f"ignored-{number}", **headers) for number in range(2)]
    assert [each.status_code for each in answers] == [status] * 2
    if status == 202:
        assert [each.json()["duplicate"] for each in answers] == [False, True]
    else:
        assert await verdicts(house) == ["malformed", "malformed"]


async def test_without_an_event_id_equal_requests_are_one_for_five_minutes(house: House) -> None:
    hook = await hooked(house, {"scheme": "bearer"}, secret="the bearer of the tests")
    answers = [await hook.send({"a": 1}), await hook.send({"a": 1}), await hook.send({"a": 2})]
    answers.append(await hook.send({"a": 1}, query="?page=2"))
    assert [each.json()["duplicate"] for each in answers] == [False, True, False, False]
    async with house.admin.begin() as connection:
        aged = "UPDATE webhook_inbox SET received_at = received_at - interval '301 seconds'"
        await connection.execute(text(aged))
    await house.warm()
    later = await asyncio.gather(*(hook.send({"a": 1}) for _ in range(6)))
    assert sorted(each.json()["duplicate"] for each in later) == [False] + [True] * 5
    assert len({each.json()["execution_id"] for each in later}) == 1
    assert later[0].json()["execution_id"] != answers[0].json()["execution_id"]


@pytest.mark.parametrize("ahead", [0, 299])
@pytest.mark.parametrize("signs", ["{timestamp}.{body}", "{body}"])
async def test_a_copied_request_starts_nothing_however_it_is_dressed_up(
    house: House, ahead: int, signs: str
) -> None:
    """A moment ahead of our clock is believed for twice the tolerance, and only the body is signed."""
    signature = {"header": "X-Sig", "signs": signs}
    if "{timestamp}" in signs:
        signature["timestamp_header"] = "X-At"
    configuration = {"scheme": "hmac", "signature": signature, "methods": ["POST", "PUT"]}
    hook = await hooked(house, configuration, secret="a secret of theirs")
    signed_at = int(time.time()) + ahead
    answers = [
        await hook.send({"a": 1}, now=signed_at),
        await hook.send({"a": 1}, now=signed_at, query="?x=1"),
        await hook.send({"a": 1}, now=signed_at, method="PUT", query="?x=2"),
    ]
    if ahead and "timestamp_header" in signature:
        later = datetime.now(UTC) + timedelta(seconds=ahead + 295)
        house.app = create_app(replace(house.app.state.collaborators, clock=lambda: later))
        hook.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(house.app), base_url="http://test")
        answers.append(await hook.send({"a": 1}, now=signed_at, query="?x=3"))
    assert [each.status_code for each in answers] == [202] * len(answers)
    assert [each.json()["duplicate"] for each in answers] == [False] + [True] * (len(answers) - 1)


async def test_the_window_can_be_closed(house: House) -> None:
    configuration = {"scheme": "bearer", "deduplicate_within": "PT0S"}
    hook = await hooked(house, configuration, secret="the bearer of the tests")
    answers = await asyncio.gather(*(hook.send({"a": 1}) for _ in range(4)))
    assert [each.json()["duplicate"] for each in answers] == [False] * 4


# Handshakes and answers --------------------------------------------------------------------------------------


async def test_a_signed_challenge_is_echoed_and_starts_nothing(house: House) -> None:
    hook = await hooked(house, {**STANDARD, "challenge": "json"})
    asked = {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7"}
    answer = await hook.send(asked)
    assert (answer.status_code, answer.json()) == (200, {"challenge": asked["challenge"]})
    assert (await hook.send({**asked, "challenge": ["no", "text"]})).status_code == 422
    assert (await hook.send({**asked, "challenge": "x" * 2_000})).status_code == 422
    hook.secret = SECRET.replace("c2V", "d2V")
    assert (await hook.send(asked)).status_code == 401
    assert house.dispatcher.told == []
    assert await verdicts(house) == ["challenge", "malformed", "malformed", "forged"]


async def test_a_subscription_is_confirmed_by_get(house: House) -> None:
    configuration = {"scheme": "github", "methods": ["GET", "POST"], "challenge": "hub"}
    hook = await hooked(house, configuration, secret="a secret of github")
    token = hook.url.rpartition("/")[2]
    query = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    answer = await hook.http.get(hook.path + query + token)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    assert (await hook.http.get(hook.path + query + "guess")).status_code == 401
    assert (await hook.http.get(hook.path)).status_code == 401
    echoed = await hook.http.get(hook.path + f"?hub.verify_token={token}&hub.challenge=%0a%3Cscript%3E")
    assert echoed.status_code == 422


async def test_a_validation_token_is_echoed(house: House) -> None:
    hook = await hooked(house, {"scheme": "url", "challenge": "validation-token"}, secret=None)
    answer = await hook.http.post(hook.path + "?validationToken=Validation%3A+%3Cb%3E")
    assert (answer.status_code, answer.text) == (200, "Validation: <b>")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await hook.http.post(hook.path, json={"value": []})).status_code == 202


async def test_a_sender_may_wait_for_the_result(house: House) -> None:
    hook = await hooked(house, {**STANDARD, "wait": "PT5S"})

    async def finish(workflow_id: str) -> bool:
        async with house.admin.begin() as connection:
            done = "UPDATE workflow_executions SET status = 'completed', output = '{\"x\": 1}'"
            await connection.execute(text(done))
        return True

    house.dispatcher.finish = finish
    answers = [await hook.send(), await hook.send()]
    assert [each.status_code for each in answers] == [200, 200]
    assert [each.json()["output"] for each in answers] == [{"x": 1}] * 2
    assert [each.json()["duplicate"] for each in answers] == [False, True]
    assert [seconds for _, seconds in house.dispatcher.waited] == [5.0]
    house.dispatcher.finish = None
    late = await hook.send(event_id="evt-2", prefer="wait=1")
    assert late.status_code == 202
    assert house.dispatcher.waited[-1][1] == 1.0


@pytest.mark.parametrize(
    ("prefer", "waited"),
    [
        ("wait=soon", [5.0]),
        ("wait=-1", [5.0]),
        ("wait", [5.0]),
        ("x" * 300, [5.0]),
        ("wait=0", []),
        ("wait=2, wait=3", [2.0]),
        ("respond-async, wait=300", [5.0]),
    ],
)
async def test_no_preference_refuses_an_event(house: House, prefer: str, waited: list[float]) -> None:
    hook = await hooked(house, {**STANDARD, "wait": "PT5S"})
    assert (await hook.send(prefer=prefer)).status_code == 202
    assert [seconds for _, seconds in house.dispatcher.waited] == waited


async def test_a_body_that_never_comes_whole_leaves_a_line(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hookrequests, "PATIENCE_SECONDS", 0.1)
    hook = await hooked(house)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    answer = await hook.http.post(hook.path, content=dripping())
    assert (answer.status_code, answer.json()["code"]) == (422, "webhook_incomplete")
    [line] = await ledger(house)
    assert line["verdict"] == "forged", "what is not whole proves nothing"
    assert "did not arrive completely" in line["reason"]


async def test_nobody_waits_unless_the_trigger_says_so(house: House) -> None:
    hook = await hooked(house)
    assert (await hook.send(prefer="wait=30")).status_code == 202
    assert house.dispatcher.waited == []


# Large bodies ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(Path(tmp_path_factory.mktemp("s3"))).start()
    yield server
    server.kill()


@pytest.fixture
async def blobs(house: House, storage: Server) -> AsyncIterator[S3Blobs]:
    """The house's application with a real store for large bodies."""
    store = S3Blobs(storage.bucket)
    house.app = create_app(replace(house.app.state.collaborators, blobs=store))
    house.owner.http._transport = httpx2.ASGITransport(app=house.app)
    yield store
    store.close()


def large(megabytes: float) -> bytes:
    return json.dumps({"note": "canary " + "x" * int(megabytes * 1024 * 1024)}).encode()


async def test_a_body_of_four_megabytes_goes_sealed_to_the_store(house: House, blobs: S3Blobs) -> None:
    hook = await hooked(house)
    body = large(4)
    answer = await hook.send(body=body)
    assert answer.status_code == 202, answer.text
    [row] = await house.everything("deliveries")
    assert (row["verdict"], row["body"], row["size"]) == ("accepted", None, len(body))
    stored = await blobs.get(row["body_key"])
    assert len(stored) > len(body)
    assert b"canary" not in stored
    reference = last_input(house)
    assert reference == {
        "$delivery": str(row["id"]),
        "size": len(body),
        "sha256": row["sha256"],
        "content_type": "application/json",
    }
    shown = await house.owner.get(f"/v1/deliveries/{row['id']}")
    assert shown.json()["body"].encode() == body
    replayed = await house.owner.post(f"/v1/deliveries/{row['id']}/replay")
    assert replayed.status_code == 202
    assert last_input(house)["$delivery"] == replayed.json()["delivery_id"]
    again = await house.owner.get(f"/v1/deliveries/{replayed.json()['delivery_id']}")
    assert again.json()["body"].encode() == body


async def test_large_duplicates_leave_no_blob_behind(house: House, blobs: S3Blobs) -> None:
    hook = await hooked(house)
    await house.warm()
    answers = await asyncio.gather(*(hook.send(body=large(0.5)) for _ in range(5)))
    assert sorted(each.json()["duplicate"] for each in answers) == [False] + [True] * 4
    rows = await house.everything("deliveries")
    assert sorted(each["verdict"] for each in rows) == ["accepted"] + ["duplicate"] * 4
    for row in rows:
        key = f"{row['organization_id']}/deliveries/{row['id']}"
        if row["verdict"] == "accepted":
            assert row["body_key"] == key
        else:
            assert row["body_key"] is None
            with pytest.raises(BlobMissing):
                await blobs.get(key)


async def test_stored_bodies_are_swept_also_those_nobody_finished(house: House, blobs: S3Blobs) -> None:
    hook = await hooked(house)
    await hook.send(body=large(0.5))
    [row] = await house.everything("deliveries")
    async with house.admin.begin() as connection:
        await connection.execute(text("UPDATE deliveries SET verdict = 'receiving', execution_id = NULL"))
    ahead = datetime.now(UTC) + timedelta(minutes=59)
    assert (await Sweeper(house.database, blobs, lambda: ahead).sweep())["stored bodies"] == 0
    ahead += timedelta(minutes=2)
    assert (await Sweeper(house.database, blobs, lambda: ahead).sweep())["stored bodies"] == 1
    with pytest.raises(BlobMissing):
        await blobs.get(row["body_key"])
    [line] = await ledger(house)
    assert (line["verdict"], line["reason"]) == ("rejected", "We stopped while it was being received.")


async def test_without_a_store_a_large_body_is_refused_to_be_sent_again(house: House) -> None:
    hook = await hooked(house)
    answer = await hook.send(body=large(0.5))
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert await verdicts(house) == ["rejected"]
    assert await house.everything("webhook_inbox") == []


# Garbage -----------------------------------------------------------------------------------------------------

SCHEMES: dict[str, tuple[dict[str, Any], str]] = {
    "standard": ({**STANDARD, "challenge": "json"}, SECRET),
    "stripe": ({"scheme": "stripe"}, "whsec_stripe_secret"),
    "github": ({"scheme": "github", "methods": ["GET", "POST"], "challenge": "hub"}, "a secret of github"),
    "hmac": (
        {
            "scheme": "hmac",
            "signature": {"header": "X-Sig", "encoding": "base64", "timestamp_header": "X-At"},
            "event_id": {"expression": ".a.b[0]"},
        },
        "a secret of theirs",
    ),
    "bearer": ({"scheme": "bearer", "challenge": "validation-token"}, "the bearer of the tests"),
}
latin = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
named = st.sampled_from(
    [
        *("webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-hub-signature-256"),
        *("x-sig", "x-at", "authorization", "content-type", "x-github-delivery", "prefer", "content-length"),
    ]
)
types = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=x", "a/b", "", "+json"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheme=st.sampled_from(list(SCHEMES)),
    signed=st.booleans(),
    method=st.sampled_from(["POST", "GET"]),
    headers=st.dictionaries(named, latin, max_size=4),
    content_type=types,
    query=st.one_of(
        st.binary(max_size=30).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw)),
        st.sampled_from(["hub.challenge=%00&hub.verify_token=x", "validationToken=%0a", "a=%ff", "=&=&;"]),
    ),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5
        ).map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    ),
)
async def test_garbage_never_breaks_us(
    house: House,
    scheme: str,
    signed: bool,
    method: str,
    headers: dict[str, str],
    content_type: str,
    query: str,
    body: bytes,
) -> None:
    hook = await _known(house, scheme)
    sent: dict[str, Any] = {"content-type": content_type}
    sent |= hook.signed(body, "evt") if signed else {}
    sent |= headers
    raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    request = hook.http.build_request(method, hook.path + "?" + query, content=body, headers=raw)
    answer = await hook.http.send(request)
    assert answer.status_code < 500, answer.text


_hooks: dict[tuple[int, str], Sender] = {}


async def _known(house: House, scheme: str) -> Sender:
    """One workflow per scheme serves all examples."""
    known = (id(house), scheme)
    if known not in _hooks:
        configuration, secret = SCHEMES[scheme]
        _hooks[known] = await hooked(house, configuration, secret=secret)
    return _hooks[known]
