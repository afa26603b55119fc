"""A trigger on its way: a start over the API with its key, or a signed webhook with its event id."""

import time
from collections.abc import Callable
from typing import Any

import httpx2

from domain.webhooks.schemes import standard
from tests.faults.client import parsed
from tests.faults.sent import Sent


async def once(sent: Sent, *, wait: int | None = None) -> httpx2.Response:
    """Raises Unanswered."""
    if sent.kind == "hooked":
        return await sent.house.caller.once(
            "POST", sent.house.hook[0], sent.body["input"], sign=_signing(sent)
        )
    return await sent.house.caller.once("POST", sent.house.path(sent.kind), sent.body, sent.key, wait=wait)


async def insist(sent: Sent) -> httpx2.Response:
    if sent.kind == "hooked":
        return await sent.house.caller.insist(
            "POST", sent.house.hook[0], sent.body["input"], sign=_signing(sent)
        )
    return await sent.house.caller.insist("POST", sent.house.path(sent.kind), sent.body, sent.key)


def accepted(answer: httpx2.Response) -> str:
    """The id of the execution that a 2xx answer names."""
    body: dict[str, Any] = parsed(answer)
    id: str = body["execution_id"] if "execution_id" in body else body["id"]
    return id


def _signing(sent: Sent) -> Callable[[bytes], dict[str, str]]:
    """Signed anew for every attempt, as providers do; the event stays the same."""
    return lambda body: standard.sign(body, sent.house.hook[1], sent.key, int(time.time()))
