"""The devices one trusts: each signs in without a code for thirty days, and confirms nothing dangerous."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from api.auth import Person
from api.authlog import personal
from api.collaborators import Parts
from api.identity import From
from api.pagination import Paging
from db.activity import Activities
from db.factors import TrustedDevices

router = APIRouter(prefix="/v1/me/devices", tags=["identity"])


class Device(BaseModel):
    id: UUID
    name: str | None
    ip_address: str | None
    user_agent: str | None
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime


class Devices(BaseModel):
    items: list[Device]
    next_cursor: str | None


@router.get("", operation_id="devices_list", response_model=Devices)
async def list_devices(caller: Person, parts: Parts, paging: Paging) -> dict[str, Any]:
    """The devices you trust."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await TrustedDevices(tx, caller.user_id).page(paging.before, paging.fetch, parts.clock())
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), _shown)


@router.delete("/{device_id}", status_code=204, operation_id="devices_forget")
async def forget_device(device_id: UUID, caller: Person, parts: Parts, device: From) -> Response:
    """Trust a device no more: its next sign-in asks for a code."""
    async with parts.database.transaction(caller.access) as tx:
        await TrustedDevices(tx, caller.user_id).forget(device_id)
        await Activities(tx).note(personal(caller, device, "device.forgotten", "trusted_devices", device_id))
    return Response(status_code=204)


@router.delete("", status_code=204, operation_id="devices_forget_all")
async def forget_devices(caller: Person, parts: Parts, device: From) -> Response:
    """Trust no device any more."""
    async with parts.database.transaction(caller.access) as tx:
        await TrustedDevices(tx, caller.user_id).forget_all()
        await Activities(tx).note(personal(caller, device, "devices.forgotten", "users", caller.user_id))
    return Response(status_code=204)


def _shown(row: Any) -> dict[str, Any]:
    return {**row, "name": row["device_name"], "last_used_at": row["last_used"]}
