"""The OpenAPI document beyond what the routes say themselves: our error shape on every operation."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from api.errors import MEDIA_TYPE


class ProblemEntry(BaseModel):
    pointer: str = Field(examples=["#/name", "query/limit"])
    detail: str
    suggestion: str | None
    code: str


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=["/docs#invalid"])
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    errors: list[ProblemEntry] = []


#: Said of every operation in the OpenAPI document; FastAPI's own shape of a 422 never leaves this house.
DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }
    for status, description in (
        ("4XX", "The request was refused; `errors` names each place and its mend."),
        (422, "The request does not have the expected form."),
        ("5XX", "The fault is ours; repeat later, or report the id in `instance`."),
    )
}


def document(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs"))
        schemas["ProblemDetails"] = schema
        app.openapi_schema = made
    return app.openapi_schema
