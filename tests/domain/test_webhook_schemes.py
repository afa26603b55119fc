"""The schemes against what their inventors published, and against everything a forger may try."""

import base64
import time
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.webhooks.configuration import Configuration
from domain.webhooks.received import Received, joined
from domain.webhooks.schemes import Scheme, scheme_of
from domain.webhooks.verdicts import Forged, Stale

NOW = 1_700_000_000
STANDARD = "whsec_" + base64.b64encode(b"k" * 32).decode()
PLAIN = "a signing secret of theirs"
SLACK = {
    "scheme": "hmac",
    "signature": {
        "header": "X-Slack-Signature",
        "prefix": "v0=",
        "timestamp_header": "X-Slack-Request-Timestamp",
        "signs": "v0:{timestamp}:{body}",
    },
}
SHOPIFY = {"scheme": "hmac", "signature": {"header": "X-Shopify-Hmac-SHA256", "encoding": "base64"}}
SHA512 = {
    "scheme": "hmac",
    "signature": {"header": "X-Sig", "algorithm": "sha512", "timestamp_header": "X-Time"},
}
#: Every scheme with a secret it accepts.
ALL: dict[str, tuple[dict[str, Any], str]] = {
    "standard-webhooks": ({"scheme": "standard-webhooks"}, STANDARD),
    "stripe": ({"scheme": "stripe"}, "whsec_of_stripe_is_plain_text"),
    "github": ({"scheme": "github"}, PLAIN),
    "slack": (SLACK, PLAIN),
    "shopify": (SHOPIFY, PLAIN),
    "sha512": (SHA512, PLAIN),
    "bearer": ({"scheme": "bearer"}, PLAIN),
    "basic": ({"scheme": "basic"}, "hook:a password of theirs"),
}
SIGNED = [name for name in ALL if name not in ("bearer", "basic")]
TIMED = ["standard-webhooks", "stripe", "slack", "sha512"]


def scheme(name: str) -> tuple[Scheme, str]:
    configuration, secret = ALL[name]
    return scheme_of(Configuration.parse(configuration)), secret


def received(headers: dict[str, str], body: bytes = b"{}") -> Received:
    return Received("POST", {name.lower(): value for name, value in headers.items()}, b"", body)


# Published vectors -------------------------------------------------------------------------------------------


def test_the_vector_of_standard_webhooks() -> None:
    """From the specification's reference libraries, which share it."""
    how = scheme_of(Configuration.parse({"scheme": "standard-webhooks"}))
    request = received(
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
    )
    how.verify(request, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], 1614265330, 300)
    assert how.event_id(request) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_the_vector_of_github() -> None:
    """From "Validating webhook deliveries" of GitHub's documentation."""
    how = scheme_of(Configuration.parse({"scheme": "github"}))
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    request = received({"X-Hub-Signature-256": signature}, b"Hello, World!")
    how.verify(request, ["It's a Secret to Everybody"], NOW, 300)


def test_the_vector_of_slack() -> None:
    """From "Verifying requests from Slack"; a configurable HMAC."""
    how = scheme_of(Configuration.parse(SLACK))
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": "1531420618"}
    how.verify(received(headers, body), ["8f742231b10e8888abcd99yyyzzz85a5"], 1531420618, 300)


def test_stripes_own_library_agrees_both_ways() -> None:
    """Stripe publishes no vector, but its library: an implementation by others."""
    how, secret = scheme("stripe")
    body = '{"id": "evt_1NG8", "object": "event"}'
    now = int(time.time())
    ours = how.sign(body.encode(), secret, "", now)["Stripe-Signature"]
    assert stripe.WebhookSignature.verify_header(body, ours, secret, tolerance=300)
    theirs = stripe.WebhookSignature._compute_signature(f"{now}.{body}", secret)
    how.verify(received({"Stripe-Signature": f"t={now},v1={theirs}"}, body.encode()), [secret], now, 300)


# What every scheme holds to ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_what_was_signed_is_believed_and_nothing_else(name: str) -> None:
    how, secret = scheme(name)
    headers = how.sign(b'{"a":1}', secret, "evt_1", NOW)
    how.verify(received(headers, b'{"a":1}'), [secret], NOW, 300)
    how.verify(received(headers, b'{"a":1}'), ["x" * 32, secret], NOW, 300)  # during rotation
    with pytest.raises(Forged):
        how.verify(received(headers, b'{"a":1}'), [how_other(secret)], NOW, 300)
    with pytest.raises(Forged):
        how.verify(received({}, b'{"a":1}'), [secret], NOW, 300)
    with pytest.raises(Forged, match="no secret yet"):
        how.verify(received(headers, b'{"a":1}'), [], NOW, 300)
    assert how.problem_with(secret) is None
    assert how.problem_with("short") is not None


