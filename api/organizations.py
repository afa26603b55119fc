"""The organizations one is a member of, further ones, and the facts about one of them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.auth import NOBODY, Anyone, Caller, Person, require
from api.collaborators import Parts
from api.etags import ExpectedRevision
from api.fields import Body, Line, Prose
from api.idempotency import Answer, Idempotent
from api.noting import noted
from api.revisions import moment_of, tagged
from api.sessions import slug
from db.activity import Activities
from db.logins import Identities
from db.session import Access, Role, enter
from db.tenants import RESTORABLE_FOR, Foundations, Organizations
from domain.errors import Forbidden, IdempotencyKeyReused, Invalid, Problem
from domain.ids import derived_id
from domain.permissions import Permission
from domain.schedules.walls import UnknownZone, zone
from domain.tenants import CompanySize, VerificationLevel

router = APIRouter(prefix="/v1/organizations", tags=["tenants"])


def _time_zone(name: str) -> str:
    try:
        zone(name)
    except UnknownZone:
        told = "The value should be an IANA time zone such as Europe/Berlin."
        raise PydanticCustomError("time_zone", told) from None
    return name


ShortText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]


class OrganizationFacts(Body):
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


class NewOrganization(OrganizationFacts):
    name: Line
    timezone: TimeZone = "UTC"


class OrganizationChange(OrganizationFacts):
    """Only the members sent are changed; null clears one that may be empty."""

    name: Line | None = None
    timezone: TimeZone | None = None
    logo_url: ShortText | None = None
    registration_number: ShortText | None = None


class OrganizationView(BaseModel):
    id: UUID
    name: str
    slug: str
    domain: str | None = Field(description="The organization's own; proven when `is_verified`.")
    is_verified: bool
    verification_level: VerificationLevel
    description: str | None
    logo_url: str | None
    website: str | None
    industry: str | None
    company_size: CompanySize | None
    phone: str | None
    address: str | None
    city: str | None
    state: str | None
    zip_code: str | None
    country: str | None
    timezone: str
    registration_number: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class MyOrganization(BaseModel):
    id: UUID
    name: str
    slug: str
    role: str
    deleted_at: datetime | None = None
    restorable_until: datetime | None = Field(None, description="Of a deleted one.")


class OrganizationList(BaseModel):
    items: list[MyOrganization]
    next_cursor: str | None


@router.get("", operation_id="organizations_list", response_model=OrganizationList)
async def list_organizations(
    caller: Anyone,
    parts: Parts,
    deleted: Annotated[
        bool, Query(description="Those you own and deleted, as long as you can restore them.")
    ] = False,
) -> dict[str, Any]:
    """The organizations you are an active member of; a key sees the one it belongs to."""
    async with parts.database.transaction(NOBODY) as tx:
        if deleted:
            found = (
                await Foundations(tx).deleted(caller.user_id, parts.clock()) if caller.actor == "user" else ()
            )
            gone = [
                {**row, "role": "owner", "restorable_until": row["deleted_at"] + RESTORABLE_FOR}
                for row in found
            ]
            return {"items": gone, "next_cursor": None}
        rows = await Identities(tx).organizations(caller.user_id)
    mine = [dict(row) for row in rows if caller.actor == "user" or row["id"] == caller.organization_id]
    return {"items": mine, "next_cursor": None}


@router.post("", operation_id="organizations_create", status_code=201, response_model=OrganizationView)
async def create_organization(
    caller: Person, parts: Parts, once: Idempotent, body: NewOrganization
) -> Response:
    """A further organization that you own; send its id in X-Organization-Id to act in it."""
    # Kept answers belong to an organization, and who asks may be a member of none: an id made from the key tells
    # a repeated request just as well, and for longer.
    id = uuid4() if once.key is None else derived_id(f"organization/{caller.user_id}/{once.key}")
    values = body.model_dump(exclude_none=True)
    async with parts.database.transaction(NOBODY) as tx:
        is_new = await Foundations(tx).create(
            caller.user_id, {"id": str(id), "slug": slug(body.name), **values}
        )
        try:
            await enter(tx, Access(Role.API, id, caller.user_id))
        except Forbidden:  # made, and left or deleted since
            raise IdempotencyKeyReused from None
        if is_new:
            activity = noted(caller, "organization.created", "organizations", id, organization_id=id)
            await Activities(tx).note([activity])
        shown = show(await Organizations(tx).get(id))
    if not is_new and any(shown[name] != value for name, value in values.items()):
        raise IdempotencyKeyReused
    return tagged(Answer(201, shown, replayed=not is_new), location="/v1/organizations/{id}")


@router.get("/{organization_id}", operation_id="organizations_get", response_model=OrganizationView)
async def get_organization(
    organization_id: UUID,
    caller: Annotated[Caller, Depends(require(Permission.ORGANIZATION_READ))],
    parts: Parts,
) -> Response:
    """The organization you act in; another one is entered by X-Organization-Id."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Organizations(tx).get(organization_id)
    return tagged(Answer(200, show(row)))


@router.patch("/{organization_id}", operation_id="organizations_update", response_model=OrganizationView)
async def update_organization(
    *,
    caller: Annotated[Caller, Depends(require(Permission.ORGANIZATION_WRITE))],
    organization_id: UUID,
    body: OrganizationChange,
    revision: ExpectedRevision,
    parts: Parts,
) -> Response:
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
        activity = noted(
            caller, "organization.changed", "organizations", organization_id, fields=sorted(values)
        )
        await Activities(tx).note([activity])
    return tagged(Answer(200, show(row)))


def show(row: Any) -> dict[str, Any]:
    return OrganizationView.model_validate(dict(row)).model_dump(mode="json")
