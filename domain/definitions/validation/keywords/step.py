"""A step under check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.components import Components
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report


@dataclass(frozen=True, slots=True)
class Step:
    """A step being checked, with the names it can read, the steps beside it and what `use` declares."""

    pointer: str
    keyword: str
    body: Mapping[str, Any]
    names: Names
    siblings: Mapping[str, int]
    components: Components
    #: It is no step of its own but the call that undoes one.
    undoes: bool = False

    def at(self, *parts: str | int) -> str:
        return join(self.pointer, *parts)


Check = Callable[[Report, Expressions, Calls, Step], Names]
