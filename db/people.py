"""Names of people, for pages that say who did something."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import User

GONE = "A former member"


async def names_of(tx: AsyncConnection, ids: Iterable[UUID | None]) -> Mapping[UUID, str]:
    """The name of each, or the address of who gave none; whoever is no member here any more is told as that."""
    wanted = {id for id in ids if id is not None}
    if not wanted:
        return {}
    statement = select(User.id, User.first_name, User.last_name, User.email).where(User.id.in_(wanted))
    found = {id: " ".join(filter(None, names)) or email for id, *names, email in await tx.execute(statement)}
    return {id: found.get(id, GONE) for id in wanted}
