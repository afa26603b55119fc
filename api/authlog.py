"""What people do with their own account: told to the activity log of where they act, and to them by mail.

Somebody who acts nowhere yet (signing in) is noted where their default organization is; who has none, in the log.
"""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Caller
from api.collaborators import Collaborators
from api.mailing import at_home, in_platform, mail, send
from api.proof import Proven
from api.sessions import Device
from db.activity import Activities, Activity
from db.identity import Users
from db.outbox import OutboxEntry
from db.session import Access, Role
from domain.errors import Forbidden
from domain.secondfactor import FEW_CODES

_log = logging.getLogger("perdure.identity")


def personal(
    caller: Caller,
    device: Device,
    action: str,
    resource: str,
    resource_id: UUID | None = None,
    **metadata: Any,
) -> list[Activity]:
    """For the transaction that does it; empty for somebody who is a member nowhere."""
    if caller.organization_id is None:
        return []
    return [
        Activity(
            caller.organization_id,
            caller.actor,
            caller.user_id,
            action,
            resource,
            None if resource_id is None else str(resource_id),
            metadata,
            device.address,
            device.user_agent,
        )
    ]


async def note_outside(
    parts: Collaborators,
    user_id: UUID,
    organization_id: UUID | None,
    device: Device,
    action: str,
    **metadata: Any,
) -> None:
    """For what happens before an organization is entered; `organization_id` is the person's default one."""
    _log.info("%s by user %s", action, user_id)
    if organization_id is None:
        return
    activity = Activity(
        organization_id,
        "user",
        user_id,
        action,
        "users",
        str(user_id),
        metadata,
        device.address,
        device.user_agent,
    )
    try:
        async with parts.database.transaction(Access(Role.API, organization_id, user_id)) as tx:
            await Activities(tx).note([activity])
    except Forbidden:  # suspended there, or it was closed: the log above has it
        return


async def note_login(
    parts: Collaborators, user_id: UUID, device: Device, proven: Proven, *, is_trusted: bool
) -> None:
    """A finished login with a second factor; its owner hears of a newly trusted device, and of codes running out."""
    async with parts.database.transaction(Access(Role.API, None, user_id)) as tx:
        user = await Users(tx).get(user_id)
    organization_id = user["default_organization_id"]
    await note_outside(parts, user_id, organization_id, device, "session.opened", by=proven.method)
    if is_trusted:
        await note_outside(parts, user_id, organization_id, device, "device.trusted")
        at = in_words(parts.clock())
        await tell(parts, user["email"], "new-device", at=at, place=place_of(device))
    await tell_of_codes(parts, user["email"], proven)


async def tell_of_codes(parts: Collaborators, email: str, proven: Proven) -> None:
    """A mail when the backup code just used leaves few."""
    if proven.codes_left is not None and proven.codes_left <= FEW_CODES:
        await tell(parts, email, "backup-codes-low", left=proven.codes_left)


async def tell_in(
    parts: Collaborators, tx: AsyncConnection, access: Access, email: str, template: str, **values: Any
) -> OutboxEntry | None:
    """The same within the transaction of the change; what comes back is for `send`, after the commit."""
    async with at_home(tx, access):
        return await mail(parts, tx, template, to=email, values=values)


async def tell(parts: Collaborators, email: str, template: str, **values: Any) -> None:
    """Mails somebody about their account, once the change is committed."""
    async with in_platform(parts) as tx:
        entry = await mail(parts, tx, template, to=email, values=values)
    await send(parts, entry)


def in_words(moment: datetime) -> str:
    """As "22 Nov 2026, 14:54 UTC": nobody knows the reader's zone."""
    return f"{moment:%d %b %Y, %H:%M} UTC"


def place_of(device: Device) -> str:
    """Where something was done, for a mail: the address, and what called itself by which name."""
    return f"{device.address} ({device.user_agent[:100]})" if device.user_agent else device.address
