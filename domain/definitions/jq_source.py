"""Templates written as one jq expression: what Perdure fills in by itself, other runtimes must compute."""

import json
from typing import Any

from domain import uris
from domain.definitions.expressions import is_expression, split_text, strip_expression


def value_source(value: Any, *, mixed: bool) -> str:
    """An expression that yields what the template becomes; JSON itself is jq."""
    match value:
        case dict():
            entries = (f"{_literal(key)}: {value_source(item, mixed=mixed)}" for key, item in value.items())
            return "{" + ", ".join(entries) + "}"
        case list():
            return "[" + ", ".join(value_source(item, mixed=mixed) for item in value) + "]"
        case str() if is_expression(value):
            return inside(strip_expression(value))
        case str() if mixed and "${" in value:
            return text_source(value)
    return _literal(value)


def text_source(text: str, *, is_address: bool = False) -> str:
    """A text with expressions in it; an address may also name fields of the input in braces."""
    parts = []
    for part, is_source in split_text(text):
        if is_source:
            parts.append(f'({inside(part)} | if . == null then "" else tostring end)')
        elif is_address:
            parts.extend(_address_parts(part))
        elif part:
            parts.append(_literal(part))
    return " + ".join(parts)


def inside(source: str) -> str:
    """An expression in parentheses; a comment at its end must not swallow the closing one."""
    return f"({source}\n)" if "#" in source else f"({source})"


def _address_parts(text: str) -> list[str]:
    parts = []
    for name in uris.names(text):
        text = text.replace("{" + name + "}", "\0" + name + "\0")
    for index, part in enumerate(text.split("\0")):
        if index % 2:
            parts.append(f'(.[{_literal(part)}] | if . == null then "" else tostring | @uri end)')
        elif part:
            parts.append(_literal(part))
    return parts


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
