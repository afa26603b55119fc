"""Calls of operations that an OpenAPI document describes."""

import json
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from pydantic import JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import action
from activities.actions.http_arguments import address_of
from activities.actions.http_credentials import credentials
from activities.actions.http_exchange import Exchange
from activities.actions.http_outputs import output_of
from activities.actions.http_requests import outbound
from activities.actions.openapi_arguments import OpenApiCall
from activities.actions.openapi_documents import operation_of
from activities.gateways.http_messages import HttpRequest
from domain.actions import Effect, Lane
from domain.definitions.faults import REFUSED_HERE, Fault
from domain.definitions.values import canonical
from domain.http import effect_of
from domain.openapi import MULTIPART, Operation
from domain.openapi_values import Arranged, arrange
from domain.uris import expand


def _effect(arguments: OpenApiCall) -> Effect:
    """Before its document is read, any operation may be one that writes."""
    return Effect.KEYED if arguments.idempotent else Effect.IRREVERSIBLE


async def _effect_found(context: ActionContext, arguments: OpenApiCall) -> Effect:
    _, operation = await _operation(context, arguments)
    return effect_of(operation.method, idempotent=arguments.idempotent)


@action(
    "openapi.request",
    version="1.0.0",
    title="Call an operation of an OpenAPI service",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=50),
    effect_of=_effect,
    effect_found=_effect_found,
)
async def request(context: ActionContext, arguments: OpenApiCall) -> Any:
    """Fetch an OpenAPI document (3.0, 3.1 or Swagger 2.0), call one of its operations and return the content, the
    whole response, or the raw body as base64. What a document says of an operation is remembered for five minutes."""
    address, operation = await _operation(context, arguments)
    policy = credentials(arguments.authentication, arguments.variables)
    if (
        policy is not None
        and address.lower().startswith("https:")
        and not operation.server.startswith("https:")
    ):
        raise Fault(
            "communication",
            403,
            REFUSED_HERE,
            "the OpenAPI document came over https, but leads credentials to a server without it",
        )
    sent = _request(operation.method, arrange(operation, arguments.parameters), context.effect_key)
    effect = effect_of(operation.method, idempotent=arguments.idempotent)
    exchange = Exchange(context, repeatable=effect is not Effect.IRREVERSIBLE)
    answered = await exchange.send(sent, policy, redirects=arguments.redirect)
    return output_of(answered, arguments.output, redirects=arguments.redirect)


async def _operation(context: ActionContext, arguments: OpenApiCall) -> tuple[str, Operation]:
    """The document's address and the operation. Until this is known, it is safe to assume that it writes."""
    written, authentication = address_of(arguments.document.endpoint)
    address = expand(written, arguments.variables)
    reader = credentials(authentication, arguments.variables)
    exchange = Exchange(context, repeatable=_effect(arguments) is not Effect.IRREVERSIBLE)
    return address, await operation_of(exchange, address, reader, arguments.operation_id)


def _request(method: str, arranged: Arranged, effect_key: str) -> HttpRequest:
    headers = {"Accept": "application/json, */*;q=0.8", **arranged.headers}
    body: JsonValue = arranged.body
    if body is not None and arranged.media_type is not None:
        headers["Content-Type"] = arranged.media_type
        if arranged.media_type.startswith(MULTIPART) and isinstance(body, dict):
            # Made of what it separates, so that nothing in there can hold it.
            boundary = sha256(canonical(body)).hexdigest()[:32]
            headers["Content-Type"] = f"{MULTIPART}; boundary={boundary}"
            body = _multipart(body, boundary)
    return outbound(method, arranged.uri, query=[], headers=headers, body=body, effect_key=effect_key)


def _multipart(fields: Mapping[str, JsonValue], boundary: str) -> str:
    """Texts as they are, everything else as JSON."""
    parts = []
    for name, value in fields.items():
        shown = name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{shown}"\r\n\r\n{text}\r\n')
    return "".join(parts) + f"--{boundary}--\r\n"
