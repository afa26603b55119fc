"""Filling texts from values, inside a segment."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from domain import templates
from domain.actions import Effect, Lane
from domain.definitions.values import MAX_BYTES


class FillTemplate(Arguments):
    """`{{ client.name }}` in `text` is replaced by that path of `values`."""

    text: Annotated[str, Field(max_length=MAX_BYTES)]
    values: dict[str, JsonValue] = {}
    escape: Annotated[
        Literal["none", "html"], Field(description="html makes values safe inside an HTML text")
    ] = "none"


class FilledTemplate(Result):
    text: str


@action(
    "data.template",
    version="1.0.0",
    title="Fill a text template",
    effect=Effect.PURE,
    lane=Lane.SEGMENT,
    timeout=timedelta(seconds=1),
)
async def render(context: ActionContext, arguments: FillTemplate) -> FilledTemplate:
    """Replace each {{ path.to.value }} of a text; an unknown path fails the step and is named."""
    # Room for the object around the text keeps the result within the limit of a value.
    limit = MAX_BYTES - 64
    filled = templates.render(arguments.text, arguments.values, html=arguments.escape == "html", limit=limit)
    return FilledTemplate(text=filled)
