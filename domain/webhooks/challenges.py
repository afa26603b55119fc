"""Handshakes: a provider asks whether somebody is there before it sends events."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.webhooks.configuration import Challenge, Configuration
from domain.webhooks.received import Received
from domain.webhooks.verdicts import Forged, Malformed

LONGEST = 1_024


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider wants to read: a JSON object, or the bare text."""

    text: str
    is_json: bool = False


def unsigned_challenge(
    configuration: Configuration,
    request: Received,
    query: Mapping[str, Any],
    known: Sequence[str],
) -> Reply | None:
    """The answer to a handshake that comes in the query and without a signature; None when it is none.

    `known` are the texts a subscriber may have given as its verify token: the last part of the address, and
    the trigger's secrets. Raises Forged for another one.
    """
    if configuration.challenge is Challenge.HUB and request.method == "GET":
        offered = str(query.get("hub.verify_token", ""))
        matches = [hmac.compare_digest(offered.encode(), each.encode()) for each in known]
        if True not in matches:
            raise Forged("hub.verify_token is neither the last part of this address nor the secret.")
        return Reply(_usable(query.get("hub.challenge")))
    if configuration.challenge is Challenge.VALIDATION_TOKEN and "validationToken" in query:
        return Reply(_usable(query["validationToken"]))
    return None


def signed_challenge(configuration: Configuration, content: Any) -> Reply | None:
    """The answer to a handshake in the body of a request that has proved itself; None when it is none."""
    if (
        configuration.challenge is Challenge.JSON
        and isinstance(content, dict)
        and content.get("type") == "url_verification"
    ):
        return Reply(_usable(content.get("challenge")), is_json=True)
    return None


def _usable(text: Any) -> str:
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST or not text.isprintable():
        raise Malformed(f"The challenge is no text of 1 to {LONGEST} printable characters.")
    return text
