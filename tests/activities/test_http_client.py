"""The attack list for the guarded client: every server here is real and listens on loopback."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from activities.gateways.http_client import GuardedHttpClient, Limits
from activities.gateways.http_messages import HttpRequest, HttpResponse
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault

Serve = Any
Respond = Callable[..., bytes]

#: Shared, because reading the list of certificate makers is the slowest part of a client.
TLS = httpx2.create_ssl_context(trust_env=False)
CLIENT = GuardedHttpClient(limits=Limits(total=5), tls=TLS)


def allowing(*peers: Any) -> AddressPolicy:
    return AddressPolicy.allowing([(peer.host, peer.port) for peer in peers])


async def get(
    url: str,
    policy: AddressPolicy,
    *,
    client: GuardedHttpClient | None = None,
    redirects: bool = False,
    **fields: Any,
) -> HttpResponse:
    client = client or CLIENT
    return await client.send(
        HttpRequest(fields.pop("method", "GET"), url, **fields), policy, follow_redirects=redirects
    )


async def fault(*args: Any, **kwargs: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await get(*args, **kwargs)
    return caught.value


async def test_an_allowed_request_arrives_with_the_hosts_own_name(
    serve: Serve, names: Any, response: Respond
) -> None:
    peer = await serve(response(b"hello", headers=["Content-Type: text/plain"]))
    client = GuardedHttpClient(resolver=names(svc_example=["127.0.0.1"]), tls=TLS)
    url = f"http://svc.example:{peer.port}/a%2Fb/c?x=1%262&y=#fragment"
    answer = await get(url, allowing(peer), client=client, headers=(("X-Mine", "1"),))
    assert (answer.status, answer.body) == (200, b"hello")
    assert peer.requests[0].startswith(b"GET /a%2Fb/c?x=1%262&y= HTTP/1.1\r\n")
    assert peer.header("host") == f"svc.example:{peer.port}"
    assert peer.header("x-mine") == "1"
    assert peer.header("user-agent") == "Perdure"


async def test_a_body_arrives_whole(serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"ok"))
    await get(f"http://127.0.0.1:{peer.port}/", allowing(peer), method="post", body=b"x" * 300_000)
    assert peer.requests[0].endswith(b"\r\n\r\n" + b"x" * 300_000)


# Where to connect


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "127.1",
        "0",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST",
        "foo.localhost",
        "169.254.169.254",
        "metadata.google.internal",
        "[64:ff9b::7f00:1]",
        "[fd00:ec2::254]",
        "168.63.129.16",
    ],
)
async def test_an_inner_address_in_any_spelling_is_refused(host: str) -> None:
    refusal = await fault(f"http://{host}/", AddressPolicy.public())
    assert (refusal.status, refusal.type.rpartition("/")[2]) == (403, "communication")
    assert "public" in (refusal.detail or "")


@pytest.mark.parametrize(
    "host",
    [
        "①②⑦.0.0.1",
        "0177.0.0.1",
        "[fe80::1%25eth0]",
        "a%2eb",
        "a b",
        "ⓛocalhost",
        "",
        "exa$mple",
        "h:0",
        "h:99999",
    ],
)
async def test_a_host_that_is_none_is_refused_as_invalid(host: str) -> None:
    assert (await fault(f"http://{host}/", AddressPolicy.public())).status in (400, 403)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com/", "http://"),
        ("file:///etc/passwd", "http://"),
        ("gopher://example.com/", "http://"),
        ("//example.com/", "http://"),
        ("example.com", "http://"),
        ("http:/example.com", "host"),
        ("http://user:pw@example.com/", "user name or password"),
        ("http://user@example.com/", "user name or password"),
        ("http://example.com\\@127.0.0.1/", "user name or password"),
        ("http://example.com/\r\nHost: evil", "not a URL"),
        ("http://example.com/\x00", "not a URL"),
        ("http://example.com/" + "a" * 9000, "longer than"),
    ],
)
async def test_a_dangerous_url_is_refused_before_any_look_up(url: str, words: str, names: Any) -> None:
    resolver = names()
    refusal = await fault(url, AddressPolicy.public(), client=GuardedHttpClient(resolver=resolver, tls=TLS))
    assert (refusal.status, refusal.title) == (400, "Request refused")
    assert words in (refusal.detail or "")
    assert resolver.asked == []


@pytest.mark.parametrize("port", [22, 25, 5432, 6379, 7233])
async def test_ports_of_other_services_are_refused_before_any_look_up(port: int, names: Any) -> None:
    resolver = names()
    refusal = await fault(
        f"http://example.com:{port}/",
        AddressPolicy.public(),
        client=GuardedHttpClient(resolver=resolver, tls=TLS),
    )
    assert f"port {port} is not allowed" in (refusal.detail or "")
    assert resolver.asked == []


async def test_one_inner_answer_among_public_ones_refuses_the_name(
    serve: Serve, names: Any, response: Respond
) -> None:
    peer = await serve(response(b"secret"))
    resolver = names(mixed_example=["127.0.0.1", "10.1.2.3"])
    refusal = await fault(
        f"http://mixed.example:{peer.port}/",
        allowing(peer),
        client=GuardedHttpClient(resolver=resolver, tls=TLS),
    )
    assert refusal.status == 403
    assert "10.1.2.3" not in str(refusal)
    assert peer.connections == 0


async def test_rebinding_cannot_happen_because_the_name_is_looked_up_once(
    serve: Serve, names: Any, response: Respond
) -> None:
    outside = await serve(response(b"outside"))
    resolver = names(rebind_example=[["127.0.0.1"], ["127.0.0.2"]])
    policy = AddressPolicy.allowing([("127.0.0.1", outside.port)])
    client = GuardedHttpClient(resolver=resolver, tls=TLS)
    url = f"http://rebind.example:{outside.port}/"
    assert (await get(url, policy, client=client)).body == b"outside"
    assert resolver.asked == ["rebind.example"]
    assert (await fault(url, policy, client=client)).status == 403
    assert outside.connections == 1


async def test_unknown_and_inner_names_answer_alike(names: Any) -> None:
    client = GuardedHttpClient(resolver=names(inner_example=["10.0.0.1"], unknown_example=[]), tls=TLS)
    inner = await fault("http://inner.example/", AddressPolicy.public(), client=client)
    unknown = await fault("http://unknown.example/", AddressPolicy.public(), client=client)
    assert (inner.detail or "").replace("inner", "unknown") == unknown.detail
    assert inner.as_json() | {"detail": ""} == unknown.as_json() | {"detail": ""}


async def test_a_dead_first_address_does_not_hide_a_living_second(
    serve: Serve, names: Any, response: Respond
) -> None:
    peer = await serve(response(b"alive"))
    policy = AddressPolicy.allowing([("127.0.0.1", peer.port), ("::1", peer.port)])
    client = GuardedHttpClient(resolver=names(two_example=["::1", "127.0.0.1"]), tls=TLS)
    assert (await get(f"http://two.example:{peer.port}/", policy, client=client)).body == b"alive"


async def test_no_proxy_of_the_environment_is_used(
    serve: Serve, response: Respond, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer, proxy = await serve(response(b"direct")), await serve(response(b"proxied"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert (await get(f"http://127.0.0.1:{peer.port}/", allowing(peer))).body == b"direct"
    assert proxy.connections == 0


async def test_nothing_listening_is_said_without_the_address(names: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = GuardedHttpClient(resolver=names(dead_example=["127.0.0.1"]), tls=TLS)
    policy = AddressPolicy.allowing([("127.0.0.1", port)])
    refusal = await fault(f"http://dead.example:{port}/", policy, client=client)
    assert (refusal.status, refusal.detail) == (502, f"could not connect to dead.example port {port}")


# Redirects


async def test_redirects_are_answers_unless_asked_for(serve: Serve, response: Respond) -> None:
    peer = await serve(response(status="302 Found", headers=["Location: /next"]))
    answer = await get(f"http://127.0.0.1:{peer.port}/", allowing(peer))
    assert (answer.status, answer.header("location"), peer.connections) == (302, "/next", 1)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://localhost/",
        "//10.0.0.1/",
        "http://[::1]/",
        "file:///etc/passwd",
        "http://user:pw@example.com/",
        "gopher://x/",
    ],
)
async def test_a_redirect_is_judged_like_the_first_request(
    location: str, serve: Serve, response: Respond
) -> None:
    peer = await serve(response(status="302 Found", headers=[f"Location: {location}"]))
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer), redirects=True)
    assert refusal.status in (400, 403)
    assert peer.connections == 1


async def test_credentials_stay_with_their_origin(serve: Serve, names: Any, response: Respond) -> None:
    other = await serve(response(b"there"))
    first = await serve(
        response(status="307 Temporary Redirect", headers=[f"Location: http://other.example:{other.port}/x"])
    )
    client = GuardedHttpClient(resolver=names(other_example=["127.0.0.1"]), tls=TLS)
    secrets = (("Authorization", "Bearer s"), ("Cookie", "c=1"), ("X-Api-Key", "k"), ("Accept", "text/plain"))
    answer = await get(
        f"http://127.0.0.1:{first.port}/",
        allowing(first, other),
        client=client,
        redirects=True,
        headers=secrets,
    )
    assert (answer.body, answer.url) == (b"there", f"http://other.example:{other.port}/x")
    assert first.header("authorization") == "Bearer s"
    for name in ("authorization", "cookie", "x-api-key"):
        assert other.header(name) is None
    assert other.header("accept") == "text/plain"


async def test_cookies_are_never_kept(serve: Serve, response: Respond) -> None:
    peer = await serve(response(status="302 Found", headers=["Location: /again", "Set-Cookie: a=b"]))

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        again = request.startswith(b"GET /again")
        writer.write(
            response(b"done")
            if again
            else response(status="302 Found", headers=["Location: /again", "Set-Cookie: a=b"])
        )

    peer.answer = answer
    assert (await get(f"http://127.0.0.1:{peer.port}/", allowing(peer), redirects=True)).body == b"done"
    assert peer.header("cookie") is None


async def test_a_redirect_loop_ends_after_three(serve: Serve, response: Respond) -> None:
    peer = await serve(response(status="301 Moved Permanently", headers=["Location: /again"]))
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer), redirects=True)
    assert refusal.title == "Too many redirects"
    assert peer.connections == 4


# Bounds


async def test_a_decompression_bomb_is_cut_at_the_limit(serve: Serve, response: Respond) -> None:
    bomb = gzip.compress(b"\0" * 40_000_000, 9)
    peer = await serve(response(bomb, headers=["Content-Encoding: gzip"]))
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))
    assert (refusal.status, refusal.title) == (413, "Response too large")
    assert "5242880" in (refusal.detail or "")


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip,gzip,gzip,gzip"])
async def test_codings_nobody_asked_for_are_refused(coding: str, serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"xxxx", headers=[f"Content-Encoding: {coding}"]))
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))
    assert "not asked for" in (refusal.detail or "")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 300_000, 5 * 1024 * 1024])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
async def test_a_body_up_to_the_limit_is_read_exactly(
    size: int, coding: str, serve: Serve, response: Respond
) -> None:
    body = (b"abcdefghij" * (size // 10 + 1))[:size]
    packed = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[coding](body)
    peer = await serve(response(packed, headers=[f"Content-Encoding: {coding}"]))
    assert (await get(f"http://127.0.0.1:{peer.port}/", allowing(peer))).body == body


async def test_one_byte_more_than_the_limit_is_refused(serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"a" * (5 * 1024 * 1024 + 1)))
    assert (await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))).status == 413


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"hello" * 100)[:-9], b"no gzip", gzip.compress(b"a") + b"rest"],
    ids=["cut short", "no gzip", "something behind it"],  # what is packed names the second in which it was
)
async def test_a_damaged_body_is_said_to_be_damaged(packed: bytes, serve: Serve, response: Respond) -> None:
    peer = await serve(response(packed, headers=["Content-Encoding: gzip"]))
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))
    assert (refusal.status, refusal.title) == (502, "Unreadable response")


async def test_an_endless_body_is_cut(serve: Serve) -> None:
    async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"a" * 65_536)
            await writer.drain()

    peer = await serve(endless)
    assert (await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))).status == 413


@pytest.mark.parametrize("where", ["headers", "body"])
async def test_a_slow_drip_ends_with_the_total_time(where: str, serve: Serve) -> None:
    async def drip(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + (b"\r\n" if where == "body" else b"X: ")
        )
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.02)

    peer = await serve(drip)
    client = GuardedHttpClient(limits=Limits(total=0.3))
    started = asyncio.get_running_loop().time()
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer), client=client)
    assert (refusal.status, refusal.title) == (504, "No answer in time")
    assert asyncio.get_running_loop().time() - started < 2


@pytest.mark.parametrize(
    "headers",
    [["X-Big: " + "a" * 70_000], ["X-Big: " + "a" * 200_000], [f"X-{i}: a" for i in range(201)]],
    ids=["64k", "beyond-h11", "count"],
)
async def test_huge_response_headers_are_refused(headers: list[str], serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"x", headers=headers))
    assert (await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))).status == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_a_clear_fault(answer: bytes, serve: Serve) -> None:
    peer = await serve(answer)
    refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer))
    assert refusal.status == 502
    assert refusal.type.endswith("/communication")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET /\r\nX: y", "", "BREW"])
async def test_other_methods_are_refused(method: str) -> None:
    assert (await fault("http://example.com/", AddressPolicy.public(), method=method)).status == 400


async def test_headers_are_checked_before_connecting(serve: Serve, response: Respond) -> None:
    peer = await serve(response(b"x"))
    for headers in ((("X", "a\r\nHost: evil"),), (("Host", "evil"),), (("Content-Length", "3"),)):
        refusal = await fault(f"http://127.0.0.1:{peer.port}/", allowing(peer), headers=headers)
        assert refusal.status == 400
    assert peer.connections == 0


async def test_a_cancelled_call_closes_its_connection(serve: Serve) -> None:
    arrived, closed = asyncio.Event(), asyncio.Event()

    async def silent(request: bytes, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        try:
            while not writer.is_closing():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    peer = await serve(silent)
    call = asyncio.ensure_future(get(f"http://127.0.0.1:{peer.port}/", allowing(peer)))
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(closed.wait(), 2)


# TLS


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server context with a certificate for `name`, and a client context that trusts its maker."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return server, client


async def test_tls_is_verified_for_the_name_not_the_pinned_address(
    serve: Serve, names: Any, response: Respond, tmp_path: Path
) -> None:
    server, trust = certificate(tmp_path, "svc.example")
    seen: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: seen.append(name)
    peer = await serve(response(b"safe"), tls=server)
    client = GuardedHttpClient(
        resolver=names(svc_example=["127.0.0.1"], other_example=["127.0.0.1"]), tls=trust
    )
    assert (await get(f"https://svc.example:{peer.port}/", allowing(peer), client=client)).body == b"safe"
    assert seen == ["svc.example"]
    refusal = await fault(f"https://other.example:{peer.port}/", allowing(peer), client=client)
    assert refusal.title == "Connection not trusted"
    assert "other.example" in (refusal.detail or "")


async def test_an_unknown_maker_of_certificates_is_not_trusted(
    serve: Serve, names: Any, response: Respond, tmp_path: Path
) -> None:
    server, _ = certificate(tmp_path, "svc.example")
    peer = await serve(response(b"safe"), tls=server)
    client = GuardedHttpClient(resolver=names(svc_example=["127.0.0.1"]), tls=TLS)
    refusal = await fault(f"https://svc.example:{peer.port}/", allowing(peer), client=client)
    assert refusal.title == "Connection not trusted"


async def test_https_never_falls_back_to_http(
    serve: Serve, names: Any, response: Respond, tmp_path: Path
) -> None:
    plain = await serve(response(b"plain"))
    server, trust = certificate(tmp_path, "127.0.0.1")
    peer = await serve(
        response(status="302 Found", headers=[f"Location: http://127.0.0.1:{plain.port}/"]), tls=server
    )
    client = GuardedHttpClient(tls=trust)
    refusal = await fault(
        f"https://127.0.0.1:{peer.port}/", allowing(peer, plain), client=client, redirects=True
    )
    assert "from https to an unprotected address" in (refusal.detail or "")
    assert plain.connections == 0


@pytest.mark.parametrize(
    "url", ["ftp://ann:s3cret@x/?k=s3cret", "http://s3cret:s3cret@x/", "http://a b/?k=s3cret"]
)
async def test_a_refused_url_is_not_repeated(url: str) -> None:
    assert "s3cret" not in str(await fault(url, AddressPolicy.public()))
