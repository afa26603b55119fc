"""OAuth 2 and OpenID Connect: tokens from a real authority, kept, renewed, and never shown."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from activities.actions.registry import built_in
from activities.gateways import oauth
from activities.gateways.oauth import Tokens
from domain.actions import Effect
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault
from tests.activities.authority import Authority, Seen, Site, jwt

Call = Callable[..., Awaitable[Any]]
CLIENT = {"id": "runtime", "secret": "s3cret/+&"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@pytest.fixture
async def authority(serve: Any) -> Authority:
    authority = Authority()
    authority.site.peer = await serve(authority.site)
    return authority


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def call(authority: Authority, make_context: Any, clock: Clock) -> Call:
    """`await call(oauth2={…})` asks `/api` in one organization, with one worker's tokens."""
    organization, tokens = uuid4(), Tokens(clock=clock)

    async def call(*, by: UUID = organization, api: str | None = None, **given: Any) -> Any:
        scheme = "oidc" if "oidc" in given else "oauth2"
        policy = {"authority": authority.realm, "grant": "client_credentials", "client": CLIENT}
        policy |= given.pop(scheme, {})
        allowed = AddressPolicy.allowing([("127.0.0.1", authority.site.peer.port)])
        context = make_context(policy=allowed, organization_id=by, tokens=tokens)
        endpoint = {"uri": api or f"{authority.site.url}/api", "authentication": {scheme: policy}}
        arguments = {"method": "get", "endpoint": endpoint, **given}
        return await built_in().run("http.request", "1.0.0", context, arguments)

    return call


async def refusal(call: Awaitable[Any]) -> Fault:
    with pytest.raises(Fault) as caught:
        await call
    return caught.value


async def test_a_token_is_asked_for_once_and_accepted(authority: Authority, call: Call) -> None:
    for _ in range(3):
        assert (await call())["method"] == "GET"
    [asked] = authority.site.asked("/realm/oauth2/token")
    assert asked.form == {
        "grant_type": "client_credentials",
        "client_id": "runtime",
        "client_secret": "s3cret/+&",
    }
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert [each.headers["authorization"] for each in authority.site.asked("/api")] == [
        f"Bearer {authority.issued[0]}"
    ] * 3


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "application/json"])
async def test_a_client_proves_itself_in_each_way(
    method: str, encoding: str, authority: Authority, call: Call
) -> None:
    await call(oauth2={"client": {**CLIENT, "authentication": method}, "request": {"encoding": encoding}})
    [asked] = authority.site.asked("/realm/oauth2/token")
    assert asked.headers["content-type"] == encoding
    assert (b"s3cret" in asked.body) is (method == "client_secret_post")
    assert ("authorization" in asked.headers) is (method == "client_secret_basic")


async def test_a_signed_assertion_of_the_author_is_sent_as_it_is(authority: Authority, call: Call) -> None:
    client = {"id": "runtime", "assertion": "given.by.author", "authentication": "private_key_jwt"}
    await call(oauth2={"client": client})
    [asked] = authority.site.asked("/realm/oauth2/token")
    assert asked.form["client_assertion"] == "given.by.author"
    assert asked.form["client_assertion_type"].endswith("jwt-bearer")


async def test_scopes_audiences_and_endpoints_are_those_of_the_definition(
    authority: Authority, call: Call
) -> None:
    await call(
        oauth2={"scopes": ["a", "b"], "audiences": ["x", "y"], "endpoints": {"token": "/login/{where}"}},
        variables={"where": "token"},
    )
    [asked] = authority.site.asked("/realm/login/token")
    assert asked.form["scope"] == "a b"
    assert asked.body.count(b"audience=") == 2


async def test_the_password_grant(authority: Authority, call: Call) -> None:
    await call(oauth2={"grant": "password", "username": "ann", "password": "pa ss"})
    fault = await refusal(call(oauth2={"grant": "password", "username": "ann", "password": "wrong one"}))
    assert (fault.type.rpartition("/")[2], fault.status, fault.title) == (
        "authentication",
        401,
        "Token refused",
    )
    assert "invalid_grant" in (fault.detail or "")


