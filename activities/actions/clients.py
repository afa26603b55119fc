"""Clients of the organization, written in the transaction of the segment that calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue, model_validator
from sqlalchemy import RowMapping

from activities.actions.context import ActionContext
from activities.actions.declaration import Arguments, Result, action
from db.clientevents import ClientEvents, Happened, changed, created
from db.clients import Clients, Contacts
from domain.actions import Effect, Lane
from domain.clientfields import Country, Telephone, WebAddress, telephone
from domain.clients import (
    Channel,
    ClientStatus,
    ClientType,
    CommunicationPreferences,
    Purpose,
    Unreachable,
    addressee,
)
from domain.definitions.faults import Fault
from domain.email import Mailbox
from domain.errors import Conflict, DomainError, Forbidden, NotFound
from domain.ids import derived_id

Line = Annotated[str, Field(max_length=500)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
_TIMEOUT = timedelta(seconds=5)


class ClientFields(Arguments):
    """What is known about a client. Fields that were not given are never written; the factories, which appear
    in no schema, only make them optional without allowing null."""

    company_name: Line | None = None
    client_type: ClientType = Field(default_factory=lambda: ClientType.INDIVIDUAL)
    industry: Line | None = None
    client_number: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    email: Annotated[str, Field(max_length=320)] | None = None
    phone: Telephone | None = None
    website: WebAddress | None = None
    address: Line | None = None
    city: Line | None = None
    state: Line | None = None
    zip_code: Line | None = None
    country: Country | None = None
    registration_number: Line | None = None
    fiscal_year_end: Line | None = None
    status: ClientStatus = Field(default_factory=lambda: ClientStatus.ACTIVE)
    acquisition_source: Line | None = None
    referral_source: Line | None = None
    assigned_manager: UUID | None = None
    communication_preferences: CommunicationPreferences = Field(default_factory=CommunicationPreferences)
    service_preferences: dict[str, JsonValue] = Field(default_factory=dict)
    billing_address: dict[str, JsonValue] | None = None
    payment_terms: Line | None = None
    credit_limit: Annotated[str, Field(pattern=r"^\d{1,10}(\.\d{1,2})?$")] | None = None
    tags: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _one_address(self) -> "ClientFields":
        if self.email is not None and Mailbox.parse(self.email).name:
            raise ValueError("email must be a plain address such as name@example.com")
        return self


class CreateClient(ClientFields):
    name: Name


class GetClient(Arguments):
    id: UUID


class FindContact(Arguments):
    id: UUID
    channel: Channel = Channel.EMAIL
    purpose: Purpose = Purpose.COMMUNICATION


class UpdateClient(ClientFields):
    id: UUID
    name: Name = Field(default_factory=str)

    @model_validator(mode="after")
    def _changes(self) -> "UpdateClient":
        if self.model_fields_set <= {"id"}:
            raise ValueError("nothing to change; give at least one field beside id")
        return self


class ClientResult(Result):
    id: UUID
    name: str
    company_name: str | None
    client_type: str
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
    registration_number: str | None
    fiscal_year_end: str | None
    status: str
    acquisition_source: str | None
    referral_source: str | None
    assigned_manager: UUID | None
    communication_preferences: dict[str, JsonValue]
    service_preferences: dict[str, JsonValue]
    billing_address: JsonValue
    payment_terms: str | None
    credit_limit: str | None
    tags: list[str]
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class ContactResult(Result):
    """`address` is an e-mail address, a telephone number or a postal address, as the channel asks."""

    client_id: UUID
    contact_id: UUID | None
    name: str
    address: str
    language: str | None


@action(
    "client.create",
    version="1.0.0",
    title="Create a client",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
)
async def create_client(context: ActionContext, arguments: CreateClient) -> ClientResult:
    """Create a client and return it; repeating the same occurrence finds the client it created before."""
    clients = Clients(context.transaction)
    id = derived_id(context.effect_key)
    values = _given(arguments)
    values.update(organization_id=context.organization_id, created_by=context.started_by)
    with _faults():
        is_new = await clients.insert_once(id, values)
        row = await clients.get(id)
    if is_new:
        await _tell(context, created(row))
    return result_of(row)


@action(
    "client.get",
    version="1.0.0",
    title="Look a client up",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
)
async def get_client(context: ActionContext, arguments: GetClient) -> ClientResult:
    """Return the client with this id, or fail with status 404."""
    with _faults():
        return result_of(await Clients(context.transaction).get(arguments.id))


@action(
    "client.update",
    version="1.0.0",
    title="Change a client",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
)
async def update_client(context: ActionContext, arguments: UpdateClient) -> ClientResult:
    """Change the given fields of a client, null clears one, and return the whole client; an unknown id fails
    with status 404."""
    values = _given(arguments)
    del values["id"]
    with _faults():
        row = await Clients(context.transaction).change(arguments.id, values)
    await _tell(context, changed(row, values))
    return result_of(row)


@action(
    "client.contact",
    version="1.0.0",
    title="Find out whom to write to",
    effect=Effect.IDEMPOTENT,
    lane=Lane.SEGMENT,
    timeout=_TIMEOUT,
)
async def find_contact(context: ActionContext, arguments: FindContact) -> ContactResult:
    """Return who is to be reached at a client: its primary contact, else another one who receives communications,
    else the client itself. With `purpose: authorization`, only who may decide in its name.

    Fails with status 404 for an unknown client, and with 409 when the client does not want this channel or nobody
    can be reached by it.
    """
    with _faults():
        client = await Clients(context.transaction).get(arguments.id)
    contacts = await Contacts(context.transaction).of_client(arguments.id)
    try:
        known = [dict(contact) for contact in contacts]
        found = addressee(dict(client), known, arguments.channel, arguments.purpose)
    except Unreachable as reason:
        raise Fault("runtime", 409, "Client not to be reached", str(reason)) from None
    return ContactResult(
        client_id=arguments.id,
        contact_id=None if found.contact is None else found.contact["id"],
        name=found.name,
        address=found.address,
        language=(client["communication_preferences"] or {}).get("language"),
    )


async def _tell(context: ActionContext, happened: Happened) -> None:
    events = ClientEvents(context.services.keys, context.organization_id, context.now, context.execution_id)
    await events.record(context.transaction, [happened])


def _given(arguments: Arguments) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in arguments.model_fields_set}
    if isinstance(preferences := values.get("communication_preferences"), CommunicationPreferences):
        values["communication_preferences"] = preferences.model_dump(exclude_unset=True)
    if values.get("credit_limit") is not None:
        values["credit_limit"] = Decimal(values["credit_limit"])
    if values.get("phone") and values.get("country"):
        values["phone"] = telephone(values["phone"], values["country"])
    return values


def result_of(row: RowMapping) -> ClientResult:
    values = {name: row[name] for name in ClientResult.model_fields}
    limit = values["credit_limit"]
    return ClientResult(**{**values, "credit_limit": None if limit is None else str(limit)})


@contextmanager
def _faults() -> Iterator[None]:
    """The refusals of the repository in the words of the definition language."""
    try:
        yield
    except DomainError as error:
        places = "; ".join(
            f"{problem.pointer.removeprefix('#')} {problem.message}" for problem in error.problems
        )
        detail = f"{error.message} {places}".strip()
        raise Fault(*_kind(error), detail) from error


def _kind(error: DomainError) -> tuple[str, int, str]:
    if isinstance(error, NotFound):
        return "runtime", 404, "Client not found"
    if isinstance(error, Conflict):
        return "runtime", 409, "Client conflicts with another"
    if isinstance(error, Forbidden):
        return "authorization", 403, "Not allowed"
    return "validation", 400, "Arguments refused"
