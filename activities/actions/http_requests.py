"""A request as the language describes it becomes the request that is sent."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from pydantic import JsonValue

from activities.gateways.http_messages import HttpRequest
from domain.definitions.faults import Fault
from domain.http import SAFE_METHODS, flatten_query, idempotency_header, is_binary, is_json, media_type

FORM = "application/x-www-form-urlencoded"


def outbound(
    method: str,
    uri: str,
    *,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    body: JsonValue,
    effect_key: str,
) -> HttpRequest:
    """Every method but GET, HEAD and OPTIONS carries an Idempotency-Key that a repeated step keeps."""
    text = urlencode(query)
    if text:
        uri = uri.partition("#")[0]
        uri += ("&" if "?" in uri else "?") + text
    sent = dict(headers)
    given = {name.lower(): name for name in sent}
    content = None
    if body is not None:
        written = given.get("content-type")
        content, default_type = encoded(body, None if written is None else sent[written])
        if written is None:
            sent["Content-Type"] = default_type
    if method not in SAFE_METHODS and "idempotency-key" not in given:
        sent["Idempotency-Key"] = idempotency_header(effect_key)
    return HttpRequest(method, uri, tuple(sent.items()), content)


def encoded(value: JsonValue, content_type: str | None) -> tuple[bytes, str]:
    """The body and the content type of its form: an object is a form where the content type says so, a text is sent
    as it is, or as the bytes of its base64 where the content type is one of bytes; everything else is JSON."""
    kind = media_type(content_type)
    if kind == FORM and isinstance(value, dict):
        return urlencode(flatten_query(value, "body")).encode(), FORM
    if isinstance(value, str) and is_binary(content_type):
        return _bytes(value, kind), kind
    if isinstance(value, str) and not is_json(content_type):
        return value.encode(), "text/plain; charset=utf-8"
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(), "application/json"


def _bytes(value: str, kind: str) -> bytes:
    try:
        return b64decode(value, validate=True)
    except ValueError:
        detail = f"/body is no base64, which is how a call holds {kind}; encode it with @base64"
        raise Fault("validation", 400, "Arguments refused", detail) from None
