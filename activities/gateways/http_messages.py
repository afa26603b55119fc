"""What goes through the guarded client: a request checked before it is sent, the answer, the next hop."""

import re
from dataclasses import dataclass, replace

import httpx2

from activities.gateways.addresses import refused
from domain.definitions.faults import Fault
from domain.http import METHODS, Headers, after_redirect, check_headers

MAX_URL = 8_192
MAX_REQUEST_BODY = 1_048_576
_HOST = re.compile(r"[0-9a-z_.:\-]{1,255}")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    url: str
    headers: Headers = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The final answer; `url` and `method` are those of the last hop, `body` is decoded."""

    status: int
    reason: str
    headers: Headers
    body: bytes
    method: str
    url: str

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


def checked(request: HttpRequest) -> HttpRequest:
    """The request with its method in capitals. Raises a validation fault for what is never sent."""
    method = request.method.upper()
    if method not in METHODS:
        raise _invalid(f"the method {request.method[:20]!r} is not one of {', '.join(sorted(METHODS))}")
    if request.body is not None and len(request.body) > MAX_REQUEST_BODY:
        raise _invalid(f"the request body is larger than the limit of {MAX_REQUEST_BODY} bytes")
    return replace(request, method=method, headers=check_headers(request.headers))


def parse(text: str) -> httpx2.URL:
    """Read an endpoint; refusals never repeat it, its query may hold a secret."""
    if len(text) > MAX_URL:
        raise _invalid(f"the URL is longer than {MAX_URL} characters")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise _invalid(f"the endpoint is not a URL: {error}") from None
    if url.scheme not in ("http", "https"):
        raise _invalid("the URL does not begin with http:// or https://")
    if url.userinfo:
        raise _invalid("the URL holds a user name or password; use `authentication` of the endpoint instead")
    if not _HOST.fullmatch(host_of(url)) or (url.port is not None and not 0 < url.port < 65_536):
        raise _invalid("the URL does not name a host, or its port is not between 1 and 65535")
    return url.copy_with(fragment=None)


def host_of(url: httpx2.URL) -> str:
    """The host as it goes over the wire; `url.host` would turn punycode back into Unicode."""
    return url.raw_host.decode("ascii")


def next_hop(request: HttpRequest, url: httpx2.URL, status: int, location: str) -> HttpRequest:
    """The request a redirect asks for, without credentials when it leads to another origin."""
    try:
        target = url.join(location)
    except (httpx2.InvalidURL, ValueError):
        raise Fault("communication", 502, "Unreadable redirect", "the Location header is not a URL") from None
    if url.scheme == "https" and target.scheme != "https":
        raise refused("the server redirects from https to an unprotected address")
    same = (url.scheme, url.host, url.port) == (target.scheme, target.host, target.port)
    method, headers, body = after_redirect(
        status, request.method, request.headers, request.body, same_origin=same
    )
    return HttpRequest(method, str(target), headers, body)


def defaults(headers: Headers) -> list[tuple[str, str]]:
    """Headers of ours that the request does not give itself."""
    given = {name.lower() for name, _ in headers}
    defaults = (("Accept", "*/*"), ("User-Agent", "Perdure"))
    return [(name, value) for name, value in defaults if name.lower() not in given]


def _invalid(detail: str) -> Fault:
    return Fault("validation", 400, "Request refused", detail)
