"""Credentials of HTTP calls: digest against a server that checks it, and all schemes from a secret."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest

from activities.actions.registry import built_in
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault
from domain.http_digest import answer, challenge
from tests.activities.authority import Answer, Authority, Seen, Site


@dataclass
class Guarded:
    """A server that checks Digest by RFC 7616 on its own."""

    algorithm: str | None = "SHA-256"
    qop: str | None = "auth"
    username: str = "ann"
    password: str = 'pa"ss:wörd'
    userhash: bool = False
    #: Nonces it takes back when they are used.
    stale: int = 0
    site: Site = field(default_factory=Site)
    nonces: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site.routes["/door"] = self.door

    def door(self, seen: Seen) -> Answer:
        scheme, _, written = seen.headers.get("authorization", "").partition(" ")
        if scheme != "Digest":
            return self.asks()
        given = {
            name: value.strip('"').replace('\\"', '"')
            for name, _, value in (part.partition("=") for part in written.split(", "))
        }
        if given["nonce"] != self.nonces[-1] or self.stale:
            self.stale -= 1
            return self.asks(stale=True)
        return (200, {}, {"welcome": seen.body.decode()}) if self.is_right(seen, given) else self.asks()

    def asks(self, *, stale: bool = False) -> Answer:
        self.nonces.append(secrets.token_hex(8))
        parts = ['realm="a, \\"b\\""', f'nonce="{self.nonces[-1]}"', 'opaque="op"']
        parts += [f"algorithm={self.algorithm}"] if self.algorithm else []
        parts += [f'qop="{self.qop}"'] if self.qop else []
        parts += ["stale=true"] if stale else []
        parts += ["userhash=true"] if self.userhash else []
        return 401, {"WWW-Authenticate": 'Basic realm="x, Digest y=z", Digest ' + ", ".join(parts)}, {}

    def is_right(self, seen: Seen, given: dict[str, str]) -> bool:
        name = {"SHA-512-256": "sha512_256", "SHA-256": "sha256"}.get(
            (self.algorithm or "").removesuffix("-sess"), "md5"
        )

        def hashed(text: str) -> str:
            return hashlib.new(name, text.encode()).hexdigest()

        realm = 'a, "b"'
        who = hashed(f"{self.username}:{realm}") if self.userhash else self.username
        first = hashed(f"{self.username}:{realm}:{self.password}")
        if (self.algorithm or "").endswith("-sess"):
            first = hashed(f"{first}:{given['nonce']}:{given['cnonce']}")
        second = f"{seen.method}:{given['uri']}"
        if given.get("qop") == "auth-int":
            second += ":" + hashlib.new(name, seen.body).hexdigest()
        middle = f"{given['nc']}:{given['cnonce']}:{given['qop']}:" if self.qop else ""
        expected = hashed(f"{first}:{given['nonce']}:{middle}{hashed(second)}")
        return given["response"] == expected and given["username"] == who and given["opaque"] == "op"


async def send(make_context: Any, site: Site, authentication: dict[str, Any], **given: Any) -> Any:
    context = make_context(policy=AddressPolicy.allowing([("127.0.0.1", site.peer.port)]))
    uri = given.pop("uri", f"{site.url}/door")
    arguments = {"method": "get", "endpoint": {"uri": uri, "authentication": authentication}, **given}
    return await built_in().run("http.request", "1.0.0", context, arguments)


DIGEST = {"digest": {"username": "ann", "password": 'pa"ss:wörd'}}


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", None])
@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth-int,auth", None])
async def test_a_digest_opens_the_door(
    algorithm: str | None, qop: str | None, make_context: Any, serve: Any
) -> None:
    guarded = Guarded(algorithm, qop)
    guarded.site.peer = await serve(guarded.site)
    uri = f"{guarded.site.url}/door?a=1%20b"
    answered = await send(make_context, guarded.site, DIGEST, method="put", body="thing", uri=uri)
    assert answered == {"welcome": "thing"}
    assert len(guarded.site.seen) == 2
    assert guarded.site.seen[0].headers.get("authorization") is None


async def test_a_name_can_be_hashed_and_a_nonce_go_stale(make_context: Any, serve: Any) -> None:
    guarded = Guarded(userhash=True, stale=1)
    guarded.site.peer = await serve(guarded.site)
    assert await send(make_context, guarded.site, DIGEST) == {"welcome": ""}
    assert len(guarded.site.seen) == 3


async def test_a_wrong_password_ends_after_one_answer(make_context: Any, serve: Any) -> None:
    guarded = Guarded()
    guarded.site.peer = await serve(guarded.site)
    with pytest.raises(Fault) as caught:
        await send(make_context, guarded.site, {"digest": {"username": "ann", "password": "no"}})
    assert caught.value.status == 401
    assert len(guarded.site.seen) == 2


async def test_nonces_that_are_always_stale_are_no_loop(make_context: Any, serve: Any) -> None:
    guarded = Guarded(stale=100)
    guarded.site.peer = await serve(guarded.site)
    with pytest.raises(Fault):
        await send(make_context, guarded.site, DIGEST)
    assert len(guarded.site.seen) == 3


async def test_a_redirect_gets_no_answer_to_its_challenge(make_context: Any, serve: Any) -> None:
    guarded = Guarded()
    guarded.site.peer = await serve(guarded.site)
    guarded.site.routes["/first"] = lambda _: (302, {"Location": "/door"}, {})
    with pytest.raises(Fault) as caught:
        await send(make_context, guarded.site, DIGEST, uri=f"{guarded.site.url}/first", redirect=True)
    assert caught.value.status == 401
    assert not any("authorization" in seen.headers for seen in guarded.site.seen)


@pytest.mark.parametrize(
    "header",
    [
        "Digest",
        "Digest ,",
        'Digest realm="x"',
        "Digest nonce=n, algorithm=SHA-1",
        'Digest nonce="n", qop="x"',
        "Basic",
        "Digest " + ", " * 2000,
        'Digest "' * 500,
        "Digest " + 'a="\\' * 800,
        "Digest, " * 500,
        " " * 4000 + "Digest",
    ],
)
async def test_a_challenge_nobody_can_answer_leaves_the_refusal(
    header: str, make_context: Any, serve: Any
) -> None:
    site = Site({"/door": lambda _: (401, {"WWW-Authenticate": header}, {"no": 1})})
    site.peer = await serve(site)
    with pytest.raises(Fault) as caught:
        await send(make_context, site, DIGEST)
    assert caught.value.status == 401
    assert len(site.seen) == 1


def test_the_examples_of_the_standard() -> None:
    offered = [
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        for algorithm in ("MD5", "SHA-256")
    ]
    for headers, expected in (
        (offered[:1], "8ca523f5e9506fed4657c9700eebdbec"),
        (offered, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ):
        asked = challenge(headers)
        assert asked is not None
        written = answer(
            asked,
            username="Mufasa",
            password="Circle of Life",
            method="GET",
            target="/dir/index.html",
            body=b"",
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        )
        assert f'response="{expected}"' in written


def test_a_challenge_cannot_smuggle_a_header() -> None:
    asked = challenge(['Digest realm="a\\"b", nonce="n"'])
    assert asked is not None
    written = answer(
        asked, username='x", uri="/y', password="", method="GET", target="/", body=b"", cnonce="c"
    )
    assert 'username="x\\", uri=\\"/y"' in written
    assert 'realm="a\\"b"' in written


# From a secret: `use` holds its content here, as the engine puts it there.


@pytest.mark.parametrize(
    ("authentication", "header"),
    [
        ({"basic": {"use": "ann:se:cret"}}, "Basic " + base64.b64encode(b"ann:se:cret").decode()),
        (
            {"basic": {"use": '{"username": "ann", "password": "x"}'}},
            "Basic " + base64.b64encode(b"ann:x").decode(),
        ),
        ({"bearer": {"use": "tok-1\n"}}, "Bearer tok-1"),
        ({"bearer": {"use": '{"token": "tok-2"}'}}, "Bearer tok-2"),
    ],
)
async def test_a_secret_is_json_or_short(
    authentication: dict[str, Any], header: str, make_context: Any, serve: Any
) -> None:
    site = Site({"/door": lambda seen: (200, {}, {"got": seen.headers["authorization"]})})
    site.peer = await serve(site)
    assert (await send(make_context, site, authentication))["got"] == header


async def test_oauth2_from_a_secret(make_context: Any, serve: Any) -> None:
    authority = Authority()
    authority.site.peer = await serve(authority.site)
    policy = {
        "authority": authority.realm,
        "grant": "client_credentials",
        "client": {"id": "runtime", "secret": "s3cret/+&"},
    }
    answered = await send(
        make_context, authority.site, {"oauth2": {"use": json.dumps(policy)}}, uri=f"{authority.site.url}/api"
    )
    assert answered["method"] == "GET"


@pytest.mark.parametrize(
    ("authentication", "words"),
    [
        ({"basic": {"use": "canary-without-colon"}}, "neither JSON nor user:password"),
        ({"digest": {"use": '{"username": "canary"'}}, "begins like JSON"),
        ({"digest": {"use": '{"username": "canary"}'}}, "/password is missing"),
        ({"oauth2": {"use": "canary"}}, "is not JSON"),
        ({"oauth2": {"use": '{"authority": "http://canary", "grant": "canary"}'}}, "/grant"),
        ({"oidc": {"use": '{"authority": 5, "grant": "password", "canary": 1}'}}, "/authority"),
        ({"bearer": {"use": "{" * 5000}}, "begins like JSON"),
        ({"bearer": {"use": " "}}, "/token"),
    ],
)
async def test_a_secret_of_another_form_is_told_without_its_words(
    authentication: dict[str, Any], words: str, make_context: Any, serve: Any
) -> None:
    site = Site()
    site.peer = await serve(site)
    with pytest.raises(Fault) as caught:
        await send(make_context, site, authentication)
    assert (caught.value.status, caught.value.title) == (400, "Secret unusable")
    assert words in str(caught.value)
    assert not site.seen


@pytest.mark.parametrize(
    ("authentication", "words"),
    [
        ({}, "exactly one"),
        ({"basic": {"username": "a", "password": "b"}, "bearer": {"token": "c"}}, "exactly one"),
        ({"use": "login"}, "/use is not an argument"),
        ({"certificate": {}}, "certificate"),
        ({"basic": {"username": "a"}}, "/password is missing"),
        ({"basic": {"use": "a:b", "username": "a"}}, "username"),
        ({"bearer": "abc"}, "/bearer"),
        ({"bearer": {"token": "a\r\nX: y"}}, "one line"),
        ({"bearer": {"token": ""}}, "/token"),
    ],
)
async def test_refused_credentials(
    authentication: dict[str, Any], words: str, make_context: Any, serve: Any
) -> None:
    site = Site()
    site.peer = await serve(site)
    with pytest.raises(Fault) as caught:
        await send(make_context, site, authentication)
    assert caught.value.status == 400
    assert words in str(caught.value)
    assert not site.seen


async def test_two_authorizations_are_refused(make_context: Any, serve: Any) -> None:
    site = Site()
    site.peer = await serve(site)
    with pytest.raises(Fault, match="both /headers"):
        await send(make_context, site, {"bearer": {"token": "a"}}, headers={"AUTHORIZATION": "x"})