async def test_a_token_is_exchanged(authority: Authority, call: Call) -> None:
    subject, actor = {"token": "of-user", "type": "urn:a"}, {"token": "of-service", "type": "urn:b"}
    await call(oauth2={"grant": EXCHANGE, "subject": subject, "actor": actor})
    [asked] = authority.site.asked("/realm/oauth2/token")
    assert asked.form["subject_token"] == "of-user"
    assert asked.form["subject_token_type"] == "urn:a"
    assert (asked.form["actor_token"], asked.form["actor_token_type"]) == ("of-service", "urn:b")


async def test_a_refresh_token_that_is_replaced_is_used_from_then_on(
    authority: Authority, call: Call, clock: Clock
) -> None:
    policy = {"grant": "refresh_token", "subject": {"token": "refresh-0", "type": "urn:refresh"}}
    await call(oauth2=policy)
    clock.now = 10_000
    await call(oauth2=policy)
    sent = [each.form["refresh_token"] for each in authority.site.asked("/realm/oauth2/token")]
    assert sent == ["refresh-0", "refresh-1"]


@pytest.mark.parametrize(("life", "good"), [(3600, 3540), (10, 8), ("100", 80), (None, 48), (0, 0), (-5, 0)])
async def test_a_token_is_used_until_shortly_before_it_expires(
    life: Any, good: float, authority: Authority, call: Call, clock: Clock
) -> None:
    authority.life = life
    await call()
    clock.now = max(0.0, good - 0.5)
    await call()
    assert len(authority.issued) == (1 if good else 2)
    clock.now = good + 0.5
    await call()
    assert len(authority.issued) == (2 if good else 3)


@pytest.mark.parametrize("life", ["soon", [], {}, True, 1e400, "nan"])
async def test_a_life_that_is_none_is_short(
    life: Any, authority: Authority, call: Call, clock: Clock
) -> None:
    authority.life = life if life != 1e400 else "1e400"
    await call()
    clock.now = 25 * 3600
    await call()
    assert len(authority.issued) == 2


async def test_a_revoked_token_is_replaced_once(authority: Authority, call: Call) -> None:
    await call()
    authority.good.clear()
    assert (await call(method="post", body="do it"))["body"] == "do it"
    assert len(authority.issued) == 2


async def test_a_fresh_token_that_is_not_accepted_is_no_loop(authority: Authority, call: Call) -> None:
    authority.site.routes["/api"] = lambda seen: (401, {}, {"said": seen.headers["authorization"]})
    fault = await refusal(call())
    assert (fault.type.rpartition("/")[2], fault.status) == ("communication", 401)
    assert len(authority.issued) == len(authority.site.asked("/api")) == 1
    await refusal(call())
    assert len(authority.issued) == 2, "the refused one is not kept"


async def test_calls_that_begin_together_ask_once(authority: Authority, call: Call) -> None:
    await asyncio.gather(*(call() for _ in range(10)))
    assert len(authority.issued) == 1


async def test_a_cancelled_call_leaves_the_others_their_token(authority: Authority, call: Call) -> None:
    first, second = asyncio.create_task(call()), asyncio.create_task(call())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)["method"] == "GET"
    assert len(authority.issued) == 1


async def test_organizations_and_configurations_share_no_token(authority: Authority, call: Call) -> None:
    await call()
    await call(by=uuid4())
    await call(oauth2={"scopes": ["more"]})
    await call(oauth2={"client": {**CLIENT, "authentication": "client_secret_basic"}})
    assert len(authority.issued) == 4


async def test_a_token_shows_up_nowhere(authority: Authority, call: Call) -> None:
    answered = json.dumps(await call(output="response"))
    assert authority.issued[0] not in answered
    assert "[secret access_token]" in answered
    authority.site.routes["/api"] = lambda seen: (403, {}, {"who": seen.headers["authorization"]})
    fault = await refusal(call())
    assert authority.issued[0] not in f"{fault} {fault.as_json()}"
    raw = lambda seen: (200, {}, b"<" + seen.headers["authorization"].encode() + b">")  # noqa: E731
    authority.site.routes["/api"] = raw
    assert authority.issued[0] not in str(await call())


