"""The activity log of an organization: who did what, when and from where. Whoever reads it is written into it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from api.auth import Caller
from api.collaborators import Parts
from api.fields import Moment
from api.inside import inside
from api.noting import noted
from api.pagination import Paging
from db.activity import Activities, Activity, ActivityFilters
from domain.activities import WORDS, Act
from domain.errors import Invalid, Problem
from domain.permissions import Permission
from domain.tenants import ActorType

router = APIRouter(prefix="/v1/organizations/{organization_id}/audit-log", tags=["audit"])
Auditor = Annotated[Caller, Depends(inside(Permission.AUDIT_READ))]
Word = Annotated[str | None, Query(min_length=1, max_length=100)]


class LineView(BaseModel):
    """One line of the log. `metadata` of a changed row: `columns`, and `old` and `new` of those that may be told."""

    id: UUID
    created_at: datetime
    actor: ActorType = Field(description="A person, a key of theirs, an execution's worker, or the system.")
    user_id: UUID | None = Field(description="Who acted, or whose key it was.")
    action: str = Field(description="`insert`, `update`, `delete` of a row, or a word like `member.invited`.")
    resource: str = Field(description="The table, in the words of the database.")
    resource_id: str | None
    metadata: dict[str, Any]
    ip_address: str | None
    user_agent: str | None


class LinePage(BaseModel):
    items: list[LineView]
    next_cursor: str | None


async def filters_of(
    actor: ActorType | None = None,
    user_id: Annotated[UUID | None, Query(description="Who acted.")] = None,
    resource: Word = None,
    resource_id: Word = None,
    action: Word = None,
    since: Annotated[Moment | None, Query(alias="from", description="At or after.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Before.")] = None,
) -> ActivityFilters:
    """Raises Invalid for an action that the log does not know: it would find nothing, for ever."""
    return checked(ActivityFilters(actor, user_id, resource, resource_id, action, since, until), "query/")


def checked(filters: ActivityFilters, place: str) -> ActivityFilters:
    problems = []
    if filters.action is not None and filters.action not in WORDS:
        mend = f"Use one of {', '.join(sorted(WORDS))}."
        problems.append(Problem(f"{place}action", "The log knows no such action.", mend))
    if filters.since is not None and filters.until is not None and filters.since >= filters.until:
        problems.append(Problem(f"{place}to", "The end is not after the beginning.", "Send a later `to`."))
    if problems:
        raise Invalid(problems=problems)
    return filters


Filters = Annotated[ActivityFilters, Depends(filters_of)]


@router.get("", operation_id="audit_list", response_model=LinePage)
async def list_lines(caller: Auditor, parts: Parts, paging: Paging, filters: Filters) -> Any:
    """Newest first. Reading is itself noted, with what was asked for."""
    async with parts.database.transaction(caller.access) as tx:
        activities = Activities(tx)
        rows = await activities.page(filters, paging.before, paging.fetch)
        await activities.note([reading(caller, Act.AUDIT_READ, asked=filters.as_json(), lines=len(rows))])
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), _view)


def reading(caller: Caller, act: Act, resource_id: UUID | None = None, **about: Any) -> Activity:
    """The line about somebody who reads the log."""
    return noted(caller, act.value, "activity_logs", resource_id, **about)


def _view(row: Any) -> dict[str, Any]:
    return {**row, "actor": row["actor_type"]}
