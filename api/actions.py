"""The catalogue: what a definition may call."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.collaborators import Parts
from domain.actions import ActionSpec, Effect, Lane
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]


class ActionView(BaseModel):
    name: str
    version: str
    title: str
    description: str
    effect: Effect = Field(description="What repeating it does to the outside world.")
    lane: Lane
    timeout_seconds: float
    input: dict[str, Any] = Field(description="JSON Schema of `with`.")
    output: dict[str, Any] = Field(description="JSON Schema of what it answers.")


class ActionList(BaseModel):
    items: list[ActionView]


@router.get("/v1/actions", operation_id="actions_list", response_model=ActionList)
async def list_actions(caller: Reader, parts: Parts) -> ActionList:
    """Every action in every version, by name."""
    return ActionList(items=[_view(spec) for spec in parts.catalogue])


def _view(spec: ActionSpec) -> ActionView:
    return ActionView(
        name=spec.name,
        version=spec.version,
        title=spec.title,
        description=spec.description,
        effect=spec.effect,
        lane=spec.lane,
        timeout_seconds=spec.timeout.total_seconds(),
        input=dict(spec.input),
        output=dict(spec.output),
    )
