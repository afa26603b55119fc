"""The arguments of `call: http`, as the definition language names them."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StrictBool, model_validator

from activities.actions.declaration import Arguments
from domain.http import METHODS, basic_credentials

Scalar = str | int | float | bool


class Basic(Arguments):
    username: str
    password: str


class Bearer(Arguments):
    token: str


class Authentication(Arguments):
    """Exactly one of the two."""

    basic: Basic | None = None
    bearer: Bearer | None = None

    @model_validator(mode="after")
    def _one(self) -> "Authentication":
        if (self.basic is None) == (self.bearer is None):
            raise ValueError("authentication needs either basic or bearer")
        return self

    def header(self) -> str:
        if self.basic is not None:
            return basic_credentials(self.basic.username, self.basic.password)
        assert self.bearer is not None
        return f"Bearer {self.bearer.token}"


class Endpoint(Arguments):
    uri: Annotated[str, Field(min_length=1, max_length=8192)]
    authentication: Authentication | None = None


class HttpCall(Arguments):
    """Arguments of `call: http`; `{name}` in the endpoint takes a top-level field of the step's input."""

    method: Annotated[str, Field(min_length=1, max_length=20, description="GET, POST, … in any case")]
    endpoint: Annotated[str, Field(min_length=1, max_length=8192)] | Endpoint
    headers: dict[str, Scalar] = {}
    query: dict[str, JsonValue] = {}
    body: JsonValue = None
    output: Literal["content", "response", "raw"] = "content"
    redirect: Annotated[
        StrictBool, Field(description="Follow up to 3 redirects; otherwise 3xx is an error")
    ] = False
    idempotent: Annotated[
        StrictBool,
        Field(
            description="The service honours Idempotency-Key, so a write may be repeated after a lost worker"
        ),
    ] = False
    variables: Annotated[
        dict[str, JsonValue], Field(description="Filled by the engine from the step's input for {name}")
    ] = {}

    @model_validator(mode="after")
    def _known_method(self) -> "HttpCall":
        if self.method.upper() not in METHODS:
            raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}")
        return self
