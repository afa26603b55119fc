"""Compiled pieces of a program, and the control flow they share in both modes.

A program is compiled into closures. In value mode a closure takes a value and yields values; in path mode
it takes and yields items, pairs of (path, value), so that assignments know what they reach. What only
directs the flow (pipe, comma, if, try, label ...) is the same in both modes and is written once here,
over *streams*: functions from an item and an environment to an iterator.
"""

from collections.abc import Callable, Iterator
from typing import Any

from .errors import Break, Fault
from .meter import Env

# Describing a value for a message is the dearest thing a program can repeat, so catching it has a price.
FAULT_COST = 8

One = Callable[[Any, Env], Any]
Stream = Callable[[Any, Env], Iterator[Any]]


class Node:
    """A compiled filter.

    `one` is there when it always has exactly one result: the cheap way to run it. `many` yields its
    results lazily. `height` bounds the Python frames it needs on top of the functions it calls.
    """

    __slots__ = ("_make_paths", "_paths", "height", "many", "one")

    def __init__(
        self,
        height: int,
        one: One | None,
        many: Stream | None = None,
        paths: Callable[[], Stream] | None = None,
    ) -> None:
        self.height = height
        self.one = one
        if many is not None:
            self.many = many
        else:
            assert one is not None
            self.many = stream_of(one)
        self._make_paths = paths
        self._paths: Stream | None = None

    def paths(self) -> Stream:
        """Return the path mode of this filter, compiled when first asked for."""
        if self._paths is None:
            self._paths = self._make_paths() if self._make_paths is not None else pathless(self.many)
        return self._paths


class Closure:
    """A filter passed as an argument, with the environment it was written in."""

    __slots__ = ("env", "node")

    def __init__(self, node: Node, env: Env) -> None:
        self.node = node
        self.env = env


def stream_of(one: One) -> Stream:
    """Return the stream of a filter with exactly one result."""

    def many(value: Any, env: Env) -> Iterator[Any]:
        yield one(value, env)

    return many


def pathless(many: Stream) -> Stream:
    """Return the path mode of a filter whose results are no part of its input: items without a path."""

    def stream(item: Any, env: Env) -> Iterator[Any]:
        for out in many(item[1], env):
            yield None, out

    return stream


def truthy(value: Any) -> bool:
    """Return whether a value counts as true: everything but null and false."""
    return value is not None and value is not False


def pipe(first: Stream, then: Stream) -> Stream:
    """Feed every result of one stream to another."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for middle in first(item, env):
            run.spend()
            for out in then(middle, env):
                run.spend()
                yield out

    return many


def comma(first: Stream, second: Stream) -> Stream:
    """Yield the results of one stream and then those of another."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for out in first(item, env):
            run.spend()
            yield out
        for out in second(item, env):
            run.spend()
            yield out

    return many


def choose(condition: Stream, then: Stream, otherwise: Stream) -> Stream:
    """Yield one of two streams for every result of the condition, which yields plain values."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for value in condition(item, env):
            run.spend()
            for out in then(item, env) if truthy(value) else otherwise(item, env):
                run.spend()
                yield out

    return many


def alternative(first: Stream, second: Stream, value_of: Callable[[Any], Any]) -> Stream:
    """Yield what is true of one stream; if nothing is, the other stream. Errors are none of its business."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        found = False
        for out in first(item, env):
            run.spend()
            if truthy(value_of(out)):
                found = True
                yield out
        if not found:
            for out in second(item, env):
                run.spend()
                yield out

    return many


def attempt(body: Stream, handler: Stream | None, caught: Callable[[Any], Any]) -> Stream:
    """Yield a stream until it fails; then what the handler makes of the error, or nothing.

    `caught` is what the handler is given for an error: its value, or in path mode an item without a path.
    """

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        try:
            results = body(item, env)
        except Fault as fault:
            problem = fault
        else:
            while True:
                try:
                    out = next(results)
                except StopIteration:
                    return
                except Fault as fault:
                    problem = fault
                    break
                run.spend()
                yield out
        run.spend(FAULT_COST)
        if handler is not None:
            for out in handler(caught(problem.value), env):
                run.spend()
                yield out

    return many


def labelled(key: int, body: Stream) -> Stream:
    """Yield a stream until something in it breaks to this label."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        token = object()
        inner = env.bind({key: token})
        run = env.run
        try:
            results = body(item, inner)
        except Break as leaving:
            if leaving.token is not token:
                raise
            return
        while True:
            try:
                out = next(results)
            except StopIteration:
                return
            except Break as leaving:
                if leaving.token is not token:
                    raise
                return
            run.spend()
            yield out

    return many


def breaking(key: int) -> Stream:
    """Leave the label with this key."""

    def many(_item: Any, env: Env) -> Iterator[Any]:
        raise Break(env.lookup(key))
        yield

    return many


def bound(bindings: Stream, body: Stream) -> Stream:
    """Run a stream under each set of bindings."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for values in bindings(item, env):
            run.spend()
            for out in body(item, env.bind(values)):
                run.spend()
                yield out

    return many


def reducing(bindings: Stream, start: Stream, update: Stream, nothing: Any) -> Stream:
    """Yield, for each start, the last result of updating it under each set of bindings.

    `nothing` is the state after an update without results: null, or in path mode null that is no path.
    """

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for first in start(item, env):
            state = first
            for values in bindings(item, env):
                run.spend()
                before, state = state, nothing
                for out in update(before, env.bind(values)):
                    run.spend()
                    state = out
            yield state

    return many


def each(bindings: Stream, start: Stream, update: Stream, extract: Stream | None, nothing: Any) -> Stream:
    """Yield every intermediate state of updating, through the extracting stream if there is one."""

    def many(item: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for first in start(item, env):
            state = first
            for values in bindings(item, env):
                run.spend()
                inner = env.bind(values)
                before, state = state, nothing
                for updated in update(before, inner):
                    run.spend()
                    state = updated
                    if extract is None:
                        yield state
                        continue
                    for out in extract(state, inner):
                        run.spend()
                        yield out

    return many
