"""Clients, an organization's own customers, and the people to talk to there: closed sets, and who is written to.

Meanings (docs/schema-decisions.md tells them to people):
- `clients.communication_preferences`: `{"email": false}` forbids a channel, what is not mentioned is allowed;
  `language` says in which language the client is to be written to. Nothing else stands there.
- `contacts.receives_communications`: whether this person is written to at all on behalf of the client.
- `contacts.can_authorize`: whether this person may decide in the client's name.
`addressee` is the one place that reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints

SOURCE_OF_CLIENTS: Final = "/perdure/clients"
SOURCE_OF_CONTACTS: Final = "/perdure/contacts"


class ClientType(StrEnum):
    INDIVIDUAL = "individual"
    BUSINESS = "business"
    NONPROFIT = "nonprofit"


class ClientStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    PROSPECT = "prospect"


class Channel(StrEnum):
    EMAIL = "email"
    PHONE = "phone"
    SMS = "sms"
    POST = "post"


class Purpose(StrEnum):
    """What a client is written to for; who authorizes may decide in its name."""

    COMMUNICATION = "communication"
    AUTHORIZATION = "authorization"


class CommunicationPreferences(BaseModel):
    """How a client wants to be reached: false forbids a channel, what is left out is allowed."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    email: bool = True
    phone: bool = True
    sms: bool = True
    post: bool = True
    #: A BCP 47 tag, such as "de" or "pt-BR".
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None


def allows(preferences: Mapping[str, Any] | None, channel: Channel) -> bool:
    """Whether the client may be reached this way; what an imported row says besides means nothing."""
    return (preferences or {}).get(channel.value) is not False


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who is to be written to; `contact` is None when it is the client itself."""

    contact: Mapping[str, Any] | None
    name: str
    address: str


class Unreachable(Exception):
    """Nobody of the client may or can be reached; the message says why, and what would help."""


def addressee(
    client: Mapping[str, Any], contacts: Sequence[Mapping[str, Any]], channel: Channel, purpose: Purpose
) -> Addressee:
    """The primary contact if it fits, else the one known longest; for communication the client itself at last.

    `contacts` are those of the client. Raises Unreachable.
    """
    if not allows(client["communication_preferences"], channel):
        raise Unreachable(
            f"The client does not want to be reached by {channel.value} (communication_preferences); "
            "choose another channel."
        )
    wanted = [contact for contact in contacts if _fits(contact, channel, purpose)]
    wanted.sort(key=lambda contact: (not contact["is_primary"], contact["created_at"], contact["id"]))
    if wanted:
        first = wanted[0]
        name = f"{first['first_name']} {first['last_name']}".strip()
        return Addressee(first, name, _address_of(first, channel))
    if purpose is Purpose.AUTHORIZATION:
        raise Unreachable(
            "No contact of the client may authorize and can be reached this way; set can_authorize on one who may, "
            f"who receives communications and has what {channel.value} needs."
        )
    own = _address_of(client, channel)
    if not own:
        raise Unreachable(
            f"Neither the client nor a contact who receives communications can be reached by {channel.value}; "
            "add what is missing."
        )
    return Addressee(None, client["name"], own)


def _fits(contact: Mapping[str, Any], channel: Channel, purpose: Purpose) -> bool:
    may = bool(contact["receives_communications"])
    if purpose is Purpose.AUTHORIZATION:
        may = may and bool(contact["can_authorize"])
    return may and bool(_address_of(contact, channel))


def _address_of(row: Mapping[str, Any], channel: Channel) -> str:
    match channel:
        case Channel.EMAIL:
            return row["email"] or ""
        case Channel.PHONE:
            return row["phone"] or row.get("mobile") or ""
        case Channel.SMS:
            return row.get("mobile") or row["phone"] or ""
        case Channel.POST:
            return row.get("address") or ""
