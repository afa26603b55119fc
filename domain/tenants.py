"""The closed sets of organizations, their members and their keys."""

from enum import StrEnum


class MembershipStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class CompanySize(StrEnum):
    STARTUP = "startup"
    SME = "sme"
    ENTERPRISE = "enterprise"


class VerificationLevel(StrEnum):
    BASIC = "basic"
    VERIFIED = "verified"
    ENTERPRISE = "enterprise"


class KycStatus(StrEnum):
    PENDING = "pending"
    VERIFIED = "verified"
    REJECTED = "rejected"


class KeyStatus(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"


class ActorType(StrEnum):
    """Who did what an activity log tells."""

    USER = "user"
    API_KEY = "api_key"
    WORKER = "worker"
    SYSTEM = "system"
