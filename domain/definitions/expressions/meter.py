"""Counted budgets: what an evaluation may cost, in units that are the same on every machine and replay.

A unit is charged for every node evaluated, and operations on sized values are charged by the size of the
value. Costs depend on values alone, never on object identity, hash order, caches or a clock: a replay
in another process must stop at exactly the same node.
"""

from collections.abc import Mapping
from typing import Any

from .errors import Spent, TooBig

# About 100 ms and 200 ms at the dearest mix of operations; see docs/conformance.md for the measurement.
EXPRESSION_FUEL = 80_000
ACTIVATION_FUEL = 160_000

MAX_FRAMES = 520
MAX_VALUE_DEPTH = 100
MAX_TEXT = 1_048_576
MAX_ITEMS = 131_072
MAX_RESULT_BYTES = 1_048_576


class Meter:
    """The deterministic budget of one workflow activation; `None` means without end.

    `spent` is the number of units used so far. One meter belongs to one thread of work.
    """

    __slots__ = ("fuel", "spent")

    def __init__(self, fuel: int | None = None) -> None:
        self.fuel = fuel
        self.spent = 0

    def left(self) -> int | None:
        """Return the units left, or None when the budget has no end."""
        return None if self.fuel is None else max(0, self.fuel - self.spent)


class Run:
    """The budget of one evaluation, and the values in scope."""

    __slots__ = ("left", "scope")

    def __init__(self, fuel: int, scope: Mapping[str, Any]) -> None:
        self.left = fuel
        self.scope = scope

    def spend(self, units: int = 1) -> None:
        """Charge units; raises Spent below zero."""
        self.left -= units
        if self.left < 0:
            raise Spent

    def text(self, length: int) -> None:
        """Charge for making a text of this many characters, and refuse one that is too long."""
        self.spend(1 + (length >> 8))
        if length > MAX_TEXT:
            raise TooBig(f"a text may not be longer than {MAX_TEXT} characters")

    def items(self, count: int) -> None:
        """Charge for making a list of this many items by a plain copy, and refuse one that is too long."""
        self.spend(1 + (count >> 7))
        if count > MAX_ITEMS:
            raise TooBig(f"a list may not have more than {MAX_ITEMS} items")

    def members(self, count: int) -> None:
        """Charge for copying an object of this many members."""
        self.spend(1 + (count >> 5))
        if count > MAX_ITEMS:
            raise TooBig(f"an object may not have more than {MAX_ITEMS} members")


class Env:
    """Bindings in force at one place of a running program.

    `depth` counts the frames that Python's stack may hold above this place, so that recursion ends with a
    clear error long before the interpreter's own limit.
    """

    __slots__ = ("bindings", "depth", "parent", "run")

    def __init__(self, bindings: dict[int, Any], parent: "Env | None", run: Run, depth: int) -> None:
        self.bindings = bindings
        self.parent = parent
        self.run = run
        self.depth = depth

    def bind(self, bindings: dict[int, Any]) -> "Env":
        """Return the environment inside a binding."""
        return Env(bindings, self, self.run, self.depth)

    def deeper(self, frames: int) -> "Env":
        """Return the same bindings further up the stack; raises TooBig when that is too deep."""
        return Env(self.bindings, self.parent, self.run, checked(self.depth + frames))

    def holder(self, key: int) -> "Env":
        """Return the environment in which a key is bound."""
        env: Env | None = self
        while env is not None:
            if key in env.bindings:
                return env
            env = env.parent
        raise AssertionError("the compiler resolved a name that is not bound")

    def lookup(self, key: int) -> Any:
        """Return the value bound to a key."""
        return self.holder(key).bindings[key]


def checked(depth: int) -> int:
    """Return a depth that is still allowed; raises TooBig beyond."""
    if depth > MAX_FRAMES:
        raise TooBig(
            "it recurses too deeply; use reduce, until or range instead of a function that calls itself"
        )
    return depth
