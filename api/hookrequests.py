"""Reading a webhook: raw bytes within a cap, and JSON as strictly as everywhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request

from api import strictjson
from api.errors import PayloadTooLarge
from domain.errors import Invalid, Unauthenticated
from domain.webhooks.received import Received, joined
from domain.webhooks.verdicts import Malformed

BIGGEST = 5 * 1024 * 1024
#: A sender that drips its body is let go.
PATIENCE_SECONDS = 30.0
#: So much of what is too large is thrown away before the answer: with unread bytes left, closing the connection
#: resets it, and the sender sees that instead of the answer.
_DRAINED_BYTES = 32 * 1024 * 1024
_DRAINING_SECONDS = 5.0


class WebhookForged(Unauthenticated):
    """The request does not prove that it comes from whoever knows the trigger's secret."""

    code = "webhook_forged"


class WebhookStale(Unauthenticated):
    """The signature is right, but was made too long ago or too far in the future."""

    code = "webhook_stale"


class WebhookMalformed(Invalid):
    """The request is authentic, but its body cannot be read as configured."""

    code = "webhook_malformed"


class WebhookTooLarge(PayloadTooLarge):
    """The body is larger than 5 MB; send a reference to where it can be fetched."""


class WebhookIncomplete(Invalid):
    """The body did not arrive completely within 30 seconds; send it again."""

    code = "webhook_incomplete"


def announced(request: Request) -> int:
    """The size that Content-Length tells; 0 when it tells none."""
    declared = request.headers.get("content-length", "0")
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


async def read(request: Request) -> Received:
    """The whole request; raises WebhookTooLarge without having kept more than the cap, WebhookIncomplete."""
    stream = request.stream()
    if announced(request) > BIGGEST:
        if "expect" not in request.headers:  # who asks before sending has sent nothing yet
            await _drain(stream)
        raise WebhookTooLarge
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for part in stream:
                size += len(part)
                if size > BIGGEST:
                    break
                parts.append(part)
    except (ClientDisconnect, TimeoutError):
        raise WebhookIncomplete from None
    if size > BIGGEST:
        parts.clear()
        await _drain(stream)
        raise WebhookTooLarge
    scope = request.scope
    return Received(request.method, joined(scope["headers"]), scope["query_string"], b"".join(parts))


async def _drain(stream: AsyncIterator[bytes]) -> None:
    size = 0
    with suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(_DRAINING_SECONDS):
            async for part in stream:
                size += len(part)
                if size > _DRAINED_BYTES:
                    return


def read_json(body: bytes) -> Any:
    """Raises Malformed naming the first places."""
    try:
        return strictjson.read(body)
    except Invalid as error:
        told = [f"{each.message} ({each.pointer})" for each in error.problems[:3]]
        raise Malformed(" ".join(told) or error.message) from None
