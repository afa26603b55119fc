"""One's own account: who one is, what others read about one, and where one acts unless a request says otherwise."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from api.auth import NOBODY, Anyone, Caller, Person
from api.authlog import personal
from api.collaborators import Collaborators, Parts
from api.etags import ExpectedRevision, etag
from api.fields import Body
from api.identity import From
from api.revisions import moment_of, revision_of
from db.activity import Activities
from db.identity import Users
from db.logins import Identities
from db.sealed import place, seal_text
from db.tenants import PLATFORM
from domain.clientfields import Country, WebAddress, telephone
from domain.errors import Invalid, NotFound, Problem

router = APIRouter(prefix="/v1/me", tags=["identity"])

OLDEST = date(1900, 1, 1)
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
#: No @: nobody learns by trying names whose address has an account here.
Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"),
]
CallingCode = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{0,3}$")]


def _telephone(text: str) -> str:
    try:
        number = telephone(text)
    except ValueError as wrong:
        raise PydanticCustomError("telephone", "This {reason}.", {"reason": str(wrong)}) from None
    if not number.startswith("+"):
        raise PydanticCustomError("telephone", "Write the number with its country code, like +49 30 901820.")
    return number


Telephone = Annotated[str, Field(max_length=40), AfterValidator(_telephone)]


class ProfileChange(Body):
    """Only the members sent are changed; null clears one that may be empty."""

    username: Username | None = None
    first_name: Short | None = None
    last_name: Short | None = None
    phone: Telephone | None = None
    country_code: CallingCode | None = None
    avatar_url: WebAddress | None = None
    date_of_birth: date | None = None
    address: Short | None = None
    city: Short | None = None
    state: Short | None = None
    zip_code: Short | None = None
    country: Country | None = None
    emergency_contact_name: Short | None = None
    emergency_contact_phone: Telephone | None = None
    emergency_contact_relation: Short | None = None
    #: Stored sealed, and never shown again; sent together with its type.
    national_id: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)] | None
    ) = None
    national_id_type: Short | None = None


class DefaultOrganization(Body):
    organization_id: UUID


class Profile(BaseModel):
    username: str
    email_verified: bool
    first_name: str | None
    last_name: str | None
    phone: str | None
    phone_verified: bool
    country_code: str | None
    avatar_url: str | None
    date_of_birth: date | None
    address: str | None
    city: str | None
    state: str | None
    zip_code: str | None
    country: str | None
    emergency_contact_name: str | None
    emergency_contact_phone: str | None
    emergency_contact_relation: str | None
    #: The kind of the national id that is stored; the id itself is never shown.
    national_id_type: str | None


class Me(BaseModel):
    """Who is calling, in which organization, and what they may do there. Keys do not see their owner's `profile`."""

    id: UUID
    email: str
    name: str
    actor: str
    organization_id: UUID | None
    role: str | None
    permissions: list[str]
    default_organization_id: UUID | None
    #: True when this organization demands a second factor that the person does not have yet.
    mfa_enrolment_required: bool
    created_at: datetime
    updated_at: datetime
    profile: Profile | None


@router.get("", operation_id="identity_me", response_model=Me)
async def me(caller: Anyone, parts: Parts, response: Response) -> dict[str, Any]:
    """Who is calling, in which organization, and what they may do there."""
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).get(caller.user_id)
    return _shown(caller, user, response)


@router.patch("", operation_id="identity_change_me", response_model=Me)
async def change_me(
    *,
    body: ProfileChange,
    caller: Person,
    revision: ExpectedRevision,
    parts: Parts,
    response: Response,
    device: From,
) -> dict[str, Any]:
    """Change your profile; send the ETag you last read in If-Match. A new telephone number is not verified."""
    values = body.model_dump(exclude_unset=True)
    _check(values, parts.clock().date())
    written = await _sealed(parts, caller.user_id, values)
    async with parts.database.transaction(caller.access) as tx:
        user = await Users(tx).change(caller.user_id, moment_of(revision), written)
        await Activities(tx).note(
            personal(caller, device, "profile.changed", "users", caller.user_id, fields=sorted(values))
        )
    return _shown(caller, user, response)


@router.put("/default-organization", status_code=204, operation_id="identity_prefer_organization")
async def prefer_organization(
    body: DefaultOrganization, caller: Person, parts: Parts, device: From
) -> Response:
    """The organization you act in when a request names none."""
    async with parts.database.transaction(NOBODY) as tx:
        mine = await Identities(tx).organizations(caller.user_id)
    if body.organization_id not in {each["id"] for each in mine}:
        raise NotFound
    async with parts.database.transaction(caller.access) as tx:
        await Users(tx).prefer(caller.user_id, body.organization_id)
        chosen = str(body.organization_id)
        await Activities(tx).note(
            personal(caller, device, "default_organization.changed", "users", caller.user_id, to=chosen)
        )
    return Response(status_code=204)


def _check(values: Mapping[str, Any], today: date) -> None:
    problems = [
        Problem(f"#/{name}", "This cannot be empty.", "Send a value, or leave the field out.")
        for name in ("username", "first_name")
        if name in values and values[name] is None
    ]
    if not values:
        problems.append(Problem("#", "The request changes nothing.", "Send at least one field."))
    born = values.get("date_of_birth")
    if born is not None and not OLDEST <= born < today:
        message = f"The date of birth lies between {OLDEST} and today."
        problems.append(Problem("#/date_of_birth", message, "Write it like 1990-05-17."))
    given = [name in values for name in ("national_id", "national_id_type")]
    if any(given) and (
        not all(given) or (values["national_id"] is None) != (values["national_id_type"] is None)
    ):
        message = "A national id and its type are set, and cleared, together."
        problems.append(Problem("#/national_id", message, "Send both, or null for both."))
    if problems:
        raise Invalid(problems=problems)


async def _sealed(parts: Collaborators, user_id: UUID, values: dict[str, Any]) -> dict[str, Any]:
    """The values to write: a national id is sealed for this person's row."""
    national_id = values.get("national_id")
    if national_id is None:
        return values
    where = place("users", "national_id", user_id)
    return {**values, "national_id": await seal_text(parts.keys, PLATFORM, where, national_id)}


def _shown(caller: Caller, user: RowMapping, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = etag(revision_of(user["updated_at"]))
    return {
        "id": user["id"],
        "email": user["email"],
        "name": " ".join(filter(None, (user["first_name"], user["last_name"]))),
        "actor": caller.actor,
        "organization_id": caller.organization_id,
        "role": caller.role,
        "permissions": sorted(caller.permissions),
        "default_organization_id": user["default_organization_id"],
        "mfa_enrolment_required": caller.mfa_due,
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "profile": user if caller.actor == "user" else None,
    }
