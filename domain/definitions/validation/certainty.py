"""Errors of a JSON Schema in a value that still holds expressions: which stand whatever those become."""

from collections.abc import Iterator, Mapping
from typing import Any

# Judged by looking at a value as a whole, so an expression anywhere inside leaves the answer open.
_BRANCHING = frozenset({"anyOf", "oneOf"})
_WHOLE = frozenset(
    {
        "anyOf",
        "oneOf",
        "not",
        "allOf",
        "if",
        "contains",
        "const",
        "enum",
        "uniqueItems",
        "unevaluatedProperties",
    }
)


def is_open(value: Any) -> bool:
    """Whether an expression stands anywhere in a value."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "${" in item:
                return True
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def is_certain(error: Any, merged: Mapping[str, Any]) -> bool:
    """Whether an error stands whatever the expressions in the value become."""
    value, rule = value_at(merged, path_of(error)), error.kind.name
    if rule in _BRANCHING and is_open(value):
        return all(any(is_certain(inner, merged) for inner in branch) for branch in error.kind.context)
    return not is_open(value) if rule in _WHOLE or not isinstance(value, dict | list) else True


def leaves(error: Any) -> Iterator[Any]:
    """Of alternatives, the errors of the only one of the right type; they say more than all together."""
    if error.kind.name in _BRANCHING:
        here = list(error.instance_path)
        fitting = [
            branch
            for branch in error.kind.context
            if not any(inner.kind.name == "type" and list(inner.instance_path) == here for inner in branch)
        ]
        if len(fitting) == 1 and fitting[0]:
            for inner in fitting[0]:
                yield from leaves(inner)
            return
    yield error


def path_of(error: Any) -> list[str | int]:
    """Where in the value an error is."""
    return [part for part in error.instance_path if isinstance(part, str | int)]


def wanted_types(error: Any, rule: str) -> list[str]:
    """The types a value may have, when its type is what is wrong."""
    if rule == "type":
        return list(error.kind.types)
    if rule not in _BRANCHING:
        return []
    wanted: list[str] = []
    for branch in error.kind.context:
        at_this_place = [inner for inner in branch if len(inner.instance_path) <= len(error.instance_path)]
        if not any(inner.kind.name == "type" for inner in at_this_place):
            return []
        wanted.extend(t for inner in at_this_place if inner.kind.name == "type" for t in inner.kind.types)
    return wanted


def value_at(value: Any, path: list[str | int]) -> Any:
    """The part of a value that a path leads to."""
    for part in path:
        value = value[part]
    return value
