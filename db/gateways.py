"""Payment gateways that an organization collects its money through."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, CreatedAt, Id, JsonObject, No, Sealed, Tenant, UpdatedAt, Yes, one_of, tenant_key
from domain.subscriptions import Gateway


class PaymentGatewayConfig(Tenant, Base):
    __tablename__ = "payment_gateway_configs"
    __table_args__ = (
        tenant_key(),
        Index(
            "uq_payment_gateway_configs_default",
            "organization_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
        one_of("gateway", Gateway),
        CheckConstraint("is_active OR NOT is_default", name="default_is_active"),
    )

    id: Mapped[Id]
    gateway: Mapped[str]
    nickname: Mapped[str | None]
    #: A JSON object, sealed for `payment_gateway_configs.credentials/<id>`: written by the API, read by workers.
    credentials: Mapped[Sealed]
    config: Mapped[JsonObject]
    is_active: Mapped[Yes]
    is_default: Mapped[No]
    is_test_mode: Mapped[No]
    created_by: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
