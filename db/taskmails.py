"""Mails about tasks: each one a process of its own, begun in the transaction that has the reason for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import OutboxEntry
from db.processes import Processes
from db.taskcandidates import Customer, Found, Person
from db.taskhistory import TaskLink, TaskLinks
from db.tenants import Organization
from domain.onetime import Purpose, derive, kept
from domain.processes.mails import MAIL
from domain.tasks import OnOverdue
from domain.tasks.words import until

#: People who are told of one thing by mail; more look into their inbox.
MOST_MAILS: Final = 50
#: How long a link works, where the task's deadline does not end it earlier.
LINK_LIFETIME: Final = timedelta(days=30)
_ALONE: Final = (
    "The link is meant for you alone: whoever has it can answer in your name. It works until you have."
)
_SIGN_IN: Final = "You are asked to sign in first."


@dataclass(slots=True)
class TaskMails:
    """What one worker's transaction tells about one task; `entries` are dispatched after the commit."""

    tx: AsyncConnection
    processes: Processes
    #: Of the installation: links are derived from it and kept nowhere.
    token_secret: bytes
    task: Mapping[Any, Any]
    now: datetime
    entries: list[OutboxEntry] = field(default_factory=list)

    async def send(self, template: str, found: Found, *, members: bool = True, key: str) -> dict[str, Any]:
        """One mail to everybody found, once for each `key`; who was told, for the task's history."""
        people: list[Person | Customer] = [*(found.people if members else ()), *found.customers]
        told = people[:MOST_MAILS]
        facts = select(Organization.name, Organization.timezone)
        organization = (
            (await self.tx.execute(facts.where(Organization.id == self.task["organization_id"])))
            .mappings()
            .one()
        )
        ends = self.task["on_overdue"] != OnOverdue.KEEP
        values = {
            "organization": organization["name"],
            "title": self.task["title"],
            "when": until(self.task["due_at"], organization["timezone"], ends=ends, now=self.now),
        }
        links = await self._links(told)
        for person in told:
            await self._one(template, person, values, links.get(_id_of(person)), key)
        about: dict[str, Any] = {"mailed": [_name_of(person) for person in told]}
        return about if len(told) == len(people) else {**about, "not_mailed": len(people) - len(told)}

    async def _one(
        self, template: str, person: Person | Customer, values: Mapping[str, Any], link: UUID | None, key: str
    ) -> None:
        token = None if link is None else {"purpose": Purpose.TASK.value, "id": str(link)}
        begun = await self.processes.start(
            self.tx,
            MAIL,
            self.task["organization_id"],
            input={
                "template": template,
                "to": person.email,
                "values": {**values, "hint": _SIGN_IN if link is None else _ALONE},
                "token": token,
                "path": None if link is not None else f"/tasks/{self.task['id']}",
            },
            started_by=None,
            trigger_key=f"task/{self.task['id']}/{key}/{_id_of(person)}",
        )
        if begun.entry is not None:
            self.entries.append(begun.entry)

    async def _links(self, people: Iterable[Person | Customer]) -> dict[UUID, UUID]:
        """The link of everybody who decides by one: clients always, members where the task says so."""
        holders = [each for each in people if isinstance(each, Customer) or self.task["links"]]
        if not holders:
            return {}
        links = TaskLinks(self.tx)
        known = {row["user_id"] or row["client_id"]: row for row in await links.of(self.task["id"])}
        found: dict[UUID, UUID] = {}
        for person in holders:
            old = known.get(_id_of(person))
            if old is not None and old["expires_at"] > self.now and old["address_sha256"] == _address(person):
                found[_id_of(person)] = old["id"]
                continue
            if old is not None:
                stale = update(TaskLink).where(TaskLink.id == old["id"])
                await self.tx.execute(stale.values(revoked_at=self.now))
            found[_id_of(person)] = await self._new_link(links, person)
        return found

    async def _new_link(self, links: TaskLinks, person: Person | Customer) -> UUID:
        id, expires_at = uuid4(), self.now + LINK_LIFETIME
        if self.task["on_overdue"] != OnOverdue.KEEP and self.task["due_at"] is not None:
            expires_at = min(expires_at, self.task["due_at"])
        holder = "client_id" if isinstance(person, Customer) else "user_id"
        await links.add(
            {
                "id": id,
                "organization_id": self.task["organization_id"],
                "task_id": self.task["id"],
                holder: _id_of(person),
                "address_sha256": _address(person),
                "token_sha256": kept(derive(self.token_secret, Purpose.TASK, id)),
                "expires_at": expires_at,
                "created_at": self.now,
            }
        )
        return id


def _id_of(person: Person | Customer) -> UUID:
    return person.client_id if isinstance(person, Customer) else person.user_id


def _address(person: Person | Customer) -> str | None:
    """What a client's link is bound to; a member is the same person at every address."""
    return person.address_sha256 if isinstance(person, Customer) else None


def _name_of(person: Person | Customer) -> str:
    """As candidates are named; a client's address stays with the client."""
    return f"client:{person.client_id}" if isinstance(person, Customer) else f"user:{person.email.lower()}"
