"""Short messages to telephones: a port, and two ways to have no provider behind it."""

import logging
from typing import Protocol

from domain.definitions.faults import Fault

log = logging.getLogger("perdure.sms")


class Messenger(Protocol):
    """Hands one short message to whoever carries it."""

    async def send(self, number: str, text: str, *, key: str) -> None:
        """`number` in E.164; the same `key` again is the same message. Raises Fault communication 422 or 503."""


class LogMessenger:
    """For development: the message, its code included, stands in the log. Never chosen unless asked for."""

    async def send(self, number: str, text: str, *, key: str) -> None:
        log.info("SMS to %s: %s", number, text)


class NoMessenger:
    """A platform without a provider: codes are refused with the operator's mend instead of vanishing."""

    async def send(self, number: str, text: str, *, key: str) -> None:
        raise Fault(
            "configuration",
            501,
            "No SMS provider",
            "this platform sends no short messages; its operator sets PERDURE_SMS",
        )
