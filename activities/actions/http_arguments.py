"""The arguments of `call: http`, as the definition language names them."""

from typing import Annotated

from pydantic import Field, JsonValue, StrictBool, model_validator

from activities.actions.declaration import Arguments
from activities.actions.http_outputs import Output
from domain.http import METHODS
from domain.http_authentications import Authentication

Scalar = str | int | float | bool
Address = Annotated[str, Field(min_length=1, max_length=8192)]
Redirect = Annotated[StrictBool, Field(description="Follow up to 3 redirects; otherwise 3xx is an error")]
Variables = Annotated[
    dict[str, JsonValue], Field(description="Filled by the engine from the step's input for {name}")
]


class Endpoint(Arguments):
    uri: Address
    authentication: Authentication | None = None


class HttpCall(Arguments):
    """Arguments of `call: http`; `{name}` in the endpoint takes a top-level field of the step's input."""

    method: Annotated[str, Field(min_length=1, max_length=20, description="GET, POST, … in any case")]
    endpoint: Address | Endpoint
    headers: dict[str, Scalar] = {}
    query: dict[str, JsonValue] = {}
    body: JsonValue = None
    output: Output = "content"
    redirect: Redirect = False
    idempotent: Annotated[
        StrictBool,
        Field(
            description="The service honours Idempotency-Key, so a write may be repeated after a lost worker"
        ),
    ] = False
    variables: Variables = {}

    @model_validator(mode="after")
    def _known_method(self) -> "HttpCall":
        if self.method.upper() not in METHODS:
            raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}")
        return self


def address_of(endpoint: str | Endpoint) -> tuple[str, Authentication | None]:
    return (endpoint, None) if isinstance(endpoint, str) else (endpoint.uri, endpoint.authentication)
