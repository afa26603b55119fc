"""The closed sets of clients, an organization's own customers."""

from enum import StrEnum


class ClientType(StrEnum):
    INDIVIDUAL = "individual"
    BUSINESS = "business"
    NONPROFIT = "nonprofit"


class ClientStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    PROSPECT = "prospect"
