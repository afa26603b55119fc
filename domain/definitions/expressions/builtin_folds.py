"""Library: many results made into one: any, all, isempty and add."""

from collections.abc import Iterator
from typing import Any

from . import access
from .arithmetic import add
from .library import fold, value
from .meter import Env, Run
from .nodes import Node, truthy


@fold("isempty", 1)
def isempty(given: Any, env: Env, source: Node) -> bool:
    """Return whether there are no results."""
    for _ in source.many(given, env):
        return False
    return True


def _any(results: Iterator[Any], env: Env, condition: Node, decided: bool) -> bool:
    for found in results:
        for holds in condition.many(found, env):
            env.run.spend()
            if truthy(holds) is decided:
                return decided
    return not decided


@fold("any", 2)
def any_of(given: Any, env: Env, source: Node, condition: Node) -> bool:
    """Return whether a condition holds for any result."""
    return _any(source.many(given, env), env, condition, True)


@fold("all", 2)
def all_of(given: Any, env: Env, source: Node, condition: Node) -> bool:
    """Return whether a condition holds for every result."""
    return _any(source.many(given, env), env, condition, False)


@fold("any", 1)
def any_item(given: Any, env: Env, condition: Node) -> bool:
    """Return whether a condition holds for any item."""
    return _any(iter(access.children(env.run, given)), env, condition, True)


@fold("all", 1)
def all_items(given: Any, env: Env, condition: Node) -> bool:
    """Return whether a condition holds for every item."""
    return _any(iter(access.children(env.run, given)), env, condition, False)


@value("any")
def any_true(run: Run, given: Any) -> bool:
    """Return whether any item is true."""
    items = access.children(run, given)
    run.spend(len(given) >> 4)
    return any(truthy(item) for item in items)


@value("all")
def all_true(run: Run, given: Any) -> bool:
    """Return whether every item is true."""
    items = access.children(run, given)
    run.spend(len(given) >> 4)
    return all(truthy(item) for item in items)


@fold("add", 1)
def add_results(given: Any, env: Env, source: Node) -> Any:
    """Return the sum of all results."""
    return total(env.run, source.many(given, env))


@value("add")
def add_items(run: Run, given: Any) -> Any:
    """Return the sum of all items; of none it is null."""
    return total(run, iter(access.children(run, given)))


def total(run: Run, results: Iterator[Any]) -> Any:
    """Add values up; texts and arrays are joined once instead of copied for every step."""
    state: Any = None
    parts: list[Any] = []
    length = 0
    for found in results:
        run.spend()
        if parts and type(found) is type(parts[0]):
            run.spend(len(found) >> 7)
            length += len(found)
            run.text(length) if isinstance(found, str) else run.items(length)
            parts.append(found)
        elif found is not None:
            state = _joined(parts) if parts else state
            parts = []
            if state is None and isinstance(found, str | list):
                parts, length = [found], len(found)
            else:
                state = add(run, state, found)
    return _joined(parts) if parts else state


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], str):
        return "".join(parts)
    return [item for part in parts for item in part]
