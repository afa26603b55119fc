"""Which methods an address has: all of them in `Allow`, and a fixed address is never taken for an id."""

from collections import defaultdict
from collections.abc import Iterable

from fastapi import APIRouter
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import METHODS, MethodNotAllowed, respond


class Methods:
    """ASGI middleware around the router, which stops at the first route that fits a path.

    `/v1/workflows/test` fits `/v1/workflows/{id}` too: without this, PUT would be told about a missing If-Match.
    """

    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        self._app = app
        self._routes = [
            route
            for router in routers
            for route in router.routes
            if isinstance(route, Route) and route.methods
        ]
        self._fixed: dict[str, set[str]] = defaultdict(set)
        for route in self._routes:
            if "{" not in route.path:
                self._fixed[route.path] |= route.methods or set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            fixed = self._fixed.get(scope["path"])
            if fixed is not None and scope["method"] not in fixed:
                await respond(MethodNotAllowed(), allow=listed(fixed))(scope, receive, send)
                return
            scope[METHODS] = self
        await self._app(scope, receive, send)

    def allow(self, path: str, said: str) -> str:
        """The value of `Allow` for a path with ids in it; the first route that fits has `said` its own."""
        found = {method.strip() for method in said.split(",") if method.strip()}
        for route in self._routes:
            if route.path_regex.match(path):
                found |= route.methods or set()
        return listed(found)


def listed(methods: Iterable[str]) -> str:
    return ", ".join(sorted(methods))
