"""Forms that name things: variables, functions, `as`, reduce and foreach."""

from collections.abc import Iterator
from typing import Any

from . import binding, nodes, paths
from .meter import Env
from .nodes import Node, Stream
from .scope import Compiler, Function, Scope, function_parameters, new_key
from .syntax import Tree


def _var(tree: Tree, scope: Scope) -> Node:
    name = tree[1]
    key = scope.variable(name)
    if key is not None:
        bound_key = key

        def local(_value: Any, env: Env) -> Any:
            env.run.spend()
            return env.lookup(bound_key)

        return Node(2, local)
    if name == "ENV":
        told = "$ENV is not available: it reaches outside the expression."
        raise scope.unit.error(told, "$ENV", "forbidden")
    scope.unit.names.add(name)

    def outer(_value: Any, env: Env) -> Any:
        env.run.spend()
        return env.run.scope[name]

    return Node(1, outer)


def _funcdef(tree: Tree, scope: Scope) -> Node:
    _, name, parameters, body, rest = tree
    function = Function(name, parameters, new_key())
    inside = _define(scope, function, body)
    after = inside.compile(rest)
    key = function.key
    assert key is not None
    here: dict[int, Any] = {key: None}

    def many(value: Any, env: Env) -> Iterator[Any]:
        return after.many(value, env.bind(here))

    def path_mode() -> Stream:
        stream = after.paths()
        return lambda item, env: stream(item, env.bind(here))

    if after.one is None:
        return Node(after.height + 1, None, many, path_mode)
    after_one = after.one
    return Node(after.height + 1, lambda value, env: after_one(value, env.bind(here)), None, path_mode)


def _define(scope: Scope, function: Function, body: Tree) -> Scope:
    """Compile a function's body and return the scope in which it can be called."""
    inside = scope.inner()
    inside.functions[(function.name, len(function.parameters))] = function
    function.body = function_parameters(inside, function).compile(body)
    return inside


def _as(tree: Tree, scope: Scope) -> Node:
    _, source_tree, patterns, body = tree
    source = scope.compile(source_tree)
    if len(patterns) > 1:
        return _as_first_that_works(source, patterns, body, scope)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    then = inside.compile(body)
    height = max(source.height, then.height) + 1 + binding.FRAMES

    def path_mode() -> Stream:
        return nodes.bound(paths.on_value(bindings), then.paths())

    if patterns[0][0] != "pvar" or then.one is None or source.one is None:
        return Node(height, None, nodes.bound(bindings, then.many), path_mode)
    source_one, then_one, key = source.one, then.one, inside.variables[patterns[0][1]]

    def one(value: Any, env: Env) -> Any:
        env.run.spend()
        return then_one(value, env.bind({key: source_one(value, env)}))

    return Node(height, one, None, path_mode)


def _as_first_that_works(source: Node, patterns: list[Tree], body: Tree, scope: Scope) -> Node:
    inside = binding.scope_inside(patterns, scope)
    matchers = binding.compile_matchers(patterns, scope, inside)
    then = inside.compile(body)
    height = max(source.height, then.height) + 1 + binding.FRAMES
    many = binding.first_that_works(source, matchers, inside, then.many, lambda value: value)

    def path_mode() -> Stream:
        return binding.first_that_works(source, matchers, inside, then.paths(), paths.value_of)

    return Node(height, None, many, path_mode)


def _reduce(tree: Tree, scope: Scope) -> Node:
    _, source_tree, patterns, start_tree, update_tree = tree
    source = scope.compile(source_tree)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    start, update = scope.compile(start_tree), inside.compile(update_tree)
    height = max(source.height, start.height, update.height) + 1 + binding.FRAMES

    def path_mode() -> Stream:
        return nodes.reducing(paths.on_value(bindings), start.paths(), update.paths(), (None, None))

    if start.one is None or update.one is None:
        return Node(height, None, nodes.reducing(bindings, start.many, update.many, None), path_mode)
    start_one, update_one = start.one, update.one

    def one(value: Any, env: Env) -> Any:
        state = start_one(value, env)
        for values in bindings(value, env):
            env.run.spend()
            state = update_one(state, env.bind(values))
        return state

    return Node(height, one, None, path_mode)


def _foreach(tree: Tree, scope: Scope) -> Node:
    _, source_tree, patterns, start_tree, update_tree, extract_tree = tree
    source = scope.compile(source_tree)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    start, update = scope.compile(start_tree), inside.compile(update_tree)
    extract = inside.compile(extract_tree) if extract_tree is not None else None
    height = max(source.height, start.height, update.height, extract.height if extract else 0) + 1

    def path_mode() -> Stream:
        last = extract.paths() if extract else None
        return nodes.each(paths.on_value(bindings), start.paths(), update.paths(), last, (None, None))

    many = nodes.each(bindings, start.many, update.many, extract.many if extract else None, None)
    return Node(height + binding.FRAMES, None, many, path_mode)


FORMS: dict[str, Compiler] = {
    "var": _var,
    "funcdef": _funcdef,
    "as": _as,
    "reduce": _reduce,
    "foreach": _foreach,
}
