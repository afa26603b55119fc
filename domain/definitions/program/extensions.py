"""Compiles the extensions of a document, and chooses those that may stand around a step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.definitions.pointers import join

from .flow import expression
from .parts import Extension, Role

#: The kinds of steps that the DSL calls composite.
_COMPOSITE: Final = frozenset({"do", "fork"})


@dataclass(frozen=True, slots=True)
class Extensions:
    """`extend` beside each extension, outermost first."""

    each: tuple[tuple[str, Extension], ...] = ()

    def around(self, kind: str) -> tuple[Extension, ...]:
        words = {"all", "composite" if kind in _COMPOSITE else kind}
        return tuple(extension for extend, extension in self.each if extend in words)


def extensions(use: Mapping[str, Any], block: Callable[[str, list[dict[str, Any]], Role], str]) -> Extensions:
    """`block` loads a list of steps under its pointer."""
    return Extensions(
        tuple(
            (written["extend"], _extension(join("/use/extensions", index, name), written, block))
            for index, entry in enumerate(use.get("extensions") or ())
            for name, written in entry.items()
        )
    )


def _extension(
    pointer: str, written: Mapping[str, Any], block: Callable[[str, list[dict[str, Any]], Role], str]
) -> Extension:
    def load(role: Role) -> str | None:
        return block(join(pointer, role), written[role], role) if written.get(role) else None

    when = written.get("when")
    return Extension(None if when is None else expression(when), load("before"), load("after"))
