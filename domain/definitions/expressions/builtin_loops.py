"""Library: what recurs in jq; loops here, which may run long and never deepen the stack."""

from collections.abc import Iterator
from typing import Any

from .arithmetic import is_number
from .errors import Fault
from .library import paths, stream
from .meter import Env, Run
from .nodes import Node, Stream, truthy
from .paths import Path, longer, members


@stream("recurse")
def recurse(given: Any, env: Env) -> Iterator[Any]:
    """Yield the input and everything in it, parents first."""
    run = env.run
    stack: list[Any] = [given]
    while stack:
        found = stack.pop()
        run.spend()
        yield found
        if isinstance(found, list):
            run.spend(len(found) >> 4)
            stack.extend(reversed(found))
        elif isinstance(found, dict):
            run.spend(len(found) >> 4)
            stack.extend(reversed(found.values()))


@paths("recurse")
def recurse_path(item: Any, env: Env) -> Iterator[Any]:
    """Yield the item and everything in it, parents first."""
    stack: list[Iterator[Any]] = [iter((item,))]
    while stack:
        found = next(stack[-1], None)
        env.run.spend(2)
        if found is None:
            stack.pop()
            continue
        yield found
        if isinstance(found[1], list | dict):
            stack.append(_inside(*found))


def _inside(path: Path, container: Any) -> Iterator[Any]:
    for part, inner in members(path, container):
        yield longer(path, part, container), inner


@stream("recurse", 1)
def recurse_by(given: Any, env: Env, step: Node) -> Iterator[Any]:
    """Yield the input, its steps, their steps and so on."""
    return _repeated(given, env, step.many)


@paths("recurse", 1)
def recurse_by_path(item: Any, env: Env, step: Node) -> Iterator[Any]:
    """Yield the item, its steps, their steps and so on."""
    return _repeated(item, env, step.paths())


def _repeated(item: Any, env: Env, step: Stream) -> Iterator[Any]:
    stack: list[Iterator[Any]] = [iter((item,))]
    nothing = object()
    while stack:
        env.run.spend(2)
        found = next(stack[-1], nothing)
        if found is nothing:
            stack.pop()
        else:
            yield found
            stack.append(step(found, env))


@stream("recurse", 2)
def recurse_while(given: Any, env: Env, step: Node, condition: Node) -> Iterator[Any]:
    """Yield the input and its steps as long as a condition holds for them."""

    def kept(found: Any, env: Env) -> Iterator[Any]:
        for out in step.many(found, env):
            for holds in condition.many(out, env):
                env.run.spend()
                if truthy(holds):
                    yield out

    return _repeated(given, env, kept)


@stream("repeat", 1)
def repeat(given: Any, env: Env, step: Node) -> Iterator[Any]:
    """Yield the results for the input over and over again."""
    while True:
        env.run.spend(2)
        for out in step.many(given, env):
            env.run.spend()
            yield out


@stream("while", 2)
def while_(given: Any, env: Env, condition: Node, update: Node) -> Iterator[Any]:
    """Yield the input and its updates as long as a condition holds."""
    stack: list[Iterator[Any]] = [iter((given,))]
    nothing = object()
    while stack:
        env.run.spend(2)
        found = next(stack[-1], nothing)
        if found is nothing:
            stack.pop()
            continue
        for holds in condition.many(found, env):
            env.run.spend()
            if truthy(holds):
                yield found
                stack.append(update.many(found, env))


@stream("until", 2)
def until(given: Any, env: Env, condition: Node, update: Node) -> Iterator[Any]:
    """Update until a condition holds, then yield."""
    stack: list[Iterator[Any]] = [iter((given,))]
    nothing = object()
    while stack:
        env.run.spend(2)
        found = next(stack[-1], nothing)
        if found is nothing:
            stack.pop()
            continue
        for holds in condition.many(found, env):
            env.run.spend()
            if truthy(holds):
                yield found
            elif update.one is not None:
                stack.append(iter((update.one(found, env),)))
            else:
                stack.append(update.many(found, env))


@stream("range", 1)
def range_to(given: Any, env: Env, end: Node) -> Iterator[Any]:
    """Count from zero."""
    for last in end.many(given, env):
        yield from _count(env.run, 0, last, 1)


@stream("range", 2)
def range_between(given: Any, env: Env, start: Node, end: Node) -> Iterator[Any]:
    """Count from a start."""
    for first in start.many(given, env):
        for last in end.many(given, env):
            yield from _count(env.run, first, last, 1)


@stream("range", 3)
def range_by(given: Any, env: Env, start: Node, end: Node, step: Node) -> Iterator[Any]:
    """Count from a start by a step."""
    for first in start.many(given, env):
        for last in end.many(given, env):
            for by in step.many(given, env):
                yield from _count(env.run, first, last, by)


def _count(run: Run, number: Any, last: Any, by: Any) -> Iterator[Any]:
    if not (is_number(number) and is_number(last) and is_number(by)):
        raise Fault("Range bounds must be numeric")
    if by == 0:
        return
    while number < last if by > 0 else number > last:
        run.spend()
        yield number
        number += by
