"""Routes under /v1/organizations/{organization_id}: the path names the organization one acts in, or nothing."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from api.auth import Caller, require
from api.stepup import Confirmed
from domain.errors import NotFound
from domain.permissions import Permission


def inside(*permissions: Permission) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency like `require(...)`: any organization but the entered one is an unknown one (404)."""

    async def allowed(
        organization_id: UUID, caller: Annotated[Caller, Depends(require(*permissions))]
    ) -> Caller:
        if caller.organization_id != organization_id:
            raise NotFound
        return caller

    return allowed


def confirmed_inside(*permissions: Permission) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """The same for what is dangerous: a person who proved within ten minutes who they are."""

    async def allowed(
        organization_id: UUID, caller: Annotated[Caller, Depends(require(*permissions))], _: Confirmed
    ) -> Caller:
        if caller.organization_id != organization_id:
            raise NotFound
        return caller

    return allowed
