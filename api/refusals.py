"""Sign-ins that were refused, told to the organization of the person they were tried for.

Written a moment after the answer: whether there is somebody of that address must not show in how long it takes.
"""

import asyncio
import logging
from random import uniform
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from api.collaborators import Collaborators
from db.activity import Activities, Activity
from db.identity import Users
from db.session import Access, Role
from domain.activities import Act
from domain.errors import DomainError
from domain.tenants import ActorType

log = logging.getLogger(__name__)

#: Seconds after the answer.
SOON = (0.5, 2.0)


class Refusals:
    """One per application. What is still to be written when the process is killed is in its own log alone."""

    def __init__(self, parts: Collaborators) -> None:
        self._parts = parts
        self._writing: set[asyncio.Task[None]] = set()

    def tell(self, user_id: UUID, address: str, user_agent: str | None, by: str) -> None:
        """`by` says what was wrong: the password, or the code after it."""
        log.info("A sign-in by %s was refused to user %s", by, user_id)
        asyncio.get_running_loop().call_later(
            uniform(*SOON),  # noqa: S311
            lambda: self._begin(user_id, address, user_agent, by),
        )

    async def write(self, user_id: UUID, address: str, user_agent: str | None, by: str) -> None:
        """Into the log of their default organization; nowhere for who has none, or may not enter it."""
        database = self._parts.database
        try:
            async with database.transaction(Access(Role.API, None, user_id)) as tx:
                organization_id = (await Users(tx).get(user_id))["default_organization_id"]
            if organization_id is None:
                return
            activity = Activity(
                organization_id=organization_id,
                actor_type=ActorType.SYSTEM.value,  # who tried it is not known
                user_id=user_id,
                action=Act.SESSION_REFUSED.value,
                resource="users",
                resource_id=str(user_id),
                metadata={"by": by},
                ip_address=address,
                user_agent=user_agent,
            )
            async with database.transaction(Access(Role.API, organization_id, user_id)) as tx:
                await Activities(tx).note([activity])
        except (DomainError, SQLAlchemyError, OSError) as error:
            log.warning("A refused sign-in was not written down: %s", type(error).__name__)

    def _begin(self, user_id: UUID, address: str, user_agent: str | None, by: str) -> None:
        writing = self.write(user_id, address, user_agent, by)
        task = asyncio.get_running_loop().create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
