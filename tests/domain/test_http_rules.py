"""HTTP rules without a network: headers, redirects, bodies."""

import pytest

from domain.actions import Effect
from domain.definitions.faults import Fault
from domain.http import (
    after_redirect,
    check_headers,
    effect_of,
    excerpt,
    idempotency_header,
    read_content,
    shown_headers,
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nHost: evil"),
        ("X", "a\nb"),
        ("X", "a\x00b"),
        ("X", "ü"),
        ("X\r\nY", "a"),
        ("", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("Host", "evil"),
        ("host", "evil"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Proxy-Authorization", "x"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("X", "a" * 9000),
    ],
)
def test_a_dangerous_header_is_refused(name: str, value: str) -> None:
    with pytest.raises(Fault, match="Headers refused") as caught:
        check_headers([(name, value)])
    assert caught.value.status == 400


def test_too_many_or_too_large_headers_are_refused() -> None:
    with pytest.raises(Fault, match="the limit is 100"):
        check_headers([(f"X-{i}", "") for i in range(101)])
    with pytest.raises(Fault, match="larger than"):
        check_headers([(f"X-{i}", "a" * 8000) for i in range(5)])


def test_ordinary_headers_pass() -> None:
    headers = (("Authorization", "Bearer x"), ("Accept", "a, b;q=0.5"), ("X-Empty", ""))
    assert check_headers(headers) == headers


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b'{"a": [1, 2.0, null]}', "application/json; charset=utf-8", {"a": [1, 2, None]}),
        (b"[]", "application/problem+json", []),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        ("ü".encode("latin-1"), "text/html; charset=iso-8859-1", "ü"),
        (b"plain", None, "plain"),
        (b"", "application/json", None),
    ],
)
def test_a_body_is_read_by_its_type(body: bytes, content_type: str | None, expected: object) -> None:
    assert read_content(body, content_type) == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "is not"),
        (b'{"a": NaN}', "NaN"),
        (b"1e999", "Infinity"),
        (b"9" * 40, "64 bits"),
        (b"9" * 9000, "is not"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 70 + b"]" * 70, "deeper than 64"),
        (rb'"\u0000"', "NUL"),
        (rb'"\ud800"', "surrogate"),
        (b'"' + b"a" * 140_000 + b'"', "131072"),
        (b"\xff", "is not"),
    ],
)
def test_hostile_json_ends_with_a_clear_fault(body: bytes, words: str) -> None:
    with pytest.raises(Fault) as caught:
        read_content(body, "application/json")
    assert words in (caught.value.detail or "")
    assert caught.value.status == 502


def test_bytes_are_base64_and_a_text_that_is_none_points_to_raw() -> None:
    assert read_content(b"\x89PNG\xff", "image/png") == "iVBOR/8="
    assert read_content(b"plain", "application/octet-stream") == "cGxhaW4="
    assert read_content(b"<svg/>", "image/svg+xml") == "<svg/>"
    with pytest.raises(Fault, match="use output: raw"):
        read_content(b"\x89PNG\xff", "text/plain")
    with pytest.raises(Fault, match="use output: raw"):
        read_content(b"a", "text/plain; charset=no-such-thing")


def test_another_origin_gets_no_credentials() -> None:
    headers = (("Authorization", "Bearer x"), ("Cookie", "a=b"), ("X-Api-Key", "k"), ("Accept", "*/*"))
    _, kept, _ = after_redirect(307, "POST", headers, b"x", same_origin=False)
    assert kept == (("Accept", "*/*"),)
    assert after_redirect(307, "POST", headers, b"x", same_origin=True) == ("POST", headers, b"x")


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "PUT", "PUT"),
        (308, "POST", "POST"),
    ],
)
def test_the_method_after_a_redirect(status: int, method: str, becomes: str) -> None:
    name, _, body = after_redirect(status, method, (("Content-Type", "x"),), b"x", same_origin=True)
    assert name == becomes
    assert (body is None) == (becomes != method or status == 303)


def test_the_idempotency_header_carries_any_step_name() -> None:
    assert idempotency_header("0190/do/0/getPet#1") == "0190/do/0/getPet#1"
    assert idempotency_header("0190/do/0/prüfen x#1") == "0190/do/0/pr%C3%BCfen%20x#1"
    assert len(idempotency_header("x" * 300)) == 64


def test_effects_of_methods() -> None:
    assert effect_of("get", idempotent=False) is Effect.IDEMPOTENT
    assert effect_of("POST", idempotent=False) is Effect.IRREVERSIBLE
    assert effect_of("POST", idempotent=True) is Effect.KEYED


def test_credentials_are_not_shown_and_excerpts_are_bounded() -> None:
    shown = shown_headers(
        [("Authorization", "Bearer x"), ("X-Api-Key", "k"), ("Idempotency-Key", "i"), ("A", "1"), ("a", "2")]
    )
    assert shown == {
        "authorization": "[withheld]",
        "x-api-key": "[withheld]",
        "idempotency-key": "i",
        "a": "1, 2",
    }
    assert len(excerpt(b"x" * 10_000)) <= 501
    assert "\x00" not in excerpt(b"a\x00\xffb\x1b[0m")
