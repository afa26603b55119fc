"""Library: functions that direct evaluation; those that recurse in jq are loops here and may run long."""

from collections.abc import Iterator
from typing import Any

from . import access
from .arithmetic import add, is_number
from .errors import Fault
from .library import fold, paths, stream, value
from .meter import Env, Run
from .nodes import Node, Stream, truthy
from .paths import Path, longer, members
from .text import describe


@stream("empty")
@paths("empty")
def empty(_value: Any, _env: Env) -> Iterator[Any]:
    """Yield nothing."""
    return iter(())


@value("error")
def error(_run: Run, problem: Any) -> Any:
    """Fail with the input."""
    raise Fault(problem)


@paths("error")
def error_path(item: Any, _env: Env) -> Iterator[Any]:
    """Fail with the input."""
    raise Fault(item[1])


@value("not")
def negation(_run: Run, given: Any) -> bool:
    """Return the opposite."""
    return not truthy(given)


@stream("select", 1)
def select(given: Any, env: Env, condition: Node) -> Iterator[Any]:
    """Yield the input once for every true result."""
    for found in condition.many(given, env):
        env.run.spend()
        if truthy(found):
            yield given


@paths("select", 1)
def select_path(item: Any, env: Env, condition: Node) -> Iterator[Any]:
    """Yield the item once for every true result."""
    for found in condition.many(item[1], env):
        env.run.spend()
        if truthy(found):
            yield item


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
    for part, inner in members(container):
        yield longer(path, part), inner


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


def _taken(item: Any, counts: Iterator[Any], env: Env, source: Stream) -> Iterator[Any]:
    for most in counts:
        if not is_number(most):
            raise Fault(f"limit count must be a number, not {describe(most)}")
        if most < 0:
            raise Fault("limit doesn't support negative count")
        if most > 0:
            for taken, out in enumerate(source(item, env), start=1):
                env.run.spend()
                yield out
                if taken >= most:
                    break


@stream("limit", 2)
def limit(given: Any, env: Env, count: Node, source: Node) -> Iterator[Any]:
    """Yield at most so many results."""
    return _taken(given, count.many(given, env), env, source.many)


@paths("limit", 2)
def limit_path(item: Any, env: Env, count: Node, source: Node) -> Iterator[Any]:
    """Yield at most so many items."""
    return _taken(item, count.many(item[1], env), env, source.paths())


@stream("skip", 2)
def skip(given: Any, env: Env, count: Node, source: Node) -> Iterator[Any]:
    """Yield all but the first so many results."""
    for fewest in count.many(given, env):
        if not is_number(fewest) or fewest < 0:
            raise Fault("skip doesn't support negative count")
        for seen, out in enumerate(source.many(given, env)):
            env.run.spend()
            if seen >= fewest:
                yield out


@stream("first", 1)
def first(given: Any, env: Env, source: Node) -> Iterator[Any]:
    """Yield the first result, if any."""
    for out in source.many(given, env):
        yield out
        return


@paths("first", 1)
def first_path(item: Any, env: Env, source: Node) -> Iterator[Any]:
    """Yield the first item, if any."""
    for out in source.paths()(item, env):
        yield out
        return


def _last(results: Iterator[Any], run: Run) -> Iterator[Any]:
    found: tuple[Any, ...] = ()
    for out in results:
        run.spend()
        found = (out,)
    yield from found


@stream("last", 1)
def last(given: Any, env: Env, source: Node) -> Iterator[Any]:
    """Yield the last result, if any."""
    return _last(source.many(given, env), env.run)


@paths("last", 1)
def last_path(item: Any, env: Env, source: Node) -> Iterator[Any]:
    """Yield the last item, if any."""
    return _last(source.paths()(item, env), env.run)


@stream("nth", 2)
def nth(given: Any, env: Env, place: Node, source: Node) -> Iterator[Any]:
    """Yield the result at a place, counted from zero, if there is one."""
    for wanted in place.many(given, env):
        if not is_number(wanted) or wanted < 0:
            raise Fault("nth doesn't support negative indices")
        for seen, out in enumerate(source.many(given, env)):
            env.run.spend()
            if seen >= wanted:
                yield out
                break


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
    """Return the sum of all items; of null it is null."""
    return None if given is None else total(run, iter(access.children(run, given)))


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
