"""One file with one decorator makes an action: its models are its schemas, its function is its work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from inspect import getdoc
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter

from activities.actions.context import ActionContext
from domain.actions import ActionSpec, Effect, Lane


class Arguments(BaseModel):
    """What a step passes under `with`; unknown names are refused, so that no typing error goes unnoticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Action(Generic[A]):
    """A spec together with what carries it out."""

    spec: ActionSpec
    arguments: type[A]
    output: TypeAdapter[Any]
    perform: Callable[[ActionContext, A], Awaitable[Any]]
    #: Narrows the declared effect by the arguments, as reading is safer than writing.
    effect_of: Callable[[A], Effect] | None = None
    #: Narrows it further by what can be read outside before anything is done there. Raises Fault.
    effect_found: Callable[[ActionContext, A], Awaitable[Effect]] | None = None


def action(
    name: str,
    *,
    version: str,
    title: str,
    effect: Effect,
    lane: Lane,
    timeout: timedelta,
    is_internal: bool = False,
    effect_of: Callable[[A], Effect] | None = None,
    effect_found: Callable[[ActionContext, A], Awaitable[Effect]] | None = None,
) -> Callable[[Callable[[ActionContext, A], Awaitable[Any]]], Action[A]]:
    """Make an action of `async def f(context, arguments: Model) -> Result`, described by its docstring."""

    def declare(perform: Callable[[ActionContext, A], Awaitable[Any]]) -> Action[A]:
        hints = get_type_hints(perform)
        arguments: type[A] = hints["arguments"]
        output: TypeAdapter[Any] = TypeAdapter(hints["return"])
        spec = ActionSpec(
            name=name,
            version=version,
            title=title,
            description=" ".join((getdoc(perform) or title).split()),
            effect=effect,
            lane=lane,
            timeout=timeout,
            input=arguments.model_json_schema(mode="validation"),
            output=output.json_schema(mode="serialization"),
            is_internal=is_internal,
        )
        return Action(spec, arguments, output, perform, effect_of, effect_found)

    return declare
