"""HTTP calls of the definition language, sent through the guarded client."""

import json
from base64 import b64encode
from datetime import timedelta
from typing import Any, NoReturn
from urllib.parse import urlencode

from pydantic import JsonValue

from activities.actions.context import ActionContext
from activities.actions.declaration import action
from activities.actions.http_arguments import Endpoint, HttpCall
from activities.gateways.addresses import NotSent
from activities.gateways.http_messages import HttpRequest, HttpResponse
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault
from domain.definitions.values import MAX_BYTES
from domain.http import (
    SAFE_METHODS,
    effect_of,
    excerpt,
    flatten_query,
    idempotency_header,
    media_type,
    read_content,
    shown_headers,
    simple_text,
)
from domain.uris import expand

_FORM = "application/x-www-form-urlencoded"


def _effect(arguments: HttpCall) -> Effect:
    return effect_of(arguments.method, idempotent=arguments.idempotent)


@action(
    "http.request",
    version="1.0.0",
    title="Call an HTTP service",
    effect=Effect.KEYED,
    lane=Lane.ACTIVITY,
    timeout=timedelta(seconds=35),
    effect_of=_effect,
)
async def request(context: ActionContext, arguments: HttpCall) -> Any:
    """Send one request to a public address and return its content, the whole response, or the raw body as
    base64. Every method but GET, HEAD and OPTIONS carries an Idempotency-Key that stays the same when the
    step is repeated after a lost worker."""
    outbound = _outbound(arguments, context.effect_key)
    policy = context.services.http_policy(context.organization_id)
    try:
        response = await context.services.http.send(outbound, policy, follow_redirects=arguments.redirect)
    except NotSent as fault:
        # Nothing happened outside, which for an irreversible call is worth more than another attempt.
        fault.transient = _effect(arguments) is not Effect.IRREVERSIBLE
        raise
    if response.status >= 300:
        _fail(response)
    if arguments.output == "raw":
        return _raw(response.body)
    content = read_content(response.body, response.header("content-type"))
    if arguments.output == "content":
        return content
    return {
        "request": {
            "method": response.method,
            "uri": response.url,
            "headers": shown_headers(outbound.headers),
        },
        "statusCode": response.status,
        "headers": shown_headers(response.headers),
        "content": content,
    }


def _outbound(arguments: HttpCall, effect_key: str) -> HttpRequest:
    method = arguments.method.upper()
    endpoint = arguments.endpoint
    uri = expand(endpoint if isinstance(endpoint, str) else endpoint.uri, arguments.variables)
    query = urlencode(flatten_query(arguments.query))
    if query:
        uri = uri.partition("#")[0]
        uri += ("&" if "?" in uri else "?") + query
    headers = {name: simple_text(value) for name, value in arguments.headers.items()}
    given = {name.lower() for name in headers}
    if isinstance(endpoint, Endpoint) and endpoint.authentication is not None:
        if "authorization" in given:
            raise Fault(
                "validation",
                400,
                "Arguments refused",
                "both /headers and /endpoint/authentication give Authorization; remove one",
            )
        headers["Authorization"] = endpoint.authentication.header()
    body = None
    if arguments.body is not None:
        content_type = next(
            (value for name, value in headers.items() if name.lower() == "content-type"), None
        )
        body, default_type = _body(arguments.body, content_type)
        if content_type is None:
            headers["Content-Type"] = default_type
    if method not in SAFE_METHODS and "idempotency-key" not in given:
        headers["Idempotency-Key"] = idempotency_header(effect_key)
    return HttpRequest(method, uri, tuple(headers.items()), body)


def _body(value: JsonValue, content_type: str | None) -> tuple[bytes, str]:
    kind = media_type(content_type)
    if kind == _FORM and isinstance(value, dict):
        return urlencode(flatten_query(value)).encode(), _FORM
    if isinstance(value, str) and kind != "application/json":
        return value.encode(), "text/plain; charset=utf-8"
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    ).encode(), "application/json"


def _raw(body: bytes) -> str:
    if len(body) > MAX_BYTES * 3 // 4 - 2:
        raise Fault(
            "communication",
            413,
            "Response too large",
            f"the body of {len(body)} bytes does not fit into the limit of {MAX_BYTES} bytes as base64",
        )
    return b64encode(body).decode()


def _fail(response: HttpResponse) -> NoReturn:
    reason = response.reason or f"HTTP {response.status}"
    if response.status < 400:
        location = (response.header("location") or "nowhere")[:300]
        raise Fault(
            "communication",
            response.status,
            reason,
            f"the server redirects to {location}; set redirect: true or call that address",
        )
    raise Fault(
        "communication", response.status, reason, excerpt(response.body) or "the response has no body"
    )
