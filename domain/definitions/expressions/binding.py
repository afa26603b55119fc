"""`as`: taking values apart into variables."""

from collections.abc import Callable, Iterator
from typing import Any

from . import access
from .errors import Fault
from .meter import Env, Run
from .nodes import Node, Stream
from .scope import Scope, new_key, pattern_variables
from .syntax import Tree
from .text import describe, type_name

FRAMES = 4
Matcher = Callable[[Any, Env], Iterator[dict[int, Any]]]


def scope_inside(patterns: list[Tree], scope: Scope) -> Scope:
    """Return the scope in which the variables of patterns are bound."""
    inside = scope.inner()
    for pattern in patterns:
        for name in pattern_variables(pattern):
            inside.variables.setdefault(name, new_key())
    return inside


def compile_matchers(patterns: list[Tree], scope: Scope, inside: Scope) -> list[Matcher]:
    """Return what takes a value apart, for each pattern."""
    return [_matcher(pattern, scope, inside) for pattern in patterns]


def compile_bindings(source: Node, patterns: list[Tree], scope: Scope) -> tuple[Stream, Scope]:
    """Return a stream of bindings, one for each way a result of the source matches, and the scope inside."""
    inside = scope_inside(patterns, scope)
    if len(patterns) == 1 and patterns[0][0] == "pvar":
        key = inside.variables[patterns[0][1]]
        return _single(source, key), inside
    blank = dict.fromkeys(inside.variables.values())
    matchers = compile_matchers(patterns, scope, inside)

    def many(value: Any, env: Env) -> Iterator[dict[int, Any]]:
        for found in source.many(value, env):
            yield from _first_match(matchers, blank, found, env)

    return many, inside


def _single(source: Node, key: int) -> Stream:
    def many(value: Any, env: Env) -> Iterator[dict[int, Any]]:
        for found in source.many(value, env):
            yield {key: found}

    return many


def _first_match(
    matchers: list[Matcher], blank: dict[int, Any], value: Any, env: Env
) -> Iterator[dict[int, Any]]:
    for place, match in enumerate(matchers):
        env.run.spend(2)
        try:
            results = [{**blank, **bound} for bound in match(value, env)]
        except Fault:
            if place == len(matchers) - 1:
                raise
            continue
        yield from results
        return


def first_that_works(
    source: Node, matchers: list[Matcher], inside: Scope, body: Stream, value_of: Callable[[Any], Any]
) -> Stream:
    """Return the stream of `?//`: an error while matching or in the body moves on to the next pattern."""
    blank = dict.fromkeys(inside.variables.values())

    def many(item: Any, env: Env) -> Iterator[Any]:
        for found in source.many(value_of(item), env):
            for place, match in enumerate(matchers):
                env.run.spend(4)
                try:
                    results = []
                    for bound in match(found, env):
                        for out in body(item, env.bind({**blank, **bound})):
                            env.run.spend()
                            results.append(out)
                except Fault:
                    if place == len(matchers) - 1:
                        raise
                    continue
                yield from results
                break

    return many


def _matcher(pattern: Tree, scope: Scope, inside: Scope) -> Matcher:
    if pattern[0] == "pvar":
        key = inside.variables[pattern[1]]

        def whole(value: Any, env: Env) -> Iterator[dict[int, Any]]:
            env.run.spend()
            yield {key: value}

        return whole
    if pattern[0] == "parray":
        parts = [_matcher(part, scope, inside) for part in pattern[1]]
        return _array_matcher(parts)
    return _object_matcher(pattern, scope, inside)


def _array_matcher(parts: list[Matcher]) -> Matcher:
    def match(value: Any, env: Env, place: int = 0) -> Iterator[dict[int, Any]]:
        if value is not None and not isinstance(value, list):
            raise Fault(f"Cannot index {type_name(value)} with number")
        if place == len(parts):
            yield {}
            return
        for bound in parts[place](access.index(env.run, value, place), env):
            for others in match(value, env, place + 1):
                env.run.spend(1 + (len(bound) + len(others) >> 3))
                yield {**bound, **others}

    return match


def _object_matcher(pattern: Tree, scope: Scope, inside: Scope) -> Matcher:
    entries = [
        (
            scope.compile(key),
            _matcher(part, scope, inside),
            inside.variables[also] if also is not None else None,
        )
        for key, part, also in pattern[1]
    ]

    def match(value: Any, env: Env, place: int = 0) -> Iterator[dict[int, Any]]:
        if place == len(entries):
            yield {}
            return
        key, part, also = entries[place]
        for name in key.many(value, env):
            found = _member(env.run, value, name)
            for bound in part(found, env):
                for others in match(value, env, place + 1):
                    env.run.spend(1 + (len(bound) + len(others) >> 3))
                    yield {**bound, **others} if also is None else {also: found, **bound, **others}

    return match


def _member(run: Run, value: Any, name: Any) -> Any:
    if not isinstance(name, str):
        raise Fault(f"Cannot index {type_name(value)} with {describe(name)}")
    return access.field(run, value, name)
