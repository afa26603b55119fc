"""The settings of an organization: who must prove more, who may be invited, how long things are kept."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import Caller
from api.collaborators import Parts
from api.etags import ExpectedRevision, etag
from api.inside import confirmed_inside, inside
from api.noting import noted
from api.revisions import moment_of, revision_of
from db.activity import Activities
from db.tenants import Organizations
from domain.permissions import Permission
from domain.tenants import OrganizationSettings

router = APIRouter(prefix="/v1/organizations/{organization_id}/settings", tags=["tenants"])


@router.get("", operation_id="settings_get", response_model=OrganizationSettings)
async def get_settings(
    organization_id: UUID,
    caller: Annotated[Caller, Depends(inside(Permission.ORGANIZATION_READ))],
    parts: Parts,
    response: Response,
) -> OrganizationSettings:
    """Every setting, those that nobody set with their defaults."""
    async with parts.database.transaction(caller.access) as tx:
        settings, updated_at = await Organizations(tx).settings(organization_id)
    response.headers["ETag"] = etag(revision_of(updated_at))
    return settings


@router.put("", operation_id="settings_replace", response_model=OrganizationSettings)
async def replace_settings(
    *,
    organization_id: UUID,
    caller: Annotated[Caller, Depends(confirmed_inside(Permission.ORGANIZATION_WRITE))],
    body: OrganizationSettings,
    seen: ExpectedRevision,
    parts: Parts,
    response: Response,
) -> OrganizationSettings:
    """Replace all settings; what is left out has its default again. Counts from the next request on.

    Takes a fresh proof of who you are: settings decide about second factors and about what is kept.
    """
    async with parts.database.transaction(caller.access) as tx:
        organizations = Organizations(tx)
        before, _at = await organizations.settings(organization_id)
        values: dict[str, Any] = {"settings": body.model_dump(mode="json")}
        row = await organizations.update(organization_id, moment_of(seen), values)
        changed = sorted(name for name, value in body if value != getattr(before, name))
        await Activities(tx).note(
            [noted(caller, "settings.changed", "organizations", organization_id, fields=changed)]
        )
    response.headers["ETag"] = etag(revision_of(row["updated_at"]))
    return body
