"""Path mode of the filters that reach into values; items are (path, value) with the path a tuple."""

from collections.abc import Iterator
from typing import Any

from ..values import quote
from . import access
from .errors import Fault, TooBig
from .meter import MAX_VALUE_DEPTH, Env
from .nodes import Node, Stream
from .text import describe

# None is the path of a value that is no part of the input: it may flow and be tested, but nothing below it
# can be reached, and it cannot be what a path leads to.
Path = tuple[Any, ...] | None


def value_of(item: Any) -> Any:
    """Return the value of an item."""
    return item[1]


def on_value(stream: Stream) -> Stream:
    """Let a stream of value mode look at the value of an item."""
    return lambda item, env: stream(item[1], env)


def longer(path: Path, part: Any, value: Any) -> Path:
    """Return a path one part longer; raises Fault below a value without a path, TooBig when it gets too long."""
    if path is None:
        raise Fault(
            f"Invalid path expression near attempt to access element {quote(part, 40)} of {quote(value, 40)}"
        )
    if len(path) >= MAX_VALUE_DEPTH:
        raise TooBig(f"a path may not be longer than {MAX_VALUE_DEPTH} parts")
    return (*path, part)


def identity(item: Any, env: Env) -> Iterator[Any]:
    """Yield the item itself."""
    env.run.spend()
    yield item


def field(base: Node, name: str) -> Stream:
    """Reach a member."""
    before = base.paths()

    def many(item: Any, env: Env) -> Iterator[Any]:
        for path, value in before(item, env):
            env.run.spend(2)
            yield longer(path, name, value), access.field(env.run, value, name)

    return many


def index(base: Node, key: Node) -> Stream:
    """Reach what a computed key means."""
    before = base.paths()

    def many(item: Any, env: Env) -> Iterator[Any]:
        for wanted in key.many(item[1], env):
            for path, value in before(item, env):
                env.run.spend(2)
                yield longer(path, wanted, value), access.index(env.run, value, wanted)

    return many


def cut(base: Node, start: Node, end: Node) -> Stream:
    """Reach a slice."""
    before = base.paths()

    def many(item: Any, env: Env) -> Iterator[Any]:
        for high in end.many(item[1], env):
            for low in start.many(item[1], env):
                for path, value in before(item, env):
                    env.run.spend(2)
                    part = {"start": low, "end": high}
                    yield longer(path, part, value), access.cut(env.run, value, low, high)

    return many


def iterate(base: Node) -> Stream:
    """Reach every item or member."""
    before = base.paths()

    def many(item: Any, env: Env) -> Iterator[Any]:
        for path, value in before(item, env):
            for part, inner in members(path, value):
                env.run.spend(2)
                yield longer(path, part, value), inner

    return many


def members(path: Path, value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the (key, value) pairs of a container."""
    if path is None:
        raise Fault(f"Invalid path expression near attempt to iterate through {quote(value, 40)}")
    if isinstance(value, list):
        yield from enumerate(value)
    elif isinstance(value, dict):
        yield from value.items()
    else:
        raise Fault(f"Cannot iterate over {describe(value)}")


def reached(path: Path, value: Any) -> tuple[Any, ...]:
    """Return the path an expression led to; raises Fault for a value that is no part of the input."""
    if path is None:
        raise Fault(f"Invalid path expression with result {quote(value, 40)}")
    return path
