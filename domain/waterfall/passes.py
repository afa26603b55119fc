"""What is entered again inside one step makes passes: the rounds of a loop, the attempts of a `try`, the repeats after
a jump back. Of many, only those are shown that somebody looks for.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from .steps import Node

#: So many passes at either end are always shown,
ENDS: Final = 2
#: so many in which something is notable,
NOTABLE: Final = 10
#: and so many are folded into one row and unfolded from it.
CHUNK: Final = 100
WORDS: Final[Mapping[str, str]] = {"for": "round", "try": "attempt", "listen": "event"}


def passes_of(children: Sequence[Node]) -> list[list[Node]]:
    """A pass ends where one of its steps is entered again."""
    passes: list[list[Node]] = []
    seen: set[str] = set()
    for child in children:
        assert child.step is not None
        if not passes or child.step.pointer in seen:
            passes.append([])
            seen.clear()
        passes[-1].append(child)
        seen.add(child.step.pointer)
    return passes


def shown_of(node: Node, passes: Sequence[Sequence[Node]], opened: Collection[str]) -> Collection[int]:
    """The numbers of passes, from 0, that have rows of their own."""
    count = len(passes)
    if count <= 2 * ENDS + 1:
        return range(count)
    shown = {*range(ENDS), *range(count - ENDS, count)}
    notable = [at for at in range(count) if any(child.is_notable for child in passes[at])]
    # Of many the latest: an early failure that was caught matters less than what goes on.
    shown.update(notable[-NOTABLE:])
    for first in range(ENDS, count, CHUNK):
        if key_of(node, first) in opened:
            shown.update(range(first, min(first + CHUNK, count)))
    return shown


def key_of(node: Node, first: int) -> str:
    return f"{node.key}.{first + 1}"
