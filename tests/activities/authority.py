"""An authority that issues tokens and an API that accepts them, over real sockets: small, but honest."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

JSON = "application/json"


@dataclass(frozen=True)
class Seen:
    """A request as the server read it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}

    @classmethod
    def parse(cls, request: bytes) -> "Seen":
        head, _, body = request.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        url = urlsplit(target)
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
        return cls(method, url.path, parse_qs(url.query, keep_blank_values=True), headers, body)


#: Status, headers and body; a `dict` body is JSON.
Answer = tuple[int, dict[str, str], Any]


@dataclass
class Site:
    """Routes by path over one of conftest's peers; what is asked for is kept."""

    routes: dict[str, Callable[[Seen], Answer | Awaitable[Answer]]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    peer: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.peer.port}"

    def asked(self, path: str) -> list[Seen]:
        return [each for each in self.seen if each.path == path]

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        seen = Seen.parse(request)
        self.seen.append(seen)
        route = self.routes.get(seen.path)
        answer = (404, {}, {"error": "not here"}) if route is None else route(seen)
        status, headers, body = await answer if isinstance(answer, Awaitable) else answer
        if not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": JSON, **headers}
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()


@dataclass
class Authority:
    """Issues numbered tokens to the client `runtime` with the secret `s3cret/+&`, and judges them at `/api`."""

    site: Site = field(default_factory=Site)
    client: str = "runtime"
    secret: str = "s3cret/+&"
    life: Any = 3600
    issued: list[str] = field(default_factory=list)
    good: set[str] = field(default_factory=set)
    refresh: str = "refresh-0"
    #: Added to what the token endpoint answers.
    more: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.site.routes |= {
            "/realm/oauth2/token": self.token,
            "/realm/oauth2/introspect": self.introspect,
            "/realm/.well-known/openid-configuration": self.configuration,
            "/realm/login/token": self.token,
            "/api": self.api,
        }

    @property
    def realm(self) -> str:
        return f"{self.site.url}/realm"

    def configuration(self, _: Seen) -> Answer:
        return (
            200,
            {},
            {
                "issuer": self.realm,
                "token_endpoint": f"{self.realm}/login/token",
                "introspection_endpoint": f"{self.realm}/oauth2/introspect",
            },
        )

    def token(self, seen: Seen) -> Answer:
        asked = json.loads(seen.body) if seen.headers["content-type"] == JSON else seen.form
        if not self._knows(asked, seen):
            return 401, {}, {"error": "invalid_client", "error_description": f"not {seen.body.decode()}"}
        more: dict[str, Any] = {}
        match asked["grant_type"]:
            case "password" if (asked.get("username"), asked.get("password")) != ("ann", "pa ss"):
                return 400, {}, {"error": "invalid_grant"}
            case "refresh_token":
                if asked.get("refresh_token") != self.refresh:
                    return 400, {}, {"error": "invalid_grant"}
                self.refresh = f"refresh-{len(self.issued) + 1}"
                more = {"refresh_token": self.refresh}
        token = f"token-{len(self.issued) + 1}-of-{self.site.peer.port}"
        self.issued.append(token)
        self.good.add(token)
        answer = {"access_token": token, "token_type": "Bearer", **more, **self.more}
        return 200, {}, answer if self.life is None else answer | {"expires_in": self.life}

    def introspect(self, seen: Seen) -> Answer:
        if not self._knows(seen.form, seen):
            return 401, {}, {}
        active = seen.form["token"] in self.good
        return 200, {}, {"active": active, "iss": self.realm} if active else {"active": False}

    def api(self, seen: Seen) -> Answer:
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        echo = {"token": token, "method": seen.method, "body": seen.body.decode()}
        return (200, {"X-Echo": token}, echo) if token in self.good else (401, {"X-Echo": token}, echo)

    def _knows(self, asked: dict[str, Any], seen: Seen) -> bool:
        scheme, _, pair = seen.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            id, _, secret = base64.b64decode(pair).decode().partition(":")
            return (unquote_plus(id), unquote_plus(secret)) == (self.client, self.secret)
        if "client_assertion" in asked:
            return self._signed(asked["client_assertion"])
        return (asked.get("client_id"), asked.get("client_secret")) == (self.client, self.secret)

    def _signed(self, assertion: str) -> bool:
        signed, _, signature = assertion.rpartition(".")
        expected = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).digest()
        if unpadded(signature) != expected:
            return assertion == "given.by.author"
        claims = json.loads(unpadded(signed.split(".")[1]))
        at = f"{self.realm}/oauth2/token"
        return (claims["iss"], claims["sub"], claims["aud"]) == (self.client, self.client, at) and (
            time.time() < claims["exp"] <= time.time() + 120
        )


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwt(claims: dict[str, Any]) -> str:
    """A token that names its issuer; nobody verifies its signature here."""
    parts = [{"alg": "none"}, claims]
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts)
        + ".x"
    )
