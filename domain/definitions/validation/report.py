"""Collects problems: every one, but never more than people read or a hostile document pays for."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from domain.definitions.pointers import join
from domain.errors import Problem

MAX_PROBLEMS = 200
#: More are left out, so that advice neither hides errors nor hinders publishing.
MAX_WARNINGS = 50
# Comparing words is the dearest thing validation does for a wrong document; the cost of a pair grows like
# the product of its lengths, and this is about half a second in all.
_COMPARING = 4_000_000
_CHEAPEST_PAIR = 400
_LONGEST_COMPARED = 100


def shown(text: str) -> str:
    """A foreign text as it appears in messages: short and on one line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:60]) + (
        "…" if len(text) > 60 else ""
    )


class Report:
    """The problems found so far; `add` is the only way in."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.full = False
        self._warnings = 0
        self._comparing = _COMPARING

    def add(
        self,
        pointer: str,
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        severity: Literal["error", "warning"] = "error",
    ) -> None:
        if self.full:
            return
        if severity == "warning":
            self._warnings += 1
            if self._warnings > MAX_WARNINGS:
                return
        if len(self.problems) == MAX_PROBLEMS:
            self.full = True
            message = f"There are more than {MAX_PROBLEMS} problems; mend these first."
            self.problems.append(Problem("", message, None, "too_many_problems"))
            return
        self.problems.append(Problem(pointer, message, suggestion, code, severity))

    def closest(self, word: str, options: Iterable[str]) -> str | None:
        """The option that was probably meant, if one is near enough."""
        choices = [option for option in options if len(option) <= _LONGEST_COMPARED]
        cost = sum(max(_CHEAPEST_PAIR, len(word) * len(choice)) for choice in choices)
        if len(word) > _LONGEST_COMPARED or self.full or self._comparing < cost:
            return None
        self._comparing -= cost
        lowered = {option.lower(): option for option in choices}
        if word.lower() in lowered:
            return lowered[word.lower()]
        found = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
        return found[0] if found else None

    def did_you_mean(self, word: str, options: Iterable[str]) -> str | None:
        found = self.closest(word, options)
        return None if found is None else f"Did you mean `{found}`?"

    def unknown_fields(
        self, pointer: str, value: Mapping[str, Any], known: Collection[str], what: str
    ) -> None:
        for name in value:
            if name not in known:
                hint = self.did_you_mean(name, known) or f"It knows {', '.join(sorted(known))}."
                message = f"{what} has no field `{shown(name)}`."
                self.add(join(pointer, name), "unknown_field", message, hint)

    def object(self, pointer: str, value: Any, what: str) -> dict[str, Any] | None:
        """`value` when it is an object; otherwise the problem is noted."""
        if isinstance(value, dict):
            return value
        self.add(pointer, "wrong_type", f"{what} must be an object, not {kind(value)}.")
        return None

    def text(self, pointer: str, value: Any, what: str) -> str | None:
        if isinstance(value, str):
            return value
        self.add(pointer, "wrong_type", f"{what} must be a text, not {kind(value)}.")
        return None

    def unsupported(self, pointer: str, what: str, suggestion: str | None = None) -> None:
        message = f"{what} is part of the DSL but not supported by this version yet."
        self.add(pointer, "not_supported", message, suggestion)

    def refused(self, pointer: str, what: str, reason: str) -> None:
        message = f"{what} is refused for safety: {reason}."
        self.add(pointer, "refused", message, "Call an HTTP service or an action of the catalogue instead.")


def kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"
