import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.tokens import AccessClaims, AccessTokens, ApiKey, csrf_matches, csrf_token
from domain.errors import Unauthenticated

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLAIMS = AccessClaims(uuid4(), uuid4())
tokens = AccessTokens(b"s" * 32, "http://perdure.test")


def parts(token: str) -> tuple[dict[str, object], dict[str, object]]:
    header, payload, _ = token.split(".")
    return tuple(json.loads(urlsafe_b64decode(each + "==")) for each in (header, payload))  # type: ignore[return-value]


def test_an_access_token_names_type_key_audience_and_session() -> None:
    header, payload = parts(tokens.issue(CLAIMS, NOON))
    assert header["alg"] == "HS256"
    assert header["typ"] == "at+jwt"
    assert header["kid"]
    assert payload["sid"] == str(CLAIMS.session_id)
    assert payload["exp"] == NOON.timestamp() + 600
    assert tokens.read(tokens.issue(CLAIMS, NOON), NOON) == CLAIMS


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("payload", "aud", "another"),
        ("payload", "iss", "http://elsewhere.test"),
        ("payload", "sid", None),
        ("payload", "sub", "x"),
        ("payload", "exp", None),
        ("payload", "exp", "soon"),
        ("header", "typ", "JWT"),
        ("header", "kid", "other"),
    ],
)
def test_every_claim_is_checked(part: str, name: str, value: object) -> None:
    header, payload = parts(tokens.issue(CLAIMS, NOON))
    (header if part == "header" else payload)[name] = value
    if value is None:
        del payload[name]
    forged = jwt.encode(payload, tokens._key, "HS256", header)
    with pytest.raises(Unauthenticated):
        tokens.read(forged, NOON)


def test_other_keys_and_algorithms_are_refused() -> None:
    header, payload = parts(tokens.issue(CLAIMS, NOON))
    for key, algorithm in ((b"x" * 48, "HS256"), (None, "none"), (b"x" * 48, "HS384")):
        with pytest.raises(Unauthenticated):
            tokens.read(jwt.encode(payload, key, algorithm, {**header, "alg": algorithm}), NOON)
    longer = AccessTokens(b"s" * 32, "http://perdure.test")
    longer._key = longer._key * 2  # long enough for HS384, so that only the algorithm is wrong
    wrong = jwt.encode(payload, longer._key, "HS384", {**header, "alg": "HS384"})
    with pytest.raises(Unauthenticated):
        longer.read(wrong, NOON)


def test_time_is_the_applications() -> None:
    token = tokens.issue(CLAIMS, NOON)
    tokens.read(token, NOON + timedelta(seconds=599))
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.read(token, NOON + timedelta(seconds=600))


def test_api_keys_look_alike_and_read_back() -> None:
    key = ApiKey.new()
    text = str(key)
    assert len({len(str(ApiKey.new())) for _ in range(200)}) == 1
    assert text.startswith("perdure_live_")
    assert ApiKey.parse(text) == key
    assert key.secret not in repr(key)


@given(st.integers(0, 74), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_wrong_character_is_noticed_without_a_database(place: int, character: str) -> None:
    text = str(ApiKey("A" * 16, "b" * 40))
    wrong = text[:place] + character + text[place + 1 :]
    if wrong == text:
        return
    with pytest.raises(Unauthenticated):
        ApiKey.parse(wrong)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for read in (ApiKey.parse, lambda token: tokens.read(token, NOON)):
        with pytest.raises(Unauthenticated):
            read("perdure_live_" + text)


def test_a_form_token_fits_one_cookie() -> None:
    token = csrf_token(b"s" * 32, "cookie")
    assert csrf_matches(b"s" * 32, "cookie", token)
    assert not csrf_matches(b"s" * 32, "another", token)
    assert not csrf_matches(b"t" * 32, "cookie", token)
    assert not csrf_matches(b"s" * 32, "cookie", "")
