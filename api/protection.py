"""The outermost layer: headers every answer carries, and a last answer when something of ours breaks."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Unavailable, is_unavailable, respond, unexpected
from domain.definitions.graph import STYLE_HASH

#: Pages may load our own stylesheets and modules and talk to our own API; nothing stands inline, no page frames us.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: Drawings bring one style, which is always the same.
DRAWING_POLICY = f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'"


class Protection:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, is_https: bool) -> None:
        self._app = app
        self._always = {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        }
        if is_https:
            self._always["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def protected(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._protect(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, protected)
        except Exception as error:
            if started:  # half an answer is out; breaking the connection is the only honest end
                raise
            answer = respond(Unavailable()) if is_unavailable(error) else unexpected(error)
            await answer(scope, receive, protected)

    def _protect(self, headers: MutableHeaders) -> None:
        for name, value in self._always.items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-store")
        # Not no-referrer: with it browsers send `Origin: null` along with our own forms. Pages whose address holds
        # a token say so themselves.
        headers.setdefault("Referrer-Policy", "same-origin")
        kind = headers.get("content-type", "").partition(";")[0]
        policies = {"text/html": PAGE_POLICY, "image/svg+xml": DRAWING_POLICY}
        headers["Content-Security-Policy"] = policies.get(kind, DATA_POLICY)
