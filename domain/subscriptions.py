"""The closed sets of plans, subscriptions and the gateways that move their money."""

from enum import StrEnum


class SubscriptionStatus(StrEnum):
    """PostgreSQL's type `subscription_status`."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    TRIAL = "trial"


#: Of these an organization has at most one.
LIVE = (SubscriptionStatus.ACTIVE, SubscriptionStatus.TRIAL)


class BillingCycle(StrEnum):
    MONTHLY = "monthly"
    YEARLY = "yearly"


class Gateway(StrEnum):
    RAZORPAY = "razorpay"
    STRIPE = "stripe"
    PAYU = "payu"
