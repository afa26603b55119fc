"""Where in its definition a step stands: what follows it, who catches its errors, how long it may take."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from domain.definitions import durations
from domain.definitions.durations import InvalidDuration
from domain.definitions.expressions import is_expression
from domain.definitions.outline import Step, at, outline
from domain.definitions.phrases import visible
from domain.errors import Invalid


def quoted(name: object) -> str:
    return f"“{visible(name, 80)}”"


def pointer_of(occurrence: object) -> str:
    return str(occurrence or "").partition("!")[0].rpartition("#")[0]


def way_to(definition: Any, pointer: str) -> list[Step]:
    """The steps from the outermost to the one at this pointer; none where it leads nowhere."""
    try:
        steps = outline(definition)
    except Invalid:
        return []
    way: list[Step] = []
    while found := next(
        (step for step in steps if pointer == step.pointer or pointer.startswith(f"{step.pointer}/")), None
    ):
        way.append(found)
        if found.pointer == pointer:
            return way
        steps = tuple(inner for each in found.lists.values() for inner in each)
    return []


def follows(definition: Any, pointer: str) -> str:
    """What is done once the step has ended: `it goes on with “x”`, `it has come to its end`."""
    way = way_to(definition, pointer)
    for depth in range(len(way) - 1, -1, -1):
        step = way[depth]
        siblings = _list_with(way[depth - 1] if depth else None, step, definition)
        ways = step.then
        if step.kind == "switch" or ways == "end":
            break
        if ways not in ("continue", "exit"):
            return f"it goes on with {quoted(ways)}"
        index = next((place for place, each in enumerate(siblings) if each.pointer == step.pointer), None)
        if ways == "continue" and index is not None and index + 1 < len(siblings):
            following = siblings[index + 1]
            return f"{quoted(following.name)} follows{', if its condition holds' if 'if' in following.body else ''}"
        if depth and way[depth - 1].kind in ("for", "fork", "listen"):
            return f"{quoted(way[depth - 1].name)} goes on"
    if way and way[-1].kind == "switch":
        return "it decides where to go on"
    return "it has come to its end"


def _list_with(parent: Step | None, step: Step, definition: Any) -> tuple[Step, ...]:
    if parent is None:
        return outline(definition)
    lists: Iterator[tuple[Step, ...]] = iter(parent.lists.values())
    return next((each for each in lists if step in each), ())


def catcher(definition: Any, pointer: str) -> str | None:
    """The innermost `try` whose `catch` deals with what fails here, as far as its filters can be told."""
    way = way_to(definition, pointer)
    for parent, child in zip(reversed(way[:-1]), reversed(way[1:]), strict=True):
        if parent.kind == "try" and child in parent.lists.get("try", ()):
            return parent.name
    return None


def gives_up_at(definition: Any, pointer: str, started: datetime | None) -> datetime | None:
    """When the step's own `timeout` is over, if the definition says it plainly."""
    way = way_to(definition, pointer)
    if not way or started is None:
        return None
    said = way[-1].body.get("timeout")
    if isinstance(said, str):
        said = at(definition, "use", "timeouts", said)
    after = at(said, "after")
    if after is None or (isinstance(after, str) and is_expression(after)):
        return None
    try:
        return started + durations.parse(after)
    except (InvalidDuration, OverflowError):
        return None


def number_of(definition: Any, pointer: str) -> str:
    """`step 4 of 6`, of the outermost list."""
    way = way_to(definition, pointer)
    if not way:
        return ""
    steps = outline(definition)
    index = next((place for place, each in enumerate(steps) if each.pointer == way[0].pointer), 0)
    return f"step {index + 1} of {len(steps)}"
