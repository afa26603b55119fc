"""The arguments of `call: openapi`, as the definition language names them."""

from typing import Annotated

from pydantic import Field, JsonValue, StrictBool

from activities.actions.declaration import Arguments
from activities.actions.http_arguments import Address, Endpoint, Redirect, Variables
from activities.actions.http_outputs import Output
from domain.http_authentications import Authentication


class Resource(Arguments):
    """Something kept at an address."""

    endpoint: Address | Endpoint
    name: str | None = None


class OpenApiCall(Arguments):
    """Arguments of `call: openapi`; `parameters` holds the request body under `body`, or its fields by name."""

    document: Resource
    operation_id: Annotated[str, Field(alias="operationId", min_length=1, max_length=500)]
    parameters: dict[str, JsonValue] = {}
    authentication: Authentication | None = None
    output: Output = "content"
    redirect: Redirect = False
    idempotent: Annotated[
        StrictBool,
        Field(
            description="The operation only reads, or honours Idempotency-Key: it may be repeated after a lost worker"
        ),
    ] = False
    variables: Variables = {}
