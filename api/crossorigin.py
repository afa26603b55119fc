"""Which page of another origin may call us: Temporal's UI, and only the codec server."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = "/codec/"
_LEAVE = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "authorization, content-type, x-namespace",
    "Access-Control-Max-Age": "600",
}


class CrossOrigin:
    """ASGI middleware: `origin` may read what the codec server answers, with the visitor's own cookie."""

    def __init__(self, app: ASGIApp, origin: str | None) -> None:
        self._app = app
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")
        known = origin is not None and origin == self._origin

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if known:
                    headers["Access-Control-Allow-Origin"] = str(origin)
                    headers["Access-Control-Allow-Credentials"] = "true"
            await send(message)

        if scope["method"] == "OPTIONS" and known:
            await marked(
                {
                    "type": "http.response.start",
                    "status": 204,
                    "headers": [(k.encode(), v.encode()) for k, v in _LEAVE.items()],
                }
            )
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, marked)