def how_other(secret: str) -> str:
    return STANDARD.replace("a2", "b2") if secret == STANDARD else secret[::-1]


@pytest.mark.parametrize("name", SIGNED)
def test_a_changed_body_is_forged(name: str) -> None:
    how, secret = scheme(name)
    headers = how.sign(b'{"amount":1}', secret, "evt_1", NOW)
    with pytest.raises(Forged):
        how.verify(received(headers, b'{"amount":9}'), [secret], NOW, 300)


@pytest.mark.parametrize("name", TIMED)
def test_a_signature_is_good_for_five_minutes_either_way(name: str) -> None:
    how, secret = scheme(name)
    request = received(how.sign(b"{}", secret, "evt_1", NOW))
    for moment in (NOW - 300, NOW + 300):
        how.verify(request, [secret], moment, 300)
    for moment in (NOW - 301, NOW + 301):
        with pytest.raises(Stale):
            how.verify(request, [secret], moment, 300)


@pytest.mark.parametrize("name", TIMED)
def test_a_moment_that_was_not_signed_is_forged_not_stale(name: str) -> None:
    how, secret = scheme(name)
    old, fresh = how.sign(b"{}", secret, "evt_1", NOW - 9_000), how.sign(b"{}", secret, "evt_1", NOW)
    mixed = {header: fresh[header] if "time" in header.lower() else old[header] for header in old}
    if name == "stripe":
        mixed = {"Stripe-Signature": f"t={NOW}," + old["Stripe-Signature"].split(",")[1]}
    with pytest.raises(Forged):
        how.verify(received(mixed), [secret], NOW, 300)


def test_one_right_signature_among_several_is_enough() -> None:
    how, secret = scheme("standard-webhooks")
    headers = how.sign(b"{}", secret, "evt_1", NOW)
    right = headers["webhook-signature"]
    wrong = "v1," + base64.b64encode(b"w" * 32).decode()
    for offered in (f"{wrong} {right}", f"v1a,{right[3:]} {right}", f"{right} {wrong}"):
        how.verify(received({**headers, "webhook-signature": offered}), [secret], NOW, 300)
    for offered in (wrong, right.replace("v1,", "v1a,"), right.replace("v1,", "v2,"), right[3:], "v1,", ""):
        with pytest.raises(Forged):
            how.verify(received({**headers, "webhook-signature": offered}), [secret], NOW, 300)

    stripe, secret = scheme("stripe")
    signed = stripe.sign(b"{}", secret, "", NOW)["Stripe-Signature"]
    several = signed.replace("v1=", f"v1={'0' * 64},v0=abc,v1=")
    stripe.verify(received({"Stripe-Signature": several}), [secret], NOW, 300)
    with pytest.raises(Forged):  # a scheme of tests, which Stripe warns about
        stripe.verify(received({"Stripe-Signature": signed.replace("v1=", "v0=")}), [secret], NOW, 300)


def test_svix_spells_standard_webhooks_its_own_way() -> None:
    how, secret = scheme("standard-webhooks")
    headers = how.sign(b"{}", secret, "evt_1", NOW)
    how.verify(
        received({name.replace("webhook", "svix"): value for name, value in headers.items()}),
        [secret],
        NOW,
        300,
    )


def test_a_signature_that_begins_like_a_version_is_read_whole() -> None:
    """Base64 may begin with v; splitting at `,v` would cut such a signature in two."""
    how, secret = scheme("standard-webhooks")
    for number in range(400):
        headers = how.sign(b"{}", secret, f"evt_{number}", NOW)
        if headers["webhook-signature"].startswith("v1,v"):
            how.verify(received(headers), [secret], NOW, 300)
            return
    raise AssertionError("no such signature among 400")


def test_stripe_names_the_event_in_its_body() -> None:
    how, _ = scheme("stripe")
    assert how.event_id(received({}, b'{"id": "evt_1NG8", "object": "event"}')) == "evt_1NG8"
    for body in (b"[]", b"{", b'{"id": 7}', b'{"id": "evt_\\u0000"}', b"[" * 100_000):
        assert how.event_id(received({}, body)) is None


def test_a_repeated_header_is_one_list() -> None:
    assert joined([(b"X-A", b"1"), (b"x-a", b"2")]) == {"x-a": "1, 2"}


garbage = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(ALL)),
    values=st.lists(st.one_of(garbage, st.integers().map(str)), min_size=3, max_size=3),
    body=st.binary(max_size=40),
)
def test_garbage_is_forged_never_a_crash(name: str, values: list[str], body: bytes) -> None:
    how, secret = scheme(name)
    names = [*how.sign(b"", secret, "e", NOW), "svix-id", "svix-timestamp"]
    headers = dict(zip(names, values, strict=False))
    with pytest.raises((Forged, Stale)):
        how.verify(received(headers, body), [secret], NOW, 300)
    how.event_id(received(headers, body))
