"""An execution in plain English: what it waits for, until when and what happens then, or why it ended."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from api.auth import Caller, require
from api.collaborators import Parts
from db.executions import Executions
from db.explaining import explanation, zone_of
from domain.explaining import Act
from domain.permissions import Permission

router = APIRouter(tags=["executions"])
Reader = Annotated[Caller, Depends(require(Permission.EXECUTIONS_READ))]


class ExplanationView(BaseModel):
    headline: str = Field(
        examples=[
            "“Check the papers” waits for a reviewer until Friday at 17:00; then it goes to the owner as well."
        ]
    )
    more: list[str]
    text: str = Field(description="All of it.")
    until: datetime | None = Field(description="The moment the headline speaks of.")
    acts: list[Act] = Field(description="What somebody may do about it now.")
    time_zone: str = Field(description="The organization's, in which all moments are told.")


@router.get("/v1/executions/{id}/explain", operation_id="executions_explain", response_model=ExplanationView)
async def explain_execution(caller: Reader, parts: Parts, id: UUID) -> ExplanationView:
    """What it waits for, until when and what happens then; or how it ended, why, and what can be done."""
    async with parts.database.transaction(caller.access) as tx:
        zone = await zone_of(tx, caller.organization)
        found = await explanation(
            tx,
            await Executions(tx).get(id),
            parts.clock(),
            zone,
            names_clients=caller.may(Permission.CLIENTS_READ),
        )
    return ExplanationView(
        headline=found.headline,
        more=list(found.more),
        text=found.text,
        until=found.until,
        acts=list(found.acts),
        time_zone=zone.key,
    )
