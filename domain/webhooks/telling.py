"""What an execution is told about the request beside its body: headers and query, without credentials."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from domain.redaction import is_credential
from domain.webhooks.received import Received
from domain.webhooks.verdicts import Malformed

#: Together they travel in the state of the execution; what does not fit is left out, longest last.
MOST_HEADER_BYTES = 8_192
MOST_QUERY_BYTES = 8_192
_MOST_FIELDS = 1_000
#: Of the connection, not of the message.
_CONNECTION = frozenset({"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding"})


def headers_told(request: Received, carries: frozenset[str]) -> dict[str, str]:
    """Headers by lower-case name; neither what looks like a credential nor what carries the scheme's proof."""
    told: dict[str, str] = {}
    left = MOST_HEADER_BYTES
    for name, value in sorted(request.headers.items(), key=lambda each: len(each[0]) + len(each[1])):
        left -= len(name) + len(value)
        if left < 0:
            break
        if (
            name not in _CONNECTION
            and name not in carries
            and not is_credential(name)
            and "\x00" not in value
        ):
            told[name] = value
    return dict(sorted(told.items()))


def query_of(raw: bytes) -> dict[str, Any]:
    """Parameters by name, a list where one is repeated. Raises Malformed for what is no UTF-8 text."""
    if len(raw) > MOST_QUERY_BYTES:
        raise Malformed(f"The query is longer than {MOST_QUERY_BYTES} bytes.")
    return fields_of(raw)


def query_told(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if not is_credential(name)}


def fields_of(raw: bytes) -> dict[str, Any]:
    """`application/x-www-form-urlencoded` as an object; raises Malformed."""
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:  # UnicodeDecodeError among them
        raise Malformed(f"The fields are not UTF-8 text, or more than {_MOST_FIELDS}.") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise Malformed("A field contains a NUL character.")
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields
