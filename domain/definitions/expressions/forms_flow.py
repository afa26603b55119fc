"""Forms that direct evaluation: | , // and or if try label break."""

from collections.abc import Iterator
from typing import Any

from . import nodes, paths
from .meter import Env
from .nodes import Node, Stream, truthy
from .scope import Compiler, Scope, new_key
from .syntax import Tree


def _pipe(tree: Tree, scope: Scope) -> Node:
    first, then = scope.compile(tree[1]), scope.compile(tree[2])
    height = max(first.height, then.height) + 1
    if first.one is None:
        return Node(
            height, None, nodes.pipe(first.many, then.many), lambda: nodes.pipe(first.paths(), then.paths())
        )
    start = first.one
    if then.one is not None:
        finish = then.one
        return Node(
            height,
            lambda value, env: finish(start(value, env), env),
            None,
            lambda: nodes.pipe(first.paths(), then.paths()),
        )
    rest = then.many

    def many(value: Any, env: Env) -> Iterator[Any]:
        env.run.spend()
        return rest(start(value, env), env)

    return Node(height, None, many, lambda: nodes.pipe(first.paths(), then.paths()))


def _comma(tree: Tree, scope: Scope) -> Node:
    first, second = scope.compile(tree[1]), scope.compile(tree[2])
    return Node(
        max(first.height, second.height) + 1,
        None,
        nodes.comma(first.many, second.many),
        lambda: nodes.comma(first.paths(), second.paths()),
    )


def _logic(tree: Tree, scope: Scope) -> Node:
    decided = tree[0] == "or"
    left, right = scope.compile(tree[1]), scope.compile(tree[2])
    height = max(left.height, right.height) + 1
    if left.one is not None and right.one is not None:
        left_one, right_one = left.one, right.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            return decided if truthy(left_one(value, env)) is decided else truthy(right_one(value, env))

        return Node(height, one)

    def many(value: Any, env: Env) -> Iterator[Any]:
        for first in left.many(value, env):
            env.run.spend()
            if truthy(first) is decided:
                yield decided
            else:
                for second in right.many(value, env):
                    env.run.spend()
                    yield truthy(second)

    return Node(height, None, many)


def _alt(tree: Tree, scope: Scope) -> Node:
    first, second = scope.compile(tree[1]), scope.compile(tree[2])
    height = max(first.height, second.height) + 1
    if first.one is not None and second.one is not None:
        first_one, second_one = first.one, second.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            found = first_one(value, env)
            return found if truthy(found) else second_one(value, env)

        return Node(
            height, one, None, lambda: nodes.alternative(first.paths(), second.paths(), paths.value_of)
        )
    return Node(
        height,
        None,
        nodes.alternative(first.many, second.many, lambda value: value),
        lambda: nodes.alternative(first.paths(), second.paths(), paths.value_of),
    )


def _try(tree: Tree, scope: Scope) -> Node:
    body = scope.compile(tree[1])
    handler = scope.compile(tree[2]) if len(tree) > 2 and tree[2] is not None else None
    height = max(body.height, handler.height if handler else 0) + 1
    return Node(
        height,
        None,
        nodes.attempt(body.many, handler.many if handler else None, lambda error: error),
        lambda: nodes.attempt(
            body.paths(), handler.paths() if handler else None, lambda error: (None, error)
        ),
    )


def _if(tree: Tree, scope: Scope) -> Node:
    last = scope.compile(tree[2] if tree[2] is not None else ("identity",))
    branches = [(scope.compile(condition), scope.compile(then)) for condition, then in tree[1]]
    height, one, many = last.height, last.one, last.many
    for condition, then in reversed(branches):
        height = max(height, condition.height, then.height) + 1
        many = nodes.choose(condition.many, then.many, many)
        one = _if_one(condition.one, then.one, one) if condition.one and then.one and one else None

    def path_mode() -> Stream:
        stream = last.paths()
        for condition, then in reversed(branches):
            stream = nodes.choose(paths.on_value(condition.many), then.paths(), stream)
        return stream

    return Node(height, one, None if one else many, path_mode)


def _if_one(condition: nodes.One, then: nodes.One, otherwise: nodes.One) -> nodes.One:
    def one(value: Any, env: Env) -> Any:
        env.run.spend()
        return then(value, env) if truthy(condition(value, env)) else otherwise(value, env)

    return one


def _label(tree: Tree, scope: Scope) -> Node:
    inside = scope.inner()
    key = inside.labels[tree[1]] = new_key()
    body = inside.compile(tree[2])
    many = nodes.labelled(key, body.many)
    return Node(body.height + 1, None, many, lambda: nodes.labelled(key, body.paths()))


def _break(tree: Tree, scope: Scope) -> Node:
    leave = nodes.breaking(scope.label(tree[1]))
    return Node(1, None, leave, lambda: leave)


FORMS: dict[str, Compiler] = {
    "pipe": _pipe,
    "comma": _comma,
    "and": _logic,
    "or": _logic,
    "alt": _alt,
    "opt": _try,
    "try": _try,
    "if": _if,
    "label": _label,
    "break": _break,
}
