"""Clients of an organization and the people to talk to there."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import Index, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    CreatedAt,
    Id,
    JsonObject,
    JsonValue,
    No,
    Tenant,
    UpdatedAt,
    UserRef,
    Words,
    Yes,
    one_of,
    tenant_key,
    within,
)
from domain.clients import ClientStatus, ClientType


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
    #: Ciphertext only.
    tax_id: Mapped[str | None]
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
