"""Sending a mail from a route: queued in the transaction that has the reason for it, sent by a worker.

entry = await mail(parts, tx, "password-changed", to=address)
...after the commit: await send(parts, entry)

The transaction has entered the organization named, as a member or as a worker of it (`in_platform` for what
belongs to no customer).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api.collaborators import Collaborators
from db.outbox import OutboxEntry
from db.session import Access, Role, enter
from db.tenants import PLATFORM
from domain.onetime import Purpose
from domain.processes.mails import MAIL


def in_platform(parts: Collaborators) -> AbstractAsyncContextManager[AsyncConnection]:
    """A transaction in the platform's own organization, where the product's own mails belong."""
    return parts.database.transaction(Access(Role.WORKER, PLATFORM))


@asynccontextmanager
async def at_home(tx: AsyncConnection, back: Access) -> AsyncIterator[None]:
    """Inside, somebody's own transaction acts in the platform's organization: what it did and the mail about it
    are committed together. Afterwards it acts as `back` again, unless the block raised: then it is lost anyway.
    """
    await enter(tx, Access(Role.WORKER, PLATFORM))
    yield
    await enter(tx, back)


async def mail(
    parts: Collaborators,
    tx: AsyncConnection,
    template: str,
    *,
    to: str,
    values: Mapping[str, Any] | None = None,
    token: tuple[Purpose, UUID] | None = None,
    path: str | None = None,
    organization_id: UUID = PLATFORM,
    started_by: UUID | None = None,
    trigger_key: str | None = None,
) -> OutboxEntry | None:
    """Queue one mail to one address; `activities/mails` has the templates and the values each wants.

    `token` names a row whose secret (`domain.onetime.derive`) the mail's link carries; it is computed when the
    mail is sent. Without one, `path` is the page of ours that the link leads to. The same `trigger_key` twice is one
    mail: then there is nothing to carry (None).
    """
    begun = await parts.processes.start(
        tx,
        MAIL,
        organization_id,
        input={
            "template": template,
            "to": to,
            "values": dict(values or {}),
            "token": None if token is None else {"purpose": token[0].value, "id": str(token[1])},
            "path": path,
        },
        started_by=started_by,
        trigger_key=trigger_key,
    )
    return begun.entry


async def send(parts: Collaborators, *entries: OutboxEntry | None) -> None:
    """After the commit."""
    for entry in entries:
        if entry is not None:
            await parts.dispatcher.dispatch(entry)
