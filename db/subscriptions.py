"""Plans of the platform, and which one an organization has subscribed to."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Enum, ForeignKey, Index, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import conv

from db.base import Base, CreatedAt, Id, JsonList, JsonObject, No, Tenant, UpdatedAt, tenant_key
from domain.subscriptions import LIVE, BillingCycle, SubscriptionStatus

#: A plan's prices, and their snapshot in a subscription; what is charged is counted in minor units elsewhere.
Price = Numeric(10, 2)
Status = Enum(
    SubscriptionStatus, name="subscription_status", values_callable=lambda kind: [each.value for each in kind]
)


class SubscriptionPlan(Base):
    """What the platform sells. Members see the published ones, and the one their organization has."""

    __tablename__ = "subscription_plans"
    __table_args__ = (
        CheckConstraint("monthly_price >= 0 AND yearly_price >= 0", name="price"),
        CheckConstraint("trial_days >= 0", name="trial_days"),
    )

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str | None]
    features: Mapped[JsonList]
    #: How much of everything that is counted the plan includes: users, storage_gb, api_calls, …
    limits: Mapped[JsonObject]
    monthly_price: Mapped[Decimal | None] = mapped_column(Price)
    yearly_price: Mapped[Decimal | None] = mapped_column(Price)
    currency: Mapped[str] = mapped_column(server_default="USD")
    trial_days: Mapped[int] = mapped_column(server_default="0")
    #: A plan of a higher rank offers what those below it offer.
    rank: Mapped[int] = mapped_column(unique=True)
    is_published: Mapped[No]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class PlatformSubscription(Tenant, Base):
    """An organization's subscription; what its plan said that day stays, whatever becomes of the plan."""

    __tablename__ = "platform_subscriptions"
    __table_args__ = (
        tenant_key(),
        Index(None, "organization_id", "plan_id"),
        Index(
            "uq_platform_subscriptions_live",
            "organization_id",
            unique=True,
            postgresql_where=text("status IN ({})".format(", ".join(f"'{status}'" for status in LIVE))),
        ),
        CheckConstraint(
            "billing_cycle IN ({})".format(", ".join(f"'{cycle}'" for cycle in BillingCycle)),
            name=conv("valid_billing_cycle"),
        ),
        CheckConstraint("current_period_end > current_period_start", name="period"),
        CheckConstraint("monthly_price >= 0 AND yearly_price >= 0", name="price"),
        CheckConstraint("users_count >= 0 AND storage_used_gb >= 0 AND api_calls_count >= 0", name="usage"),
    )

    id: Mapped[Id]
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("subscription_plans.id"))
    plan_name: Mapped[str]
    plan_features: Mapped[JsonList]
    monthly_price: Mapped[Decimal | None] = mapped_column(Price)
    yearly_price: Mapped[Decimal | None] = mapped_column(Price)
    currency: Mapped[str] = mapped_column(server_default="USD")
    billing_cycle: Mapped[str] = mapped_column(server_default=BillingCycle.MONTHLY)
    status: Mapped[SubscriptionStatus] = mapped_column(Status, server_default=SubscriptionStatus.ACTIVE)
    trial_end: Mapped[datetime | None]
    current_period_start: Mapped[datetime] = mapped_column(server_default=text("now()"))
    current_period_end: Mapped[datetime]
    next_billing_date: Mapped[datetime | None]
    stripe_subscription_id: Mapped[str | None] = mapped_column(unique=True)
    stripe_customer_id: Mapped[str | None]
    razorpay_subscription_id: Mapped[str | None] = mapped_column(unique=True)
    razorpay_customer_id: Mapped[str | None]
    users_count: Mapped[int] = mapped_column(server_default="0")
    storage_used_gb: Mapped[Decimal] = mapped_column(Price, server_default="0")
    api_calls_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
    cancelled_at: Mapped[datetime | None]


Index("ix_platform_subscriptions_next_billing_date", PlatformSubscription.__table__.c.next_billing_date)
