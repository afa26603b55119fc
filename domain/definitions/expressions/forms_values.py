"""Forms that make new values: constants, operators, texts, lists and objects."""

from collections.abc import Callable, Iterator
from typing import Any

from ..values import normal_number
from .arithmetic import OPERATORS, negate
from .errors import Fault
from .meter import Env
from .nodes import Node
from .order import compare, equal
from .scope import Compiler, Scope, suggestion
from .syntax import Tree
from .text import FORMATS, apply_format, describe


def _const(tree: Tree, _scope: Scope) -> Node:
    constant = tree[1]
    if type(constant) in (int, float):
        constant = normal_number(constant)
        if constant in (float("inf"), float("-inf")):
            constant = 1.7976931348623157e308
    return Node(1, lambda value, env: constant)


def _emptyarray(_tree: Tree, _scope: Scope) -> Node:
    return Node(1, lambda value, env: [])


def _loc(_tree: Tree, _scope: Scope) -> Node:
    return Node(1, lambda value, env: {"file": "<top-level>", "line": 1})


def _operation(symbol: str) -> Callable[[Any, Any, Any], Any]:
    if symbol in OPERATORS:
        return OPERATORS[symbol]
    return {
        "==": equal,
        "!=": lambda run, left, right: not equal(run, left, right),
        "<": lambda run, left, right: compare(run, left, right) < 0,
        "<=": lambda run, left, right: compare(run, left, right) <= 0,
        ">": lambda run, left, right: compare(run, left, right) > 0,
        ">=": lambda run, left, right: compare(run, left, right) >= 0,
    }[symbol]


def _binop(tree: Tree, scope: Scope) -> Node:
    operate = _operation(tree[1])
    left, right = scope.compile(tree[2]), scope.compile(tree[3])
    height = max(left.height, right.height) + 2
    if left.one is not None and right.one is not None:
        left_one, right_one = left.one, right.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            return operate(env.run, left_one(value, env), right_one(value, env))

        return Node(height, one)

    def many(value: Any, env: Env) -> Iterator[Any]:
        for two in right.many(value, env):
            for first in left.many(value, env):
                env.run.spend()
                yield operate(env.run, first, two)

    return Node(height, None, many)


def _neg(tree: Tree, scope: Scope) -> Node:
    inner = scope.compile(tree[1])
    if inner.one is not None:
        before = inner.one
        return Node(inner.height + 2, lambda value, env: negate(env.run, before(value, env)))

    def many(value: Any, env: Env) -> Iterator[Any]:
        for found in inner.many(value, env):
            env.run.spend()
            yield negate(env.run, found)

    return Node(inner.height + 2, None, many)


def _collect(tree: Tree, scope: Scope) -> Node:
    body = scope.compile(tree[1])

    def one(value: Any, env: Env) -> Any:
        run = env.run
        out = []
        for item in body.many(value, env):
            run.spend()
            out.append(item)
        return out

    return Node(body.height + 1, one)


def _str(tree: Tree, scope: Scope) -> Node:
    name = tree[1] or "text"
    _known_format(name, scope)
    parts = [part if isinstance(part, str) else scope.compile(part) for part in tree[2]]
    inserted = [part for part in parts if isinstance(part, Node)]
    height = max((part.height for part in inserted), default=0) + 2 + len(parts)

    def many(value: Any, env: Env, last: int = len(parts), after: str = "") -> Iterator[Any]:
        # Later parts vary slowest, as jq builds the text with + from the left.
        if not last:
            yield after
            return
        part = parts[last - 1]
        for found in (part,) if isinstance(part, str) else part.many(value, env):
            text: str = apply_format(env.run, "text" if isinstance(part, str) else name, found)
            env.run.text(len(text) + len(after))
            yield from many(value, env, last - 1, text + after)

    if any(part.one is None for part in inserted):
        return Node(height, None, many)
    makers: list[Any] = [part if isinstance(part, str) else part.one for part in parts]

    def one(value: Any, env: Env) -> Any:
        run = env.run
        pieces = []
        size = 0
        for maker in makers:
            piece = maker if isinstance(maker, str) else apply_format(run, name, maker(value, env))
            size += len(piece)
            run.text(size)
            pieces.append(piece)
        return "".join(pieces)

    return Node(height, one)


def _known_format(name: str, scope: Scope) -> None:
    if name not in FORMATS:
        raise scope.unit.error(f"@{name} is not a format.{suggestion(name, FORMATS, '@')}", f"@{name}")


def _format(tree: Tree, scope: Scope) -> Node:
    name = tree[1]
    _known_format(name, scope)
    return Node(3, lambda value, env: apply_format(env.run, name, value))


def _object(tree: Tree, scope: Scope) -> Node:
    for key, _ in tree[1]:
        if key[0] == "emptyarray" or (key[0] == "const" and not isinstance(key[1], str)):
            raise scope.unit.error("Object keys must be texts.")
    entries = [(scope.compile(key), scope.compile(value)) for key, value in tree[1]]
    height = max((max(key.height, value.height) for key, value in entries), default=0) + 2
    if all(key.one is not None and value.one is not None for key, value in entries):
        singles: list[tuple[Any, Any]] = [(key.one, value.one) for key, value in entries]

        def one(value: Any, env: Env) -> Any:
            env.run.spend(1 + len(singles))
            out = {}
            for key, member in singles:
                out[_member_name(key(value, env))] = member(value, env)
            return out

        return Node(height, one)

    def many(value: Any, env: Env, place: int = 0, made: dict[str, Any] | None = None) -> Iterator[Any]:
        made = made or {}
        if place == len(entries):
            yield made
            return
        key, member = entries[place]
        for name in key.many(value, env):
            for found in member.many(value, env):
                env.run.spend(2 + place)
                yield from many(value, env, place + 1, {**made, _member_name(name): found})

    return Node(height + len(entries), None, many)


def _member_name(name: Any) -> str:
    if not isinstance(name, str):
        raise Fault(f"Object keys must be strings, not {describe(name)}")
    return name


FORMS: dict[str, Compiler] = {
    "const": _const,
    "emptyarray": _emptyarray,
    "loc": _loc,
    "binop": _binop,
    "neg": _neg,
    "collect": _collect,
    "str": _str,
    "format": _format,
    "object": _object,
}
