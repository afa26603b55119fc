"""Credentials in the step log: found by their names, wherever they are and however they are written."""

import time
from typing import Any

import pytest

from domain.redaction import MAX_DEPTH, REDACTED, is_credential, redacted
from tests.pace import slowness


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "X-API-KEY",
        "apikey",
        "apiKey",
        "api_keys",
        "privateKeyPem",
        "key",
        "access_token",
        "X-Auth-Token",
        "clientSecret",
        "PASSWORD",
        "db_passwd",
        "credentials",
        "x-hub-signature",
        "client_assertion",
    ],
)
def test_names_that_look_like_credentials(name: str) -> None:
    assert is_credential(name)
    assert redacted({"a": [{name: {"b": "s3cret"}}]}) == {"a": [{name: REDACTED}]}


@pytest.mark.parametrize("name", ["keyword", "keywords", "keyboardLayout", "title", "username", "author"])
def test_names_that_do_not(name: str) -> None:
    assert redacted({name: "shown"}) == {name: "shown"}


def test_an_http_call_keeps_everything_else() -> None:
    given = {
        "method": "post",
        "endpoint": {
            "uri": "https://api.example/x",
            "authentication": {"basic": {"username": "ada", "password": "s3cret"}, "bearer": None},
        },
        "headers": {"authorization": "Bearer s3cret", "Accept": "text/plain", "X-API-Key": "s3cret"},
        "query": {"key": "s3cret", "page": 2},
        "body": {"clientSecret": None, "list": [1, True, "x"]},
    }
    shown = redacted(given)
    assert "s3cret" not in str(shown)
    assert shown["endpoint"]["authentication"] == {
        "basic": {"username": "ada", "password": REDACTED},
        "bearer": None,
    }
    assert shown["headers"]["Accept"] == "text/plain"
    assert shown["query"] == {"key": REDACTED, "page": 2}
    assert shown["body"] == {"clientSecret": None, "list": [1, True, "x"]}
    assert "s3cret" in str(given)


def test_pairs_count_as_name_and_value() -> None:
    pairs = [{"key": "page", "value": 2}, {"name": "Authorization", "value": "s3cret"}]
    assert redacted(pairs) == [pairs[0], {"name": "Authorization", "value": REDACTED}]


def test_a_hostile_value_is_bounded() -> None:
    deep: Any = "s3cret"
    for _ in range(50_000):
        deep = [deep]
    shown: Any = redacted(deep)
    for _ in range(MAX_DEPTH):
        [shown] = shown
    assert shown == REDACTED
    wide: Any = ["s3cret"]
    for _ in range(60):
        wide = [wide, wide]
    began = time.thread_time()
    assert "s3cret" not in str(redacted([[0] * 300_000, wide]))
    redacted(wide)
    assert time.thread_time() - began < 2 * slowness()
