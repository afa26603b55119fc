"""Clients: the customers of an organization. Their tax ids are sealed in the database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.etags import ExpectedRevision
from api.fields import Body, Email, JsonObject, Line, Prose
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.revisions import moment_of, tagged
from db.clients import Clients
from db.taxids import TaxIds
from domain.clients import ClientStatus, ClientType
from domain.permissions import Permission

router = APIRouter(prefix="/v1/clients", tags=["clients"])
Reader = Annotated[Caller, Depends(require(Permission.CLIENTS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.CLIENTS_WRITE))]
Search = Annotated[str | None, Query(max_length=200, description="Text to look for, ignoring case.")]


ExactTaxId = Annotated[
    str | None, Query(min_length=1, max_length=200, description="Only clients with exactly this tax id.")
]


class ClientFields(Body):
    company_name: Line | None = None
    client_type: ClientType = ClientType.INDIVIDUAL
    industry: Line | None = None
    client_number: Line | None = Field(
        None, description="Your own reference number; unique among your clients."
    )
    email: Email | None = None
    phone: Line | None = None
    website: Line | None = None
    address: Prose | None = None
    city: Line | None = None
    state: Line | None = None
    zip_code: Line | None = None
    country: Line | None = "US"
    tax_id: Line | None = Field(None, description="Kept encrypted; found by its exact value alone.")
    registration_number: Line | None = None
    fiscal_year_end: Line | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    acquisition_source: Line | None = None
    referral_source: Line | None = None
    assigned_manager: UUID | None = Field(None, description="A member of your organization.")
    communication_preferences: JsonObject = Field(default_factory=dict)
    service_preferences: JsonObject = Field(default_factory=dict)
    billing_address: JsonObject | None = None
    payment_terms: Line | None = "net_30"
    credit_limit: Decimal | None = Field(None, ge=0, max_digits=12, decimal_places=2)


class NewClient(ClientFields):
    name: Line


class ClientChange(ClientFields):
    """Only the fields that are sent change."""

    name: Line = Field(default_factory=str)


class ClientView(BaseModel):
    id: UUID
    name: str
    company_name: str | None
    client_type: ClientType
    industry: str | None
    client_number: str | None
    email: str | None
    phone: str | None
    website: str | None
    address: str | None
    city: str | None
    state: str | None
    zip_code: str | None
    country: str | None
    tax_id: str | None
    registration_number: str | None
    fiscal_year_end: str | None
    status: ClientStatus
    acquisition_source: str | None
    referral_source: str | None
    assigned_manager: UUID | None
    communication_preferences: dict[str, Any]
    service_preferences: dict[str, Any]
    billing_address: dict[str, Any] | None
    payment_terms: str | None
    credit_limit: Decimal | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ClientPage(BaseModel):
    items: list[ClientView]
    next_cursor: str | None


@router.get("", operation_id="clients_list", response_model=ClientPage)
async def list_clients(
    caller: Reader,
    parts: Parts,
    paging: Paging,
    q: Search = None,
    status: ClientStatus | None = None,
    tax_id: ExactTaxId = None,
) -> Any:
    """Newest first; `q` is looked for in names, number and e-mail address."""
    tax_ids = _tax_ids(caller, parts)
    indexes = None if tax_id is None else await tax_ids.indexes(tax_id)
    async with parts.database.transaction(caller.access) as tx:
        rows = await Clients(tx).page(
            q=q, status=status, before=paging.before, limit=paging.fetch, tax_ids=indexes
        )
    page = paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)
    return {**page, "items": [await tax_ids.opened(row) for row in page["items"]]}


@router.post("", operation_id="clients_create", status_code=201, response_model=ClientView)
async def create_client(caller: Writer, parts: Parts, once: Idempotent, body: NewClient) -> Response:
    """A `client_number` that is taken answers 409 and names the field."""
    id = uuid4()
    tax_ids = _tax_ids(caller, parts)
    values = await tax_ids.sealed(id, body.model_dump(exclude_unset=True))

    async def create(tx: AsyncConnection) -> Answer[None]:
        owned = {"organization_id": caller.organization, "created_by": caller.user_id}
        await Clients(tx).insert_once(id, {**values, **owned})
        # What is kept for repeated requests is a row too: it holds the tax id as it stands in the client's.
        return Answer(201, _show(await Clients(tx).get(id)))

    answer = await once.run(caller, create)
    return tagged(replace(answer, body=await tax_ids.opened(answer.body)), location="/v1/clients/{id}")


@router.get("/{id}", operation_id="clients_get", response_model=ClientView)
async def get_client(caller: Reader, parts: Parts, id: UUID) -> Response:
    async with parts.database.transaction(caller.access) as tx:
        row = await Clients(tx).get(id)
    return tagged(Answer(200, _show(await _tax_ids(caller, parts).opened(row))))


@router.patch("/{id}", operation_id="clients_change", response_model=ClientView)
async def change_client(
    caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision, body: ClientChange
) -> Response:
    """Changes the fields that are sent; If-Match makes a lost update a 412 instead."""
    tax_ids = _tax_ids(caller, parts)
    values = await tax_ids.sealed(id, body.model_dump(exclude_unset=True))
    async with parts.database.transaction(caller.access) as tx:
        row = await Clients(tx).change(id, values, seen=moment_of(seen))
    return tagged(Answer(200, _show(await tax_ids.opened(row))))


@router.delete("/{id}", operation_id="clients_remove", status_code=204)
async def remove_client(caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision) -> None:
    """Refused with 409 while contacts belong to the client."""
    async with parts.database.transaction(caller.access) as tx:
        await Clients(tx).remove(id, seen=moment_of(seen))


def _tax_ids(caller: Caller, parts: Collaborators) -> TaxIds:
    return TaxIds(parts.keys, caller.organization)


def _show(row: Mapping[str, Any]) -> dict[str, Any]:
    return ClientView.model_validate(dict(row)).model_dump(mode="json")
