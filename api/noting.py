"""What a caller did, as a line of the organization's activity log."""

from typing import Any
from uuid import UUID

from api.caller import Caller
from db.activity import Activity


def noted(
    caller: Caller,
    action: str,
    resource: str,
    resource_id: UUID | None,
    *,
    organization_id: UUID | None = None,
    **metadata: Any,
) -> Activity:
    """`action` reads `<noun>.<verb>`; `metadata` names things, it never holds a tenant's values."""
    return Activity(
        organization_id=organization_id or caller.organization,
        actor_type=caller.actor,
        user_id=caller.user_id,
        action=action,
        resource=resource,
        resource_id=None if resource_id is None else str(resource_id),
        metadata=metadata,
    )
