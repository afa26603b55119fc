"""From raw bytes to the value an execution takes as input."""

import base64
from collections.abc import Callable
from typing import Any

from domain.definitions.values import Json, ValueRefused, check_value
from domain.webhooks.configuration import BodyKind
from domain.webhooks.received import Received
from domain.webhooks.telling import fields_of
from domain.webhooks.verdicts import Malformed

FORM = "application/x-www-form-urlencoded"
_TEXTS = ("text/",)
_ALSO_TEXT = frozenset({"application/xml", "application/x-ndjson", "application/yaml"})
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "iso-8859-1"})
#: Reading JSON strictly is the API's: it is handed in, and raises Malformed.
ReadJson = Callable[[bytes], Any]


def content_of(request: Received, kind: BodyKind, read_json: ReadJson) -> Any:
    """JSON as its value, a form as an object, text as text, anything else as `{content_type, base64}`.

    No body at all is `{}`, as where a person starts without input. Raises Malformed.
    """
    if not request.body:
        return {}
    type = request.content_type
    if kind is BodyKind.JSON or (kind is BodyKind.AUTO and _is_json(type)):
        return read_json(request.body)
    if kind is BodyKind.FORM or (kind is BodyKind.AUTO and type == FORM):
        return fields_of(request.body)
    if type.startswith(_TEXTS) or type in _ALSO_TEXT:
        return _text(request)
    return {"content_type": type or None, "base64": base64.b64encode(request.body).decode()}


def _is_json(type: str) -> bool:
    return type == "application/json" or type.endswith("+json")


def _text(request: Received) -> str:
    charset = (
        request.headers.get("content-type", "").lower().partition("charset=")[2].strip(' "').split(";")[0]
    )
    charset = charset.strip(' "') or "utf-8"
    if charset not in _CHARSETS:
        raise Malformed(f"The text is in {charset[:40]!r}; send UTF-8.")
    try:
        text = request.body.decode(charset)
    except UnicodeDecodeError as error:
        raise Malformed(f"Byte {error.start} of the body is not {charset}.") from None
    if "\x00" in text:
        raise Malformed("The text contains a NUL character.")
    return text


def input_of(content: Any, reference: Callable[[], dict[str, Any]]) -> Json:
    """The content as `$input`, or the reference when it is larger than a value may be. Raises Malformed."""
    try:
        return check_value(content)
    except ValueRefused:
        pass
    try:
        check_value(content, max_bytes=_ENDLESS)
    except ValueRefused as refusal:
        raise Malformed(f"The body is no usable value: {refusal}.") from None
    return reference()


#: Larger than any body that was accepted becomes when it is written as JSON.
_ENDLESS = 64 * 1024 * 1024
