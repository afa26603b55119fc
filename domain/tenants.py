"""The closed sets of organizations, their members and their keys, and the settings of an organization."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError


class MembershipStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class InvitationStatus(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"


class CompanySize(StrEnum):
    STARTUP = "startup"
    SME = "sme"
    ENTERPRISE = "enterprise"


class VerificationLevel(StrEnum):
    BASIC = "basic"
    VERIFIED = "verified"
    ENTERPRISE = "enterprise"


#: How many invitations may be open at a time: strangers get mail from organizations nobody knows only so often.
OPEN_INVITATIONS: Final[Mapping[VerificationLevel, int]] = {
    VerificationLevel.BASIC: 50,
    VerificationLevel.VERIFIED: 1_000,
    VerificationLevel.ENTERPRISE: 10_000,
}
INVITATION_LIFETIME: Final = timedelta(days=7)
#: How often one invitation is mailed; after that the address does not answer, or does not want to.
MOST_INVITATION_MAILS: Final = 10


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


#: A session that is not used for longer than this has to sign in again; a month is as long as one may last.
MONTH_IN_MINUTES: Final = 30 * 24 * 60
_DOMAIN = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)


def domain_name(text: str) -> str:
    """A DNS name in lower case, such as `lind.example`. Raises PydanticCustomError."""
    name = text.strip().lower().removesuffix(".")
    if not _DOMAIN.fullmatch(name):
        raise PydanticCustomError(
            "domain_name", "The value should be a domain name such as lind.example (without @ or https://)."
        )
    return name


DomainName = Annotated[str, AfterValidator(domain_name), Field(max_length=254, examples=["lind.example"])]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Retention(_Closed):
    """For how many days things are kept after they ended; None keeps them as long as the organization."""

    executions_days: Annotated[int, Field(ge=1, le=3653)] | None = None
    #: The whole line; what was received goes after a month in any case.
    deliveries_days: Annotated[int, Field(ge=1, le=3653)] | None = None
    audit_days: Annotated[int, Field(ge=90, le=3653)] | None = None


class OrganizationSettings(_Closed):
    """What an organization decided about itself: the whole content of `organizations.settings`."""

    #: Members without a second factor may do nothing but enrol one.
    mfa_required: bool = False
    #: A member's session unused for so long ends, wherever it is used; None: the platform's own limit alone.
    session_idle_minutes: Annotated[int, Field(ge=5, le=MONTH_IN_MINUTES)] | None = None
    retention: Retention = Retention()
    #: Only addresses of these domains are invited; empty: any.
    allowed_email_domains: Annotated[list[DomainName], Field(max_length=50)] = Field(default_factory=list)

    def admits(self, email: str) -> bool:
        """Whether somebody of this address may become a member."""
        domain = email.rpartition("@")[2].lower()
        return not self.allowed_email_domains or domain in self.allowed_email_domains


def settings_of(stored: Mapping[str, Any] | None) -> OrganizationSettings:
    """Reads `organizations.settings`; what no release understands (an imported row's) has its default.

    Raises nothing: a stored value nobody can read must not lock an organization out.
    """
    readable: dict[str, Any] = {}
    for name, value in (stored or {}).items():
        if name not in OrganizationSettings.model_fields:
            continue
        try:
            OrganizationSettings.model_validate({name: value})
        except ValidationError:
            continue
        readable[name] = value
    return OrganizationSettings.model_validate(readable)
