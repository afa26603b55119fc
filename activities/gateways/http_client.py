"""The one client for requests that tenants write: it decides where to connect before a byte leaves us."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterable
from dataclasses import dataclass

import httpx2

from activities.gateways.addresses import NotSent, Resolver, pin, system_resolver
from activities.gateways.bodies import read_body
from activities.gateways.http_messages import (
    HttpRequest,
    HttpResponse,
    checked,
    defaults,
    host_of,
    next_hop,
    parse,
)
from domain.addresses import AddressPolicy
from domain.definitions.faults import Fault

MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call, redirects included: seconds and bytes."""

    connect: float = 5.0
    total: float = 30.0
    body: int = 5 * 1024 * 1024
    header_bytes: int = 65_536
    header_count: int = 200


class GuardedHttpClient:
    """Sends requests to public addresses only, each over a connection of its own: tenants share nothing."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._resolver = resolver
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)

    async def send(
        self, request: HttpRequest, policy: AddressPolicy, *, follow_redirects: bool = False
    ) -> HttpResponse:
        """The response whatever its status. Raises a Fault: validation 400 for a request we will not send;
        communication 403 (refused address), 413 (too large), 502 or 503 (not reachable), 504 (too slow).
        """
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._follow(checked(request), policy, follow_redirects)
        except TimeoutError:
            raise Fault(
                "communication",
                504,
                "No answer in time",
                f"no complete answer within {self._limits.total:g} s",
                transient=True,
            ) from None

    async def _follow(self, request: HttpRequest, policy: AddressPolicy, redirects: bool) -> HttpResponse:
        for _ in range(MAX_REDIRECTS + 1):
            url = parse(request.url)
            response = await self._exchange(request, url, policy)
            location = response.header("location")
            if not redirects or response.status not in _REDIRECTS or location is None:
                return response
            request = next_hop(request, url, response.status, location)
        raise Fault("communication", 502, "Too many redirects", f"a call may follow at most {MAX_REDIRECTS}")

    async def _exchange(self, request: HttpRequest, url: httpx2.URL, policy: AddressPolicy) -> HttpResponse:
        port = url.port or (443 if url.scheme == "https" else 80)
        for address in await pin(host_of(url), port, policy, self._resolver):
            try:
                return await self._at(address, request, url)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                # Nothing of the request was sent: the next pinned address may be tried.
                failure = _unreachable(url, port, error)
            except httpx2.TransportError as error:
                raise _broken(url, error) from None
        raise failure

    async def _at(self, address: str, request: HttpRequest, url: httpx2.URL) -> HttpResponse:
        # The connection goes to the judged address; name checks (Host, SNI, certificate) stay with the host.
        pinned = httpx2.Request(
            request.method,
            url.copy_with(host=address),
            headers=[
                ("Host", url.netloc.decode("ascii")),
                ("Accept-Encoding", "gzip"),
                ("Connection", "close"),
                *defaults(request.headers),
                *request.headers,
            ],
            content=request.body,
            extensions={
                "sni_hostname": host_of(url).rstrip("."),
                "timeout": {"connect": self._limits.connect, "read": None, "write": None, "pool": None},
            },
        )
        transport = httpx2.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            limits=httpx2.Limits(max_connections=1, max_keepalive_connections=0),
        )
        async with transport:
            response = await transport.handle_async_request(pinned)
            try:
                return await self._read(response, request)
            finally:
                await response.aclose()

    async def _read(self, response: httpx2.Response, request: HttpRequest) -> HttpResponse:
        raw = response.headers.raw
        if response.status_code < 200:
            raise Fault("communication", 502, "Unreadable response", "the server wants to switch protocols")
        size = sum(len(name) + len(value) for name, value in raw)
        if len(raw) > self._limits.header_count or size > self._limits.header_bytes:
            raise Fault(
                "communication",
                502,
                "Unreadable response",
                f"its headers pass {self._limits.header_count} fields or {self._limits.header_bytes} bytes",
            )
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
        encoding = response.headers.get("content-encoding")
        assert isinstance(response.stream, AsyncIterable)
        expects_body = request.method != "HEAD" and response.status_code not in (204, 304)
        body = await read_body(response.stream, encoding if expects_body else None, self._limits.body)
        return HttpResponse(
            response.status_code, response.reason_phrase, headers, body, request.method, request.url
        )


def _unreachable(url: httpx2.URL, port: int, error: Exception) -> Fault:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = f"the certificate of {url.host} is not trusted: {cause.verify_message}"
            return NotSent("communication", 502, "Connection not trusted", reason)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectTimeout):
        return NotSent(
            "communication",
            504,
            "No answer in time",
            f"{url.host} port {port} did not accept a connection",
            transient=True,
        )
    return NotSent(
        "communication",
        502,
        "Host not reachable",
        f"could not connect to {url.host} port {port}",
        transient=True,
    )


def _broken(url: httpx2.URL, error: Exception) -> Fault:
    # The transport's own words may name the pinned address, so they are not repeated.
    kind = "broke the connection"
    if isinstance(error, httpx2.ProtocolError):
        is_early = re.search("disconnected|closed connection", str(error)) is not None
        kind = (
            "closed the connection before its answer had ended" if is_early else "does not speak proper HTTP"
        )
    return Fault("communication", 502, "Connection failed", f"{url.host} {kind}", transient=True)
