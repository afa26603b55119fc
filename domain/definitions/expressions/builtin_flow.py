"""Library: functions that direct evaluation: results dropped, errors raised, the first few taken."""

from collections.abc import Iterator
from typing import Any

from .arithmetic import is_number
from .errors import Fault
from .library import paths, stream, value
from .meter import Env, Run
from .nodes import Node, Stream, truthy
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
