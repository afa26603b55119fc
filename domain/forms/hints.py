"""What a field says about itself: its label, its explanation, and what it takes, before anything is wrong."""

import re
from datetime import tzinfo
from typing import Any

from domain.definitions.values import quote

from .fields import Kind

_LOWER_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST = 2_000
_SHORT = 50


def label_of(key: str, plain: dict[str, Any]) -> str:
    """The title, or the member's name as words: "taxYear" and "tax_year" read "Tax year"."""
    title = plain.get("title")
    if isinstance(title, str) and title.strip():
        return title.strip()[:200]
    words = _LOWER_UPPER.sub(" ", key).replace("_", " ").replace("-", " ").split()
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)[:200]
    return text[:1].upper() + text[1:] if text else key or "Answer"


def prose_of(plain: dict[str, Any]) -> str:
    text = plain.get("description")
    return text.strip()[:_LONGEST] if isinstance(text, str) else ""


def hints_of(plain: dict[str, Any], kind: Kind, zone: tzinfo) -> tuple[str, ...]:
    """Short sentences: limits, an example, and the pattern where no description says what it means."""
    said = []
    if kind in (Kind.INTEGER, Kind.NUMBER):
        said.append(_numbers(plain))
    elif kind is Kind.MOMENT:
        said.append(f"Time zone {zone}")
    elif kind is Kind.LIST:
        said.append(_range(plain.get("minItems"), plain.get("maxItems"), "row"))
    elif kind in (Kind.TEXT, Kind.LINES, Kind.EMAIL, Kind.URI):
        said.append(_range(plain.get("minLength"), _near(plain.get("maxLength")), "character"))
        if isinstance(plain.get("pattern"), str) and not prose_of(plain):
            said.append(f"It has to match {plain['pattern'][:200]}")
    examples = plain.get("examples")
    if isinstance(examples, list) and examples and isinstance(examples[0], str | int | float):
        said.append(f"For example {examples[0] if isinstance(examples[0], str) else quote(examples[0])}")
    return tuple(f"{each}." for each in said if each)


def _near(most: Any) -> Any:
    """A limit that somebody may come up to; of others it is enough to hear once they are passed."""
    return most if isinstance(most, int) and most <= _SHORT else None


def _range(least: Any, most: Any, what: str) -> str:
    """One character at least says nothing: leaving a field empty is leaving it out."""
    least = least if isinstance(least, int) and least > 1 else None
    most = most if isinstance(most, int) else None
    if least is not None and most is not None:
        return f"{least} to {most} {what}s" if least != most else f"Exactly {least} {what}s"
    if least is not None:
        return f"At least {least} {what}s"
    return f"At most {most} {what}{'' if most == 1 else 's'}" if most is not None else ""


def _numbers(plain: dict[str, Any]) -> str:
    limits = []
    for word, phrase in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
        ("multipleOf", "a multiple of"),
    ):
        limit = plain.get(word)
        if isinstance(limit, int | float) and not isinstance(limit, bool):
            limits.append(f"{phrase} {quote(limit)}")
    text = ", ".join(limits)
    return text[:1].upper() + text[1:]
