"""The organizations one is a member of, and the facts about one of them."""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from api.auth import NOBODY, Anyone, Caller, require
from api.collaborators import Parts
from api.etags import ExpectedRevision, etag
from api.fields import Body, Line, Prose
from api.revisions import moment_of, revision_of
from db.logins import Identities
from db.tenants import Organizations
from domain.errors import Invalid, Problem
from domain.permissions import Permission
from domain.tenants import CompanySize

router = APIRouter(prefix="/v1/organizations", tags=["tenants"])


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("time_zone", "The value should be an IANA time zone such as Europe/Berlin.")
    return name


ShortText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class OrganizationChange(Body):
    """Only the members sent are changed; null clears one that may be empty."""

    name: Line | None = None
    description: Prose | None = None
    website: ShortText | None = None
    industry: ShortText | None = None
    company_size: CompanySize | None = None
    phone: ShortText | None = None
    address: ShortText | None = None
    city: ShortText | None = None
    state: ShortText | None = None
    zip_code: ShortText | None = None
    country: ShortText | None = None
    timezone: Annotated[str, AfterValidator(_time_zone)] | None = None


@router.get("", operation_id="organizations_list")
async def list_organizations(caller: Anyone, parts: Parts) -> dict[str, Any]:
    """The organizations you are an active member of; a key sees the one it belongs to."""
    async with parts.database.transaction(NOBODY) as tx:
        rows = await Identities(tx).organizations(caller.user_id)
    mine = [dict(row) for row in rows if caller.actor == "user" or row["id"] == caller.organization_id]
    return {"items": mine, "next_cursor": None}


@router.get("/{organization_id}", operation_id="organizations_get")
async def get_organization(
    organization_id: UUID,
    caller: Annotated[Caller, Depends(require(Permission.ORGANIZATION_READ))],
    parts: Parts,
    response: Response,
) -> dict[str, Any]:
    """The organization you act in; another one is entered by X-Organization-Id."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Organizations(tx).get(organization_id)
    response.headers["ETag"] = etag(revision_of(row["updated_at"]))
    return dict(row)


@router.patch("/{organization_id}", operation_id="organizations_update")
async def update_organization(
    *,
    caller: Annotated[Caller, Depends(require(Permission.ORGANIZATION_WRITE))],
    organization_id: UUID,
    body: OrganizationChange,
    revision: ExpectedRevision,
    parts: Parts,
    response: Response,
) -> dict[str, Any]:
    """Change some facts; send the ETag you last read in If-Match."""
    values = body.model_dump(exclude_unset=True)
    problems = [
        Problem(f"#/{name}", "This cannot be empty.", "Send a value, or leave the field out.")
        for name in ("name", "timezone")
        if name in values and values[name] is None
    ]
    if problems or not values:
        nothing = [Problem("#", "The request changes nothing.", "Send at least one field.")]
        raise Invalid(problems=problems or nothing)
    async with parts.database.transaction(caller.access) as tx:
        organizations = Organizations(tx)
        await organizations.update(organization_id, moment_of(revision), values)
        row = await organizations.get(organization_id)
    response.headers["ETag"] = etag(revision_of(row["updated_at"]))
    return dict(row)
