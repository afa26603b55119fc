"""Clients of an organization and the people to talk to there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Numeric, RowMapping, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonObject,
    JsonValue,
    No,
    SealedText,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    Yes,
    one_of,
    tenant_key,
    within,
)
from db.rows import (
    change,
    many,
    one,
    refusing,
    remove,
    unchanged,
)
from db.tenants import Membership
from domain.clients import ClientStatus, ClientType
from domain.errors import Conflict, Invalid, Problem
from domain.tenants import MembershipStatus

#: What `q` is looked for in, as the indexes and the functions that search have it.
#: Bracketed as PostgreSQL brackets it, so that models and migrations can be compared.
CLIENT_WORDS = (
    "(((((name || ' ') || coalesce(company_name, '')) || ' ') || coalesce(client_number, '')) || ' ') "
    "|| coalesce(email, '')"
)
CONTACT_WORDS = "(((first_name || ' ') || last_name) || ' ') || coalesce(email, '')"


class Client(Tenant, Base):
    __tablename__ = "clients"
    __table_args__ = (
        tenant_key(),
        Index(
            "uq_clients_number",
            "organization_id",
            "client_number",
            unique=True,
            postgresql_where=text("client_number IS NOT NULL"),
        ),
        Index(None, "organization_id", "created_at", "id"),
        Index("ix_clients_email_lower", "organization_id", text("lower(email)")),
        Index(
            "ix_clients_tax_id_index",
            "organization_id",
            "tax_id_index",
            postgresql_where=text("tax_id_index IS NOT NULL"),
        ),
        Index("ix_clients_name_lower", "organization_id", text("lower(name)"), "id"),
        Index(
            "ix_clients_assigned_manager",
            "organization_id",
            "assigned_manager",
            postgresql_where=text("assigned_manager IS NOT NULL"),
        ),
        # Asked by app.search_clients alone: under row level security no index serves ILIKE.
        Index(
            "ix_clients_words",
            "organization_id",
            literal_column(f"({CLIENT_WORDS})").label("words"),
            postgresql_using="gin",
            postgresql_ops={"words": "gin_trgm_ops"},
        ),
        one_of("client_type", ClientType),
        one_of("status", ClientStatus),
    )

    id: Mapped[Id]
    name: Mapped[str]
    company_name: Mapped[str | None]
    client_type: Mapped[str] = mapped_column(server_default=ClientType.INDIVIDUAL)
    industry: Mapped[str | None]
    client_number: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    website: Mapped[str | None]
    address: Mapped[str | None]
    city: Mapped[str | None]
    state: Mapped[str | None]
    zip_code: Mapped[str | None]
    country: Mapped[str | None] = mapped_column(server_default="US")
    #: Sealed for `clients.tax_id/<id>`, in base64.
    tax_id: Mapped[SealedText | None]
    registration_number: Mapped[str | None]
    fiscal_year_end: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=ClientStatus.ACTIVE)
    acquisition_source: Mapped[str | None]
    referral_source: Mapped[str | None]
    assigned_manager: Mapped[UserRef | None]
    communication_preferences: Mapped[JsonObject]
    service_preferences: Mapped[JsonObject]
    billing_address: Mapped[JsonValue]
    payment_terms: Mapped[str | None] = mapped_column(server_default="net_30")
    credit_limit: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    #: The keyed hash under which the sealed tax id is found.
    tax_id_index: Mapped[bytes | None]
    tags: Mapped[Words]
    #: NULL when an execution that nobody in particular started created the client.
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Contact(Tenant, Base):
    __tablename__ = "contacts"
    __table_args__ = (
        tenant_key(),
        within("client_id", "clients"),
        Index(None, "organization_id", "client_id"),
        Index(None, "organization_id", "created_at", "id"),
        Index("ix_contacts_email_lower", "organization_id", text("lower(email)")),
        Index(
            "uq_contacts_primary",
            "organization_id",
            "client_id",
            unique=True,
            postgresql_where=text("is_primary AND client_id IS NOT NULL"),
        ),
        Index(
            "ix_contacts_words",
            "organization_id",
            literal_column(f"({CONTACT_WORDS})").label("words"),
            postgresql_using="gin",
            postgresql_ops={"words": "gin_trgm_ops"},
        ),
    )

    id: Mapped[Id]
    client_id: Mapped[UUID | None]
    first_name: Mapped[str]
    last_name: Mapped[str]
    job_title: Mapped[str | None]
    department: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    mobile: Mapped[str | None]
    is_primary: Mapped[No]
    can_authorize: Mapped[No]
    receives_communications: Mapped[Yes]
    notes: Mapped[str | None]
    tags: Mapped[Words]
    created_by: Mapped[UserRef | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ClientNumberTaken(Conflict):
    """Another client of your organization has this client_number."""

    code = "client_number_taken"

    def __init__(self) -> None:
        problem = Problem(
            "#/client_number",
            "Another client has this number.",
            "Choose a number that is free.",
        )
        super().__init__(problems=[problem])


class ClientInUse(Conflict):
    """Contacts belong to this client, or a task waits for it alone; mend that, or set its status to inactive."""

    code = "client_in_use"


def _nobody(field: str, what: str) -> Invalid:
    return Invalid(
        problems=[
            Problem(
                f"#/{field}",
                f"There is no {what} with this id in your organization.",
                "Send the id of one.",
            )
        ]
    )


_CLIENT_REFUSALS = {
    "uq_clients_number": ClientNumberTaken,
    "fk_contacts_client_id": lambda: ClientInUse(
        "Contacts belong to this client; remove them first, or set the client's status to inactive."
    ),
}
_CONTACT_REFUSALS = {"fk_contacts_client_id": lambda: _nobody("client_id", "client")}


class Clients:
    """The clients of the organization the transaction belongs to."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx

    async def insert_once(self, id: UUID, values: Mapping[str, Any]) -> bool:
        """Create the client unless this id exists already; True when it was created now.

        `values` hold columns of `clients`, `organization_id` and `name` at least. Raises ClientNumberTaken
        when another client has the number, Invalid when `assigned_manager` is nobody here.
        """
        statement = insert(Client).values(id=id, **values).on_conflict_do_nothing(index_elements=[Client.id])
        await self._require_member(values)
        with refusing(_CLIENT_REFUSALS):
            return (await self._tx.execute(statement)).rowcount == 1

    async def get(self, id: UUID) -> RowMapping:
        """All columns; raises NotFound."""
        return one(await self._tx.execute(select(Client).where(Client.id == id)))

    async def change(
        self, id: UUID, values: Mapping[str, Any], *, seen: datetime | None = None
    ) -> RowMapping:
        """Write `values`, if nobody else wrote since `seen`; raises NotFound, Stale, ClientNumberTaken."""
        await self._require_member(values)
        with refusing(_CLIENT_REFUSALS):
            return await change(self._tx, Client, id, unchanged(Client.updated_at, seen), values)

    async def remove(self, id: UUID, *, seen: datetime | None = None) -> None:
        """Raises NotFound, Stale, and ClientInUse while contacts refer to the client, or a task needs its answer."""
        await self._require_unawaited(id)
        with refusing(_CLIENT_REFUSALS):
            await remove(self._tx, Client, id, unchanged(Client.updated_at, seen))

    async def _require_unawaited(self, id: UUID) -> None:
        """Whoever opens a task for the client holds its row meanwhile, so either sees the other."""
        await self._tx.execute(select(Client.id).where(Client.id == id).with_for_update())
        waiting = (await self._tx.execute(_AWAITED, {"client": id})).all()
        if waiting:
            named = ", ".join(f"“{task.title}” ({task.id})" for task in waiting if task.id is not None)
            raise ClientInUse(
                f"Nobody else could answer what is put to this client: {named or 'tasks that you do not see'}. Cancel "
                "the executions of these tasks, or wait for the answers; or set the client's status to inactive."
            )

    async def _require_member(self, values: Mapping[str, Any]) -> None:
        """The foreign key accepts any user there is; a manager has to belong to the same organization."""
        manager = values.get("assigned_manager")
        if manager is not None:
            known = select(Membership.id).where(
                Membership.user_id == manager, Membership.status == MembershipStatus.ACTIVE.value
            )
            if (await self._tx.execute(known)).first() is None:
                raise _nobody("assigned_manager", "active member")