async def test_what_the_authority_echoes_is_not_told(authority: Authority, call: Call) -> None:
    client = {"id": "runtime", "secret": "wr/ong+secret", "authentication": "client_secret_basic"}
    authority.site.routes["/realm/oauth2/token"] = lambda seen: (
        400,
        {},
        {"error": seen.headers["authorization"]},
    )
    fault = await refusal(call(oauth2={"client": client}))
    told = f"{fault} {fault.as_json()}"
    assert "[secret client_secret]" in told
    assert authority.site.seen[0].headers["authorization"].removeprefix("Basic ") not in told


# OpenID Connect


@pytest.mark.parametrize("suffix", ["", "/", "/.well-known/openid-configuration"])
async def test_the_endpoints_of_oidc_are_discovered(suffix: str, authority: Authority, call: Call) -> None:
    await call(oidc={"authority": authority.realm + suffix})
    assert len(authority.site.asked("/realm/login/token")) == 1


async def test_oauth2_with_the_address_of_a_configuration_discovers_too(
    authority: Authority, call: Call
) -> None:
    await call(oauth2={"authority": f"{authority.realm}/.well-known/openid-configuration"})
    assert len(authority.site.asked("/realm/login/token")) == 1


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "token_endpoint"),
        ({"token_endpoint": 5}, "token_endpoint"),
        ({"token_endpoint": "http://169.254.169.254/", "issuer": "http://evil.example"}, "another issuer"),
        ({"token_endpoint": "http://169.254.169.254/", "issuer": "REALM"}, "public"),
        ({"token_endpoint": "file:///etc/passwd", "issuer": "REALM"}, "http://"),
        ({"token_endpoint": "http://a\r\nX: y/", "issuer": "REALM"}, "not a URL"),
    ],
)
async def test_a_configuration_is_not_followed_anywhere(
    told: dict[str, Any], words: str, authority: Authority, call: Call
) -> None:
    told = {name: authority.realm if value == "REALM" else value for name, value in told.items()}
    authority.site.routes["/realm/.well-known/openid-configuration"] = lambda _: (200, {}, told)
    fault = await refusal(call(oidc={}))
    assert words in (fault.detail or "")
    assert not authority.site.asked("/api")


async def test_another_issuer_may_be_named(authority: Authority, call: Call) -> None:
    told = {"token_endpoint": f"{authority.realm}/login/token", "issuer": "https://front.example"}
    authority.site.routes["/realm/.well-known/openid-configuration"] = lambda _: (200, {}, told)
    authority.more = {"access_token": jwt({"iss": "https://front.example"})}
    authority.good.add(authority.more["access_token"])
    await call(oidc={"issuers": ["https://front.example/"]})


# Issuers


async def test_a_jwt_of_another_issuer_is_not_used(authority: Authority, call: Call) -> None:
    authority.more = {"access_token": jwt({"iss": "https://evil.example"})}
    fault = await refusal(call(oauth2={"issuers": [authority.realm]}))
    assert (fault.status, fault.title) == (401, "Token not trusted")
    assert not authority.site.asked("/api")


async def test_the_issuer_of_an_opaque_token_is_asked_for(authority: Authority, call: Call) -> None:
    await call(oauth2={"issuers": [authority.realm]})
    assert len(authority.site.asked("/realm/oauth2/introspect")) == 1
    fault = await refusal(call(oauth2={"issuers": ["https://other.example"]}))
    assert fault.title == "Token not trusted"


# Hostile authorities


