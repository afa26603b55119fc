"""Around everything: each request has an id, is counted, and leaves one line that names its route and not its path."""

import logging
import re
import time
from typing import Any, Final
from uuid import uuid4

from prometheus_client import Counter, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

log = logging.getLogger("perdure.requests")

REQUESTS: Final = Counter(
    "perdure_http_requests_total", "HTTP requests by route and status.", ["method", "route", "status"]
)
LATENCY: Final = Histogram(
    "perdure_http_request_seconds",
    "From a request to the beginning of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HEADER: Final = "X-Request-Id"
_USABLE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Asked every few seconds by machines.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})


class Observation:
    """ASGI middleware. A path may hold a token, and a query a search for a person: neither is written down."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _given(scope) or uuid4().hex
        answered: dict[str, Any] = {"status": 500, "at": None}
        clear_contextvars()
        bind_contextvars(request=request_id)

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered["status"], answered["at"] = message["status"], time.perf_counter()
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            _note(scope, answered["status"], began, answered["at"])


def _given(scope: Scope) -> str | None:
    """What a proxy in front has called this request, if it is fit for a header and a log."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _USABLE.fullmatch(value) else None
    return None


def _note(scope: Scope, status: int, began: float, answered: float | None) -> None:
    now = time.perf_counter()
    method = scope["method"] if scope["method"] in _METHODS else "other"
    # No route: whatever strangers ask for must not become names of time series.
    route = getattr(scope.get("route"), "path", None) or "none"
    REQUESTS.labels(method, route, str(status)).inc()
    LATENCY.labels(method, route).observe((answered or now) - began)
    level = logging.DEBUG if route in _QUIET else logging.INFO
    if log.isEnabledFor(level):
        taken = round((now - began) * 1000, 1)
        log.log(
            level, "request", extra={"method": method, "route": route, "status": status, "duration_ms": taken}
        )
