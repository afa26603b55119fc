"""OpenAPI documents: fetched like anything else of a tenant's choosing, read on a thread, remembered in part."""

import asyncio
import json
from hashlib import sha256
from typing import Any, Final

from activities.actions.http_exchange import Exchange
from activities.actions.http_outputs import failure
from activities.gateways.http_messages import HttpRequest
from domain.definitions import documents
from domain.definitions.faults import Fault
from domain.definitions.values import canonical
from domain.http_authentications import Policy
from domain.openapi import Operation, read_operation

#: For a document with its redirects, in seconds; its size is what any answer may take, 5 MB.
PATIENCE: Final = 15.0
_ACCEPT: Final = "application/json, application/yaml;q=0.9, */*;q=0.5"


async def operation_of(
    exchange: Exchange, address: str, credentials: tuple[str, Policy] | None, operation_id: str
) -> Operation:
    """The operation as its document describes it, at most five minutes ago. Raises Fault; no call was sent then."""
    context = exchange.context
    key = (context.organization_id, address, _digest(credentials), operation_id)
    known = context.services.operations.get(key)
    if known is None:
        try:
            known = await _fetched(exchange, address, credentials, operation_id)
        except Fault as fault:
            raise exchange.unsent(fault) from None
        context.services.operations.put(key, known)
    return known


async def _fetched(
    exchange: Exchange, address: str, credentials: tuple[str, Policy] | None, operation_id: str
) -> Operation:
    request = HttpRequest("GET", address, (("Accept", _ACCEPT),))
    try:
        async with asyncio.timeout(PATIENCE):
            response = (await exchange.send(request, credentials, redirects=True)).response
    except TimeoutError:
        detail = f"the OpenAPI document did not arrive within {PATIENCE:g} s"
        raise Fault("communication", 504, "No answer in time", detail, transient=True) from None
    if response.status != 200:
        fault = failure(response)
        raise Fault("communication", response.status, fault.title, f"the OpenAPI document: {fault.detail}")
    return await asyncio.to_thread(_read, response.body, response.url, operation_id)


def _read(body: bytes, address: str, operation_id: str) -> Operation:
    return read_operation(_parsed(body), address, operation_id)


def _parsed(body: bytes) -> Any:
    """JSON of any size that arrives; YAML, which takes a thousand times longer to read, up to 256 KB."""
    try:
        text = body.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return json.loads(text)
        return documents.load(text).value
    except documents.Unreadable as problem:
        reason = str(problem)
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:
        reason = "it is neither JSON nor YAML in UTF-8"
    raise Fault(
        "configuration", 400, "OpenAPI document unusable", f"the OpenAPI document cannot be read: {reason}"
    )


def _digest(credentials: tuple[str, Policy] | None) -> str:
    if credentials is None:
        return ""
    scheme, policy = credentials
    return sha256(canonical({scheme: policy.model_dump(mode="json")})).hexdigest()
