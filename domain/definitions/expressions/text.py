"""Values as text: JSON encoding, descriptions in messages, and the @formats."""

import base64
import binascii
import math
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any
from urllib.parse import quote as percent_encode
from urllib.parse import unquote_to_bytes

from ..values import quote
from .errors import Fault
from .meter import MAX_VALUE_DEPTH, Run
from .order import too_nested


def type_name(value: Any) -> str:
    """Return jq's name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def describe(value: Any) -> str:
    """Return the type of a value and its beginning, for messages; never a long walk."""
    return f"{type_name(value)} ({_short(value)})"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return format_number(value)
    shown = quote(value, 200)
    if len(shown.encode("utf-8", "replace")) < 30:
        return shown
    if isinstance(value, str):
        start = value[:24].encode("utf-8", "replace")[:24].decode("utf-8", "ignore")
        return encode_basestring(start)[:-1] + '..."'
    return shown.encode("utf-8", "replace")[:26].decode("utf-8", "ignore") + "..."


def format_number(value: int | float) -> str:
    """Return a number as jq prints it: integral doubles without a fraction, infinity as the largest double."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "null"
    if math.isinf(value):
        return "1.7976931348623157e+308" if value > 0 else "-1.7976931348623157e+308"
    if abs(value) < 1e17 and value.is_integer():
        return str(int(value))
    return repr(value)


def encode(run: Run, value: Any) -> str:
    """Return compact JSON in the order the members have."""
    parts: list[str] = []
    _encode(run, value, parts, 0)
    return "".join(parts)


def _encode(run: Run, value: Any, parts: list[str], depth: int) -> None:
    run.spend()
    if isinstance(value, str):
        run.text(len(value))
        parts.append(encode_basestring(value).replace("\x7f", "\\u007f"))
    elif isinstance(value, list | dict):
        if depth > MAX_VALUE_DEPTH:
            raise too_nested()
        if isinstance(value, list):
            _encode_list(run, value, parts, depth)
        else:
            _encode_object(run, value, parts, depth)
    elif value is None:
        parts.append("null")
    elif value is True:
        parts.append("true")
    elif value is False:
        parts.append("false")
    else:
        parts.append(format_number(value))


def _encode_list(run: Run, value: list[Any], parts: list[str], depth: int) -> None:
    before = "["
    for item in value:
        parts.append(before)
        before = ","
        _encode(run, item, parts, depth + 1)
    parts.append("]" if value else "[]")


def _encode_object(run: Run, value: dict[str, Any], parts: list[str], depth: int) -> None:
    before = "{"
    for name, item in value.items():
        run.text(len(name))
        parts.append(before + encode_basestring(name).replace("\x7f", "\\u007f") + ":")
        before = ","
        _encode(run, item, parts, depth + 1)
    parts.append("}" if value else "{}")


def to_text(run: Run, value: Any) -> str:
    """Return a text as it is and everything else as JSON."""
    return value if isinstance(value, str) else encode(run, value)


_HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("'"): "&apos;", ord('"'): "&quot;"}


def _row(run: Run, value: Any, name: str, cell: Callable[[str], str], between: str) -> str:
    if not isinstance(value, list):
        raise Fault(f"{describe(value)} cannot be {name}-formatted, only an array can be")
    cells = []
    for item in value:
        run.spend()
        if isinstance(item, list | dict):
            raise Fault(f"{describe(item)} is not valid in a {name} row")
        cells.append("" if item is None else cell(item) if isinstance(item, str) else encode(run, item))
    return between.join(cells)


def _shell(run: Run, value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_shell_word(run, item) for item in value)
    return _shell_word(run, value)


def _shell_word(run: Run, value: Any) -> str:
    run.spend()
    if isinstance(value, list | dict):
        raise Fault(f"{describe(value)} can not be escaped for shell")
    return "'" + value.replace("'", "'\\''") + "'" if isinstance(value, str) else encode(run, value)


def _tsv_cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _decode64(value: str) -> str:
    stripped = value.rstrip("=")
    if stripped and len(stripped) % 4 == 1:
        raise Fault(f"{describe(value)} is not valid base64 data")
    try:
        data = base64.b64decode(stripped + "=" * (-len(stripped) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Fault(f"{describe(value)} is not valid base64 data") from None
    return data.decode("utf-8", "replace")


def _decode32(value: str) -> str:
    try:
        return base64.b32decode(value.encode()).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise Fault(f"{describe(value)} is not valid base32 data") from None


def _decode_uri(value: str) -> str:
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise Fault(f"{describe(value)} is not a valid uri encoding") from None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


_ON_TEXT: dict[str, Callable[[str], str]] = {
    "text": lambda text: text,
    "html": lambda text: text.translate(_HTML),
    "uri": lambda text: percent_encode(_bytes(text), safe="-_.~"),
    "urid": _decode_uri,
    "base64": lambda text: base64.b64encode(_bytes(text)).decode("ascii"),
    "base64d": _decode64,
    "base32": lambda text: base64.b32encode(_bytes(text)).decode("ascii"),
    "base32d": _decode32,
}
FORMATS = frozenset({*_ON_TEXT, "json", "csv", "tsv", "sh"})


def apply_format(run: Run, name: str, value: Any) -> str:
    """Return a value rendered by one of the @formats."""
    if name in _ON_TEXT:
        text = to_text(run, value)
        run.spend(1 + (len(text) >> 4))
        out = _ON_TEXT[name](text)
    elif name == "csv":
        out = _row(run, value, name, lambda text: '"' + text.replace('"', '""') + '"', ",")
    elif name == "tsv":
        out = _row(run, value, name, _tsv_cell, "\t")
    else:
        out = encode(run, value) if name == "json" else _shell(run, value)
    run.text(len(out))
    return out
