"""Query parameters: one that an address does not know is refused, or a misspelt filter would not filter."""

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from api.invalid import unknown
from domain.errors import Invalid

_SHOWN = 10


async def only_known_parameters(request: Request) -> None:
    """A dependency of every API route. Raises Invalid with the first ten unknown ones and the nearest known."""
    route: APIRoute = request.scope["route"]
    fields = get_flat_params(route.dependant)
    known = [field.alias for field in fields if isinstance(field.field_info, Query)]
    strange = [name for name in request.query_params if name not in known]
    if strange:
        raise Invalid(problems=[unknown("parameter", ("query", name), known) for name in strange[:_SHOWN]])