#: With id and title as far as whoever asks sees them.
_AWAITED = text(
    "SELECT t.id, t.title FROM app.awaiting_client(:client) AS w(id) LEFT JOIN tasks AS t ON t.id = w.id "
    "ORDER BY t.created_at, t.id"
)


class Contacts:
    """The people to talk to, at clients or on their own; one of a client's is its primary contact."""

    def __init__(self, tx: AsyncConnection) -> None:
        self._tx = tx
        #: The contacts that ceased to be primary, because another one of their client's became it.
        self.demoted: list[RowMapping] = []

    async def insert(self, id: UUID, values: Mapping[str, Any]) -> RowMapping:
        """Create a contact; raises Invalid when `client_id` is no client of this organization, or is missing
        although the contact is to be primary."""
        if values.get("is_primary"):
            await self._make_way(id, values.get("client_id"))
        with refusing(_CONTACT_REFUSALS):
            return one(
                await self._tx.execute(
                    insert(Contact).values(id=id, **values).returning(*Contact.__table__.c)
                )
            )

    async def get(self, id: UUID) -> RowMapping:
        """All columns; raises NotFound."""
        return one(await self._tx.execute(select(Contact).where(Contact.id == id)))

    async def of_client(self, client_id: UUID, limit: int = 200) -> Sequence[RowMapping]:
        """The client's contacts, the primary one first."""
        statement = select(Contact).where(Contact.client_id == client_id)
        ordered = statement.order_by(Contact.is_primary.desc(), Contact.created_at, Contact.id)
        return await many(self._tx, ordered.limit(limit))

    async def change(
        self, id: UUID, values: Mapping[str, Any], *, seen: datetime | None = None
    ) -> RowMapping:
        """Write `values` if nobody else wrote since `seen`; raises NotFound, Stale, Invalid (`client_id`)."""
        if "is_primary" in values or "client_id" in values:
            values = await self._moved(id, values)
        with refusing(_CONTACT_REFUSALS):
            return await change(self._tx, Contact, id, unchanged(Contact.updated_at, seen), values)

    async def remove(self, id: UUID, *, seen: datetime | None = None) -> None:
        """Raises NotFound, Stale."""
        await remove(self._tx, Contact, id, unchanged(Contact.updated_at, seen))

    async def _moved(self, id: UUID, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is to be written so that every client keeps at most one primary contact."""
        stands = await self.get(id)
        client_id = values.get("client_id", stands["client_id"])
        if not values.get("is_primary", stands["is_primary"]):
            return values
        if client_id is None and not values.get("is_primary"):
            return {**values, "is_primary": False}  # whoever leaves a client is primary nowhere
        await self._make_way(id, client_id)
        return values

    async def _make_way(self, id: UUID, client_id: UUID | None) -> None:
        """Let the client's present primary contact step back. Who wants the same waits for this transaction."""
        if client_id is None:
            raise Invalid(
                problems=[
                    Problem(
                        "#/is_primary",
                        "A contact without a client cannot be its primary one.",
                        "Send client_id as well.",
                    )
                ]
            )
        await self._tx.execute(
            select(Client.id).where(Client.id == client_id).with_for_update(key_share=True)
        )
        stepping_back = (
            update(Contact)
            .where(Contact.client_id == client_id, Contact.is_primary, Contact.id != id)
            .values(is_primary=False)
            .returning(*Contact.__table__.c)
        )
        self.demoted += (await self._tx.execute(stepping_back)).mappings().all()
