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
from api.fields import Body, JsonObject, Line, Prose
from api.idempotency import Answer, Idempotent
from api.revisions import moment_of, tagged
from api.sorting import Sorting
from db.clientevents import ClientEvents, changed, created, removed
from db.clients import Client, Clients
from db.clientsearch import ClientFilter, clients, sorted_by
from db.rows import many
from db.taxids import TaxIds
from domain.clientfields import Country, CreditLimit, EmailAddress, Tags, Telephone, WebAddress, telephone
from domain.clients import ClientStatus, ClientType, CommunicationPreferences
from domain.permissions import Permission

router = APIRouter(prefix="/v1/clients", tags=["clients"])
Reader = Annotated[Caller, Depends(require(Permission.CLIENTS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.CLIENTS_WRITE))]
Search = Annotated[
    str | None,
    Query(max_length=200, description="Words to look for, ignoring case; all of them have to be there."),
]
ExactTaxId = Annotated[
    str | None, Query(min_length=1, max_length=200, description="Only clients with exactly this tax id.")
]
Tag = Annotated[str | None, Query(min_length=1, max_length=100, description="Only those with this tag.")]
CountryCode = Annotated[
    str | None, Query(pattern="^[A-Za-z]{2}$", description="Two letters of ISO 3166-1, such as DE.")
]
Manager = Annotated[
    str | None,
    Query(
        pattern="^(me|none|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$",
        description="The id of a member, `me`, or `none` for clients whom nobody manages.",
    ),
]


class ClientFields(Body):
    company_name: Line | None = None
    client_type: ClientType = ClientType.INDIVIDUAL
    industry: Line | None = None
    client_number: Line | None = Field(
        None, description="Your own reference number; unique among your clients."
    )
    email: EmailAddress | None = None
    phone: Telephone | None = Field(
        None, description="Kept in its international form where that can be told."
    )
    website: WebAddress | None = Field(None, description="Without a scheme, https is meant.")
    address: Prose | None = None
    city: Line | None = None
    state: Line | None = None
    zip_code: Line | None = None
    country: Country | None = Field("US", description="Two letters of ISO 3166-1, or the English name.")
    tax_id: Line | None = Field(None, description="Kept encrypted; found by its exact value alone.")
    registration_number: Line | None = None
    fiscal_year_end: Line | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    acquisition_source: Line | None = None
    referral_source: Line | None = None
    assigned_manager: UUID | None = Field(None, description="An active member of your organization.")
    communication_preferences: CommunicationPreferences = Field(
        default_factory=CommunicationPreferences,
        description="false forbids a channel; mails that workflows address by `client.contact` keep to it.",
    )
    service_preferences: JsonObject = Field(default_factory=dict)
    billing_address: JsonObject | None = None
    payment_terms: Line | None = "net_30"
    credit_limit: CreditLimit | None = None
    tags: Tags = Field(default_factory=list)

    def written(self) -> dict[str, Any]:
        """The fields that were sent, as columns."""
        values = self.model_dump(exclude_unset=True)
        if values.get("phone") and values.get("country"):
            values["phone"] = telephone(values["phone"], values["country"])
        return values


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
    tags: list[str]
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ClientPage(BaseModel):
    items: list[ClientView]
    next_cursor: str | None


@router.get("", operation_id="clients_list", response_model=ClientPage)
async def list_clients(
    *,
    caller: Reader,
    parts: Parts,
    sorting: Sorting,
    q: Search = None,
    status: ClientStatus | None = None,
    client_type: ClientType | None = None,
    assigned_manager: Manager = None,
    tag: Tag = None,
    country: CountryCode = None,
    tax_id: ExactTaxId = None,
) -> Any:
    """`q` is looked for in names, number and e-mail address; what else is sent narrows the list further."""
    tax_ids = _tax_ids(caller, parts)
    wanted = ClientFilter(
        q=q,
        status=status,
        client_type=client_type,
        assigned_manager=managed_by(caller, assigned_manager),
        unassigned=assigned_manager == "none",
        tag=tag,
        country=country and country.upper(),
        tax_ids=None if tax_id is None else await tax_ids.indexes(tax_id),
    )
    async with parts.database.transaction(caller.access) as tx:
        statement = sorted_by(clients(wanted), Client, sorting.sort, sorting.after)
        rows = await many(tx, statement.limit(sorting.fetch))
    page = sorting.page(rows, dict)
    return {**page, "items": [await tax_ids.opened(row) for row in page["items"]]}


@router.post("", operation_id="clients_create", status_code=201, response_model=ClientView)
async def create_client(caller: Writer, parts: Parts, once: Idempotent, body: NewClient) -> Response:
    """A `client_number` that is taken answers 409 and names the field."""
    id = uuid4()
    tax_ids, events = _tax_ids(caller, parts), await events_of(caller, parts)
    values = await tax_ids.sealed(id, body.written())

    async def create(tx: AsyncConnection) -> Answer[None]:
        owned = {"organization_id": caller.organization, "created_by": caller.user_id}
        await Clients(tx).insert_once(id, {**values, **owned})
        row = await Clients(tx).get(id)
        await events.record(tx, [created(row)])
        # What is kept for repeated requests is a row too: it holds the tax id as it stands in the client's.
        return Answer(201, _show(row))

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
    tax_ids, events = _tax_ids(caller, parts), await events_of(caller, parts)
    values = await tax_ids.sealed(id, body.written())
    async with parts.database.transaction(caller.access) as tx:
        row = await Clients(tx).change(id, values, seen=moment_of(seen))
        if values:
            await events.record(tx, [changed(row, values)])
    return tagged(Answer(200, _show(await tax_ids.opened(row))))


@router.delete("/{id}", operation_id="clients_remove", status_code=204)
async def remove_client(caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision) -> None:
    """Refused with 409 while contacts belong to the client, or nobody else could answer a task that is put to it."""
    events = await events_of(caller, parts)
    async with parts.database.transaction(caller.access) as tx:
        row = await Clients(tx).get(id)
        await Clients(tx).remove(id, seen=moment_of(seen))
        await events.record(tx, [removed(row)])


async def events_of(caller: Caller, parts: Collaborators) -> ClientEvents:
    """What tells others of this request; made before its transaction begins."""
    events = ClientEvents(parts.keys, caller.organization, parts.clock())
    await events.prepare()
    return events


def managed_by(caller: Caller, asked: str | None) -> UUID | None:
    """The member whom the filter names; none at all for `none`."""
    if asked is None or asked == "none":
        return None
    return caller.user_id if asked == "me" else UUID(asked)


def _tax_ids(caller: Caller, parts: Collaborators) -> TaxIds:
    return TaxIds(parts.keys, caller.organization)


def _show(row: Mapping[str, Any]) -> dict[str, Any]:
    return ClientView.model_validate(dict(row)).model_dump(mode="json")
