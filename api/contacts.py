"""Contacts: the people to talk to, at clients or on their own."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Parts
from api.etags import ExpectedRevision
from api.fields import Body, Email, Line, Prose
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.revisions import moment_of, tagged
from db.clients import Contacts
from domain.permissions import Permission

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])
Reader = Annotated[Caller, Depends(require(Permission.CLIENTS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.CLIENTS_WRITE))]
Search = Annotated[str | None, Query(max_length=200, description="Text to look for, ignoring case.")]


class ContactFields(Body):
    client_id: UUID | None = Field(None, description="The client this person belongs to.")
    job_title: Line | None = None
    department: Line | None = None
    email: Email | None = None
    phone: Line | None = None
    mobile: Line | None = None
    is_primary: bool = False
    can_authorize: bool = False
    receives_communications: bool = True
    notes: Prose | None = None
    tags: list[Line] = Field(default_factory=list, max_length=50)


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
    caller: Reader, parts: Parts, paging: Paging, q: Search = None, client_id: UUID | None = None
) -> Any:
    """Newest first; `q` is looked for in names and e-mail address."""
    async with parts.database.transaction(caller.access) as tx:
        rows = await Contacts(tx).page(q=q, client_id=client_id, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.post("", operation_id="contacts_create", status_code=201, response_model=ContactView)
async def create_contact(caller: Writer, once: Idempotent, body: NewContact) -> Response:
    async def create(tx: AsyncConnection) -> Answer[None]:
        owned = {"organization_id": caller.organization, "created_by": caller.user_id}
        row = await Contacts(tx).insert(uuid4(), {**body.model_dump(exclude_unset=True), **owned})
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
    async with parts.database.transaction(caller.access) as tx:
        return tagged(Answer(200, _show(await Contacts(tx).change(id, values, seen=moment_of(seen)))))


@router.delete("/{id}", operation_id="contacts_remove", status_code=204)
async def remove_contact(caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision) -> None:
    async with parts.database.transaction(caller.access) as tx:
        await Contacts(tx).remove(id, seen=moment_of(seen))


def _show(row: RowMapping) -> dict[str, Any]:
    return ContactView.model_validate(dict(row)).model_dump(mode="json")
