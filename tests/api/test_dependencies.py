from collections.abc import Iterator
from inspect import iscoroutinefunction

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIRouter

from api.app import API, BESIDES


def test_no_request_visits_a_thread_to_resolve_its_dependencies() -> None:
    """FastAPI runs a plain function in a thread pool; eight such hops doubled the cost of a request."""
    plain = {
        f"{dependant.call.__module__}.{getattr(dependant.call, '__name__', dependant.call)}"
        for router in (*API, *BESIDES)
        for route in routes(router)
        for dependant in everything(route)
        if dependant.call is not None and not is_async(dependant.call)
    }
    assert not plain, "declare these `async def`"


def routes(router: APIRouter) -> Iterator[Dependant]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route.dependant
        else:  # a router inside the router
            yield from routes(route.original_router)  # type: ignore[attr-defined]  # FastAPI's own class for it


def everything(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from everything(inner)


def is_async(call: object) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)
