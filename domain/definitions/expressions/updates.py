"""Assignment: = |= += -= *= /= %= //=.

The general way asks the left side for its paths and writes each in turn, which copies the containers on the
way every time. Left sides that can only reach separate places (fields, .[], select) are rebuilt in one go.
"""

from collections.abc import Callable, Iterator
from typing import Any

from . import access
from .arithmetic import OPERATORS
from .errors import Fault
from .meter import Env, Run
from .nodes import Node, truthy
from .paths import reached
from .scope import Scope
from .syntax import Tree
from .text import type_name

GONE = object()
Change = Callable[[Any], Any]
Rebuild = Callable[[Any, Change, Env], Any]


def compile_assignment(tree: Tree, scope: Scope) -> Node:
    """Return the node of an assignment."""
    _, operator, left_tree, right_tree = tree
    left, right = scope.compile(left_tree), scope.compile(right_tree)
    height = max(left.height, right.height) + 6 + _rebuild_height(left_tree)
    apply = _applier(left, left_tree, scope)
    if operator == "|=":

        def modify(value: Any, env: Env) -> Any:
            return apply(value, lambda part: next(right.many(part, env), GONE), env)

        return Node(height, modify)
    combine = _combiner(operator)

    def many(value: Any, env: Env) -> Iterator[Any]:
        for given in right.many(value, env):
            env.run.spend()
            yield apply(value, _combining(combine, env, given), env)

    if right.one is None:
        return Node(height, None, many)
    right_one = right.one

    def one(value: Any, env: Env) -> Any:
        given = right_one(value, env)
        return apply(value, lambda part: combine(env.run, part, given), env)

    return Node(height, one)


def _combiner(operator: str) -> Callable[[Run, Any, Any], Any]:
    if operator == "=":
        return lambda run, part, given: given
    if operator == "//=":
        return lambda run, part, given: part if truthy(part) else given
    return OPERATORS[operator[:-1]]


def _combining(combine: Callable[[Run, Any, Any], Any], env: Env, given: Any) -> Change:
    return lambda part: combine(env.run, part, given)


def _path_by_path(left: Node) -> Rebuild:
    def apply(value: Any, change: Change, env: Env) -> Any:
        run = env.run
        gone = []
        for path, found in left.paths()(((), value), env):
            run.spend(2)
            steps = list(reached(path, found))
            changed = change(access.get_path(run, value, steps))
            if changed is GONE:
                gone.append(steps)
            else:
                value = access.set_path(run, value, steps, changed)
        return access.delete_paths(run, value, gone) if gone else value

    return apply


def _applier(left: Node, left_tree: Tree, scope: Scope) -> Rebuild:
    """Choose the way of writing at the first use: compiling both at once doubles with every nested level."""
    chosen: list[Rebuild] = []

    def apply(value: Any, change: Change, env: Env) -> Any:
        if not chosen:
            chosen.append(_rebuilder(left_tree, scope) or _path_by_path(left))
        out = chosen[0](value, change, env)
        return None if out is GONE else out

    return apply


def _rebuild_height(tree: Tree) -> int:
    """Return the frames that rebuilding along a left side may need: three for each step."""
    height = 0
    while tree[0] in ("field", "iterate", "pipe", "index"):
        if tree[0] == "pipe":
            height += _rebuild_height(tree[2])
        height += 3
        tree = tree[1]
    return height


def _rebuilder(tree: Tree, scope: Scope) -> Rebuild | None:
    """Return how to rebuild a value at the places a left side reaches, or None if they might overlap."""
    kind = tree[0]
    if kind == "identity":
        return lambda value, change, env: change(value)
    if kind == "call" and tree[1] == "select" and len(tree[2]) == 1 and scope.function("select", 1) is None:
        return _selecting(tree[2][0], scope)
    if kind == "pipe":
        first, then = _rebuilder(tree[1], scope), _rebuilder(tree[2], scope)
        if first is None or then is None:
            return None
        outer, inner = first, then
        return lambda value, change, env: outer(value, lambda part: inner(part, change, env), env)
    step = _STEPS.get(kind)
    if step is None or (kind == "index" and not _plain_key(tree[2])):
        return None
    base = _rebuilder(tree[1], scope)
    if base is None:
        return None
    below = base
    argument = tree[2] if kind == "field" else tree[2][1] if kind == "index" else None
    return lambda value, change, env: below(value, lambda part: step(part, argument, change, env), env)


def _plain_key(tree: Tree) -> bool:
    return tree[0] == "const" and isinstance(tree[1], str)


def _selecting(condition_tree: Tree, scope: Scope) -> Rebuild | None:
    condition = scope.compile(condition_tree).one
    if condition is None:
        return None
    holds = condition

    def rebuild(value: Any, change: Change, env: Env) -> Any:
        env.run.spend()
        return change(value) if truthy(holds(value, env)) else value

    return rebuild


def _in_field(value: Any, name: Any, change: Change, env: Env) -> Any:
    run = env.run
    changed = change(access.field(run, value, name))
    if changed is GONE:
        return value if value is None or name not in value else _dropped(run, value, name)
    run.members(len(value or ()))
    return {**(value or {}), name: changed}


def _dropped(run: Run, value: dict[str, Any], name: str) -> dict[str, Any]:
    run.members(len(value))
    return {key: member for key, member in value.items() if key != name}


def _in_each(value: Any, _argument: Any, change: Change, env: Env) -> Any:
    run = env.run
    if isinstance(value, list):
        items = []
        for item in value:
            run.spend(2)
            changed = change(item)
            if changed is not GONE:
                items.append(changed)
        return items
    if not isinstance(value, dict):
        raise Fault(f"Cannot iterate over {type_name(value)}")
    members = {}
    for name, member in value.items():
        run.spend(2)
        changed = change(member)
        if changed is not GONE:
            members[name] = changed
    return members


_STEPS: dict[str, Callable[[Any, Any, Change, Env], Any]] = {
    "field": _in_field,
    "index": _in_field,
    "iterate": _in_each,
}