async def test_a_token_endpoint_that_redirects_is_not_followed(authority: Authority, call: Call) -> None:
    authority.site.routes["/realm/oauth2/token"] = lambda _: (307, {"Location": "/elsewhere"}, {})
    fault = await refusal(call(redirect=True))
    assert "redirects" in (fault.detail or "")
    assert not authority.site.asked("/elsewhere")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 20_000,
        b'{"access_token": 5}',
        b'{"access_token": ""}',
        b'{"access_token": "a\\r\\nX-Evil: 1"}',
        b'{"access_token": "a b"}',
        b'{"access_token": "\\u00e4"}',
        b'{"access_token": "' + b"a" * 9000 + b'"}',
        b'{"access_token": "abcdef", "token_type": "DPoP"}',
        b'{"access_token": "abcdef", "token_type": null}',
        b'{"access_token": "abcdef", "x": "' + b"a" * 70_000 + b'"}',
    ],
)
async def test_an_answer_that_is_no_token_is_a_clear_fault(
    answer: bytes, authority: Authority, call: Call
) -> None:
    authority.site.routes["/realm/oauth2/token"] = lambda _: (
        200,
        {"Content-Type": "application/json"},
        answer,
    )
    fault = await refusal(call())
    assert (fault.type.rpartition("/")[2], fault.title) == ("communication", "No token")
    assert not authority.site.asked("/api")


async def test_a_slow_authority_is_not_waited_for(
    authority: Authority, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "PATIENCE", 0.2)

    async def slow(_: Seen) -> Any:
        await asyncio.sleep(5)

    authority.site.routes["/realm/oauth2/token"] = slow
    faults = await asyncio.gather(*(refusal(call(method="post", body={})) for _ in range(3)))
    assert {(each.status, each.title) for each in faults} == {(504, "No token")}
    assert not any(each.transient for each in faults), "nothing was sent, so the write is not in doubt"
    assert (await refusal(call())).transient is True
    assert not authority.site.asked("/api")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_authority_in_trouble_keeps_its_status(
    status: int, authority: Authority, call: Call
) -> None:
    authority.site.routes["/realm/oauth2/token"] = lambda _: (status, {}, {})
    fault = await refusal(call())
    assert (fault.type.rpartition("/")[2], fault.status) == ("communication", status)


async def test_an_authority_in_an_inner_network_is_refused(call: Call) -> None:
    fault = await refusal(call(oauth2={"authority": "http://169.254.169.254"}))
    assert (fault.status, fault.title) == (403, "Connection refused by the platform")


async def test_redirects_carry_no_token_to_another_origin(
    serve: Any, authority: Authority, call: Call
) -> None:
    other = Site()
    other.peer = await serve(other, host="127.0.0.1")
    other.routes["/api"] = lambda seen: (200, {}, {"got": seen.headers.get("authorization")})
    authority.site.routes["/api"] = lambda _: (307, {"Location": f"{other.url}/api"}, {})
    fault = await refusal(call(redirect=True))
    assert fault.status == 403, "the other origin is not allowed here"
    assert not other.seen


# Refused arguments


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"grant": "authorization_code"}, "/grant"),
        ({"grant": "password", "username": "a"}, "username and password"),
        ({"grant": EXCHANGE}, "subject"),
        ({"client": {"secret": "x"}}, "needs its id"),
        ({"client": {"id": "a", "authentication": "private_key_jwt"}}, "assertion"),
        ({"client": {"id": "a", "authentication": "client_secret_jwt"}}, "secret"),
        ({"client": {"authentication": "none"}}, "client with its id"),
        ({"scope": ["a"]}, "scope"),
        ({"authority": ""}, "/authority"),
    ],
)
async def test_incomplete_policies_are_told(policy: dict[str, Any], words: str, call: Call) -> None:
    fault = await refusal(call(oauth2=policy))
    assert (fault.status, fault.title) == (400, "Arguments refused")
    assert words in (fault.detail or "")
    assert "s3cret" not in str(fault)


def test_a_write_stays_irreversible_with_a_token() -> None:
    policy = {"oauth2": {"authority": "http://x", "grant": "client_credentials", "client": CLIENT}}
    arguments = {"method": "post", "endpoint": {"uri": "http://x/", "authentication": policy}}
    assert built_in().effect("http.request", "1.0.0", arguments) is Effect.IRREVERSIBLE
