"""Contacts: the people to talk to, at clients or on their own."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.clients import Search, Tag, events_of
from api.collaborators import Parts
from api.etags import ExpectedRevision
from api.fields import Body, Line, Prose
from api.idempotency import Answer, Idempotent
from api.revisions import moment_of, tagged
from api.sorting import Sorting
from db.clientevents import Happened, changed, created, removed
from db.clients import Contact, Contacts
from db.clientsearch import ContactFilter, contacts, sorted_by
from db.rows import many
from domain.clientfields import EmailAddress, Tags, Telephone
from domain.permissions import Permission

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])
Reader = Annotated[Caller, Depends(require(Permission.CLIENTS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.CLIENTS_WRITE))]


class ContactFields(Body):
    client_id: UUID | None = Field(None, description="The client this person belongs to.")
    job_title: Line | None = None
    department: Line | None = None
    email: EmailAddress | None = None
    phone: Telephone | None = None
    mobile: Telephone | None = None
    is_primary: bool = Field(
        False, description="One contact of a client is primary: setting another one moves it."
    )
    can_authorize: bool = Field(False, description="May decide in the client's name.")
    receives_communications: bool = Field(True, description="Is written to on behalf of the client.")
    notes: Prose | None = None
    tags: Tags = Field(default_factory=list)


class NewContact(ContactFields):
    first_name: Line
    last_name: Line


class ContactChange(ContactFields):
    """Only the fields that are sent change."""

    first_name: Line = Field(default_factory=str)
    last_name: Line = Field(default_factory=str)


class ContactView(BaseModel):
    id: UUID
    client_id: UUID | None
    first_name: str
    last_name: str
    job_title: str | None
    department: str | None
    email: str | None
    phone: str | None
    mobile: str | None
    is_primary: bool
    can_authorize: bool
    receives_communications: bool
    notes: str | None
    tags: list[str]
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ContactPage(BaseModel):
    items: list[ContactView]
    next_cursor: str | None


@router.get("", operation_id="contacts_list", response_model=ContactPage)
async def list_contacts(
    *,
    caller: Reader,
    parts: Parts,
    sorting: Sorting,
    q: Search = None,
    client_id: UUID | None = None,
    tag: Tag = None,
    is_primary: bool | None = None,
    can_authorize: bool | None = None,
    receives_communications: bool | None = None,
) -> Any:
    """`q` is looked for in names and e-mail address; what else is sent narrows the list further."""
    wanted = ContactFilter(
        q=q,
        client_id=client_id,
        tag=tag,
        is_primary=is_primary,
        can_authorize=can_authorize,
        receives_communications=receives_communications,
    )
    async with parts.database.transaction(caller.access) as tx:
        statement = sorted_by(contacts(wanted), Contact, sorting.sort, sorting.after)
        rows = await many(tx, statement.limit(sorting.fetch))
    return sorting.page(rows, dict)


@router.post("", operation_id="contacts_create", status_code=201, response_model=ContactView)
async def create_contact(caller: Writer, parts: Parts, once: Idempotent, body: NewContact) -> Response:
    """A primary contact takes the place of the one that its client has."""
    events = await events_of(caller, parts)

    async def create(tx: AsyncConnection) -> Answer[None]:
        owned = {"organization_id": caller.organization, "created_by": caller.user_id}
        repository = Contacts(tx)
        row = await repository.insert(uuid4(), {**body.model_dump(exclude_unset=True), **owned})
        await events.record(tx, [*_stepped_back(repository), created(row, "contact")])
        return Answer(201, _show(row))

    return tagged((await once.run(caller, create)), location="/v1/contacts/{id}")


@router.get("/{id}", operation_id="contacts_get", response_model=ContactView)
async def get_contact(caller: Reader, parts: Parts, id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        return tagged(Answer(200, _show(await Contacts(tx).get(id))))


@router.patch("/{id}", operation_id="contacts_change", response_model=ContactView)
async def change_contact(
    caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision, body: ContactChange
) -> Response:
    """Changes the fields that are sent; If-Match makes a lost update a 412 instead."""
    values = body.model_dump(exclude_unset=True)
    events = await events_of(caller, parts)
    async with parts.database.transaction(caller.access) as tx:
        repository = Contacts(tx)
        row = await repository.change(id, values, seen=moment_of(seen))
        if values:
            await events.record(tx, [*_stepped_back(repository), changed(row, values, "contact")])
    return tagged(Answer(200, _show(row)))


@router.delete("/{id}", operation_id="contacts_remove", status_code=204)
async def remove_contact(caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision) -> None:
    events = await events_of(caller, parts)
    async with parts.database.transaction(caller.access) as tx:
        row = await Contacts(tx).get(id)
        await Contacts(tx).remove(id, seen=moment_of(seen))
        await events.record(tx, [removed(row, "contact")])


def _stepped_back(repository: Contacts) -> list[Happened]:
    return [changed(row, ["is_primary"], "contact") for row in repository.demoted]


def _show(row: RowMapping) -> dict[str, Any]:
    return ContactView.model_validate(dict(row)).model_dump(mode="json")
