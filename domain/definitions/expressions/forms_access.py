"""Forms that reach into a value: fields, indexes, slices, .[] and what is optional."""

from collections.abc import Iterator
from typing import Any

from . import access, paths
from .meter import Env
from .nodes import Node
from .scope import Compiler, Scope
from .syntax import Tree


def _field(tree: Tree, scope: Scope) -> Node:
    name = tree[2]
    base = scope.compile(tree[1])
    height = base.height + 2
    if tree[1][0] == "identity":

        def own(value: Any, env: Env) -> Any:
            env.run.spend()
            return value.get(name) if type(value) is dict else access.field(env.run, value, name)

        return Node(height, own, None, lambda: paths.field(base, name))
    if base.one is not None:
        before = base.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            found = before(value, env)
            return found.get(name) if type(found) is dict else access.field(env.run, found, name)

        return Node(height, one, None, lambda: paths.field(base, name))

    def many(value: Any, env: Env) -> Iterator[Any]:
        for found in base.many(value, env):
            env.run.spend()
            yield access.field(env.run, found, name)

    return Node(height, None, many, lambda: paths.field(base, name))


def _index(tree: Tree, scope: Scope) -> Node:
    base, key = scope.compile(tree[1]), scope.compile(tree[2])
    height = max(base.height, key.height) + 2
    if base.one is not None and key.one is not None:
        before, key_one = base.one, key.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            return access.index(env.run, before(value, env), key_one(value, env))

        return Node(height, one, None, lambda: paths.index(base, key))

    def many(value: Any, env: Env) -> Iterator[Any]:
        for wanted in key.many(value, env):
            for found in base.many(value, env):
                env.run.spend()
                yield access.index(env.run, found, wanted)

    return Node(height, None, many, lambda: paths.index(base, key))


_NULL: Tree = ("const", None)


def _slice(tree: Tree, scope: Scope) -> Node:
    base = scope.compile(tree[1])
    start, end = scope.compile(tree[2] or _NULL), scope.compile(tree[3] or _NULL)

    def many(value: Any, env: Env) -> Iterator[Any]:
        for high in end.many(value, env):
            for low in start.many(value, env):
                for found in base.many(value, env):
                    env.run.spend()
                    yield access.cut(env.run, found, low, high)

    height = max(base.height, start.height, end.height) + 2
    if base.one is None or start.one is None or end.one is None:
        return Node(height, None, many, lambda: paths.cut(base, start, end))
    before, low_one, high_one = base.one, start.one, end.one

    def one(value: Any, env: Env) -> Any:
        env.run.spend()
        return access.cut(env.run, before(value, env), low_one(value, env), high_one(value, env))

    return Node(height, one, None, lambda: paths.cut(base, start, end))


def _iterate(tree: Tree, scope: Scope) -> Node:
    base = scope.compile(tree[1])

    def many(value: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for found in base.many(value, env):
            for item in access.children(run, found):
                run.spend()
                yield item

    return Node(base.height + 1, None, many, lambda: paths.iterate(base))


FORMS: dict[str, Compiler] = {
    "field": _field,
    "index": _index,
    "slice": _slice,
    "iterate": _iterate,
}
