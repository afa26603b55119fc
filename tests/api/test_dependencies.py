from collections.abc import Iterator
from inspect import iscoroutinefunction

from fastapi.dependencies.models import Dependant

from tests.api.conftest import World


def test_no_request_visits_a_thread_to_resolve_its_dependencies(world: World) -> None:
    """FastAPI runs a plain function in a thread pool; eight such hops doubled the cost of a request."""
    plain = {
        f"{dependant.call.__module__}.{getattr(dependant.call, '__name__', dependant.call)}"
        for route in routes(world)
        for dependant in everything(route)
        if dependant.call is not None and not is_async(dependant.call)
    }
    assert not plain, "declare these `async def`"


def routes(world: World) -> Iterator[Dependant]:
    from api.app import API, BESIDES

    for router in (*API, *BESIDES):
        for route in router.routes:
            yield route.dependant  # type: ignore[attr-defined]


def everything(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from everything(inner)


def is_async(call: object) -> bool:
    return iscoroutinefunction(call) or iscoroutinefunction(type(call).__call__)
