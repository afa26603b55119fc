"""Choices: the values of `enum`, or of alternatives that each name one value."""

import json
from collections.abc import Sequence
from typing import Any

from domain.definitions.values import Json, quote

from .fields import Option

MOST_OPTIONS = 500


def options_of(plain: dict[str, Any]) -> tuple[Option, ...] | None:
    """The options of a choice; empty for more than a page holds; None for what is no choice."""
    named = _named(plain)
    if named is None:
        return None
    return listed(named) if len(named) <= MOST_OPTIONS else ()


def listed(named: Sequence[tuple[Json, str]]) -> tuple[Option, ...]:
    """Texts stand for themselves where all values are texts, otherwise values are posted as JSON."""
    are_texts = all(isinstance(value, str) and value.strip() for value, _ in named)
    return tuple(
        Option(value if are_texts and isinstance(value, str) else _token(value), label, value)
        for value, label in named
    )


def _named(plain: dict[str, Any]) -> list[tuple[Json, str]] | None:
    values = plain.get("enum")
    if isinstance(values, list) and values:
        return [(value, _label(value)) for value in values]
    for word in ("oneOf", "anyOf"):
        parts = plain.get(word)
        if isinstance(parts, list) and parts and all(isinstance(p, dict) and "const" in p for p in parts):
            return [(part["const"], _titled(part)) for part in parts]
    return None


def _titled(part: dict[str, Any]) -> str:
    title = part.get("title") or part.get("description")
    return title if isinstance(title, str) else _label(part["const"])


def _label(value: Json) -> str:
    if value is None:
        return "None"
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value if isinstance(value, str) and value.strip() else quote(value, 200)


def _token(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
