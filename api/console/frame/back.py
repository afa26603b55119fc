"""Addresses that forms are sent to lead back to their page when somebody opens them, by a reload or a bookmark."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute


def ways_back(slices: Iterable[APIRouter]) -> APIRouter:
    """A route for each address of the slices that only takes forms: to the nearest page above it."""
    routes = [route for each in slices for route in each.routes if isinstance(route, APIRoute)]
    shown = {route.path for route in routes if "GET" in route.methods}
    back = APIRouter(include_in_schema=False)
    for path in sorted({route.path for route in routes if "POST" in route.methods} - shown):
        above = path
        while above and above not in shown:
            above = above.rpartition("/")[0]
        back.add_api_route(path, _to(above.count("/")), methods=["GET"])
    return back


def _to(depth: int) -> Callable[[Request], Awaitable[Response]]:
    async def to_page(request: Request) -> Response:
        return RedirectResponse("/".join(request.url.path.split("/")[: depth + 1]) or "/", 303)

    return to_page
