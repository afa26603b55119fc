"""Masking: every usual spelling of a secret, wherever it stands, and nothing that merely looks alike."""

import base64
import json
import re
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.masking import Mask

KEY = 'sk_live/+ä "x"'
MASK = Mask({"key": KEY, "short": "12345", "number": "4711471147"})


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        quote(KEY),
        quote(KEY, safe=""),
        quote_plus(KEY),
        quote(KEY).lower(),
        re.sub("%..", lambda found: found[0].lower(), quote(KEY, safe="")),
        KEY.upper(),
        KEY.lower(),
        json.dumps(KEY.upper())[1:-1],
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
    ],
)
def test_usual_spellings_are_found(spelling: str) -> None:
    assert MASK.text(f"before {spelling} after") == "before [secret key] after"


@given(before=st.binary(max_size=7), after=st.binary(max_size=7), url=st.booleans())
def test_base64_is_found_wherever_it_stands(before: bytes, after: bytes, url: bool) -> None:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    text = encode(before + KEY.encode() + after).decode()
    masked = MASK.text(text)
    assert "[secret key]" in masked
    assert len(masked.replace("[secret key]", "")) <= len(text) - len(KEY.encode()) * 8 // 6 + 4


def test_a_whole_value_is_walked_names_and_numbers_included() -> None:
    given = {"a": [KEY, {"b": f"x{KEY}"}], KEY: 1, "n": 4711471147, "f": True, "z": None, "s": "12345"}
    assert MASK.value(given) == {
        "a": ["[secret key]", {"b": "x[secret key]"}],
        "[secret key]": 1,
        "n": "[secret number]",
        "f": True,
        "z": None,
        "s": "12345",
    }


def test_the_longer_of_two_secrets_that_contain_each_other_goes_first() -> None:
    mask = Mask({"part": "abcdef", "whole": "abcdefghij"})
    assert mask.text("abcdefghij abcdef") == "[secret whole] [secret part]"


def test_a_secret_that_an_excerpt_cuts_off_is_found_by_its_beginning() -> None:
    assert MASK.excerpt(f"The body is {KEY[:8]}…") == "The body is [secret key]…"
    assert MASK.excerpt(f"The body is {KEY[:5]}…") == f"The body is {KEY[:5]}…"
    assert MASK.excerpt(f"{KEY} and more") == "[secret key] and more"


def test_json_within_json_is_found() -> None:
    text = json.dumps({"body": json.dumps({"a": KEY}, ensure_ascii=False)})
    assert MASK.text(text) == json.dumps({"body": json.dumps({"a": "[secret key]"})})


HOOK = "https://ada:pass%2Fw0rd@hooks.example.com/services/T0/orders/Tq7XbA?trace=long&token=abc123"


@pytest.mark.parametrize(
    ("secret", "told", "shown"),
    [
        (
            HOOK,
            "POST /services/T0/orders/Tq7XbA?trace=long&token=abc123 HTTP/1.1",
            "POST [secret s] HTTP/1.1",
        ),
        (HOOK, "no hook Tq7XbA", "no hook [secret s]"),
        (HOOK, "token abc123, pass/w0rd", "token [secret s], [secret s]"),
        ("https://api.example.com/v1/orders", "all orders", "all orders"),
        ("service:correct-horse", "wrong password correct-horse", "wrong password [secret s]"),
        ("service:correct-horse", "service down", "[secret s] down"),
        ('{"id": 1, "in": [{"key": "a-b-c-d"}]}', "key a-b-c-d of id", "key [secret s] of id"),
        ("{not json: at-all}", "json", "json"),
        ('{"half": "\\ud800-surrogate", "key": "a-b-c-d"}', "a-b-c-d", "[secret s]"),
        (
            "postgres://ada:correct-horse@db/x?" + "&".join(["a=b"] * 200),
            "postgres correct-horse",
            "postgres [secret s]",
        ),
    ],
)
def test_parts_that_are_secret_by_themselves_are_found(secret: str, told: str, shown: str) -> None:
    mask = Mask({"s": secret})
    assert mask.text(told) == shown
    assert mask.value({"a": [told]}) == {"a": [shown]}
    assert mask.text(f"<{secret}>") == "<[secret s]>"


def test_texts_made_of_a_secret_are_found() -> None:
    mask = Mask({"pin": "12345", "key": "abcdefgh"}, {"Bearer 12345": "pin", "hgfedcba": "key", "x": "key"})
    assert mask.text("Bearer 12345 12345 x") == "[secret pin] 12345 x"
    assert mask.value(["hgfedcba", "HGFEDCBA"]) == ["[secret key]", "[secret key]"]


def test_what_is_looked_for_is_bounded() -> None:
    secret = json.dumps({str(n): f"part-{n:05}" * 3 for n in range(2_000)})
    made = {f"made-{n:05}": "many" for n in range(5_000)}
    mask = Mask({"many": secret}, made)
    assert len(mask._spellings) < 2_000
    answer = {"list": [{"n": n, "text": f"row {n} of an answer"} for n in range(5_000)]}
    began = time.process_time()
    assert mask.value(answer) == answer
    assert time.process_time() - began < 1
