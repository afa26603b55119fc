"""The tree of steps in a definition, read for people: a draft may be wrong anywhere, and is still drawn and told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.definitions.model import KEYWORDS
from domain.definitions.pointers import join
from domain.errors import Invalid, Problem

#: A draft may hold more steps than can be published; what nobody could look at is refused.
MAX_OUTLINED: Final = 2_000

#: Where a keyword keeps steps, and what the list is called when a drawing or a sentence speaks of it.
_PLACES: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "do": (("do", ("do",)),),
    "for": (("do", ("do",)),),
    "fork": (("branches", ("fork", "branches")),),
    "listen": (("foreach", ("foreach", "do")),),
    "try": (("try", ("try",)), ("catch", ("catch", "do"))),
}


@dataclass(frozen=True, slots=True)
class Step:
    """`kind` is the keyword, or "unknown"; `lists` are the steps inside it: do, branches, try, catch, foreach."""

    name: str
    pointer: str
    kind: str
    body: Mapping[str, Any]
    lists: Mapping[str, tuple["Step", ...]] = field(default_factory=dict)

    @property
    def then(self) -> str:
        then = self.body.get("then")
        return then if isinstance(then, str) else "continue"

    def part(self, *path: str) -> Any:
        """What stands in the step at this path, None where it leads nowhere."""
        return at(self.body, *path)

    def walk(self) -> Iterator["Step"]:
        """This step and every step inside it, in the order written."""
        yield self
        for steps in self.lists.values():
            for step in steps:
                yield from step.walk()


def outline(definition: Any) -> tuple[Step, ...]:
    """The outermost steps. Raises Invalid for more than 2 000 steps; whatever is no step is passed over."""
    reader = _Reader()
    do = definition.get("do") if isinstance(definition, Mapping) else None
    return reader.steps("/do", do)


def at(value: Any, *path: str) -> Any:
    for part in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def kind_of(body: Mapping[str, Any]) -> str:
    """`for` brings `do` along, and `try` may stand beside anything a mistake has left there."""
    for keyword in ("for", "try", *KEYWORDS):
        if keyword in body:
            return keyword
    return "unknown"


class _Reader:
    def __init__(self) -> None:
        self.count = 0

    def steps(self, pointer: str, entries: Any) -> tuple[Step, ...]:
        if not isinstance(entries, list):
            return ()
        return tuple(
            self.step(name, join(pointer, index, name), body)
            for index, entry in enumerate(entries)
            if isinstance(entry, Mapping)
            for name, body in entry.items()
            if isinstance(body, Mapping)
        )

    def step(self, name: str, pointer: str, body: Mapping[str, Any]) -> Step:
        self.count += 1
        if self.count > MAX_OUTLINED:
            raise Invalid(
                problems=[
                    Problem(
                        "/do",
                        f"This has more than {MAX_OUTLINED} steps, which cannot be shown.",
                        "Split it into several workflows.",
                        "too_many_steps",
                    )
                ]
            )
        kind = kind_of(body)
        lists = {
            place: self.steps(join(pointer, *path), at(body, *path)) for place, path in _PLACES.get(kind, ())
        }
        return Step(name, pointer, kind, body, lists)
