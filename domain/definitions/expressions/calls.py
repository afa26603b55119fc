"""Calls: to functions of the program, of the prelude, and of the library."""

from collections.abc import Callable, Iterator
from typing import Any

from . import library, prelude
from .meter import Env, checked
from .nodes import Closure, Node, Stream
from .scope import Function, Parameter, Scope, ValueParameter, suggestion
from .syntax import Tree

FRAMES_OF_A_CALL = 4


def compile_call(tree: Tree, scope: Scope) -> Node:
    """Return the node of a call; raises ExpressionError for unknown and forbidden functions."""
    _, name, argument_trees = tree
    arity = len(argument_trees)
    target = scope.function(name, arity)
    if isinstance(target, Parameter):
        return _parameter(target.key)
    if isinstance(target, ValueParameter):
        key = target.key
        return Node(2, lambda _value, env: env.lookup(key))
    if target is None:
        _check_known(name, arity, scope)
    arguments = [scope.compile(argument) for argument in argument_trees]
    if target is None and (name, arity) in prelude.SOURCES:
        target = prelude.load(name, arity, scope.unit.compiler)
    if target is not None:
        return _function(target, arguments)
    return _builtin(name, arguments)


def _check_known(name: str, arity: int, scope: Scope) -> None:
    signature = (name, arity)
    tables = (library.VALUES, library.FOLDS, library.FILTERS, prelude.SOURCES)
    if any(signature in table for table in tables):
        return
    if name in library.FORBIDDEN:
        raise scope.unit.error(f"{name} is not available: {library.FORBIDDEN[name]}.", name, "forbidden")
    known = {known_name for table in tables for known_name, _ in table} | scope.function_names()
    if name in known:
        counts = sorted({count for table in tables for known_name, count in table if known_name == name})
        takes = " or ".join(map(str, counts)) or "another number of"
        raise scope.unit.error(f"{name} takes {takes} arguments, not {arity}.", name)
    raise scope.unit.error(f"{name}/{arity} is not a function.{suggestion(name, known)}", name)


def _parameter(key: int) -> Node:
    def many(value: Any, env: Env) -> Iterator[Any]:
        closure, inside = _enter(key, env)
        return closure.node.many(value, inside)

    def paths(item: Any, env: Env) -> Iterator[Any]:
        closure, inside = _enter(key, env)
        return closure.node.paths()(item, inside)

    return Node(3, None, many, lambda: paths)


def _enter(key: int, env: Env) -> tuple[Closure, Env]:
    run = env.run
    run.spend(3)
    closure: Closure = env.lookup(key)
    depth = checked(env.depth + closure.node.height + 2)
    return closure, Env(closure.env.bindings, closure.env.parent, run, depth)


def _function(function: Function, arguments: list[Node]) -> Node:
    by_value = [place for place, (_, is_value, _) in enumerate(function.parameters) if is_value]
    many = _value_mode(function, arguments, by_value)
    height = max((argument.height for argument in arguments), default=0) + FRAMES_OF_A_CALL
    body = function.body
    one = None
    if body is not None and body.one is not None and all(arguments[place].one for place in by_value):
        body_one, enter = body.one, _entrance(function, arguments, by_value)
        height += body.height

        def one(value: Any, env: Env) -> Any:
            return body_one(value, enter(value, env))

    return Node(height, one, many, lambda: _path_mode(function, arguments, by_value))


def _entrance(function: Function, arguments: list[Node], by_value: list[int]) -> Callable[[Any, Env], Env]:
    """Return the step into a function whose value arguments have exactly one result each."""
    keys = [key for _, _, key in function.parameters]
    values = [(keys[place], arguments[place].one) for place in by_value]
    filters = [(keys[place], argument) for place, argument in enumerate(arguments) if place not in by_value]
    home_key = function.key

    def enter(value: Any, env: Env) -> Env:
        run = env.run
        run.spend(2)
        body = function.body
        assert body is not None
        bindings: dict[int, Any] = {key: Closure(argument, env) for key, argument in filters}
        for key, one in values:
            assert one is not None
            bindings[key] = one(value, env)
        home = env.holder(home_key) if home_key is not None else None
        return Env(bindings, home, run, checked(env.depth + body.height + 2))

    return enter


def _value_mode(function: Function, arguments: list[Node], by_value: list[int]) -> Stream:
    if all(arguments[place].one for place in by_value):
        enter = _entrance(function, arguments, by_value)

        def direct(value: Any, env: Env) -> Iterator[Any]:
            body = function.body
            assert body is not None
            return body.many(value, enter(value, env))

        return direct

    def many(value: Any, env: Env) -> Iterator[Any]:
        body = function.body
        assert body is not None
        for inside in _each_entry(function, arguments, by_value, value, env):
            for out in body.many(value, inside):
                env.run.spend()
                yield out

    return many


def _path_mode(function: Function, arguments: list[Node], by_value: list[int]) -> Stream:
    def many(item: Any, env: Env) -> Iterator[Any]:
        body = function.body
        assert body is not None
        for inside in _each_entry(function, arguments, by_value, item[1], env):
            for out in body.paths()(item, inside):
                env.run.spend()
                yield out

    return many


def _each_entry(
    function: Function, arguments: list[Node], by_value: list[int], value: Any, env: Env, *, place: int = 0
) -> Iterator[Env]:
    """Enter a function once for every combination of its value arguments, the first varying slowest."""
    if place == len(by_value):
        yield _entrance(function, arguments, by_value)(value, env)
        return
    where = by_value[place]
    for found in arguments[where].many(value, env):
        env.run.spend()
        fixed = list(arguments)
        fixed[where] = Node(1, _always(found))
        yield from _each_entry(function, fixed, by_value, value, env, place=place + 1)


def _builtin(name: str, arguments: list[Node]) -> Node:
    signature = (name, len(arguments))
    height = max((argument.height for argument in arguments), default=0) + FRAMES_OF_A_CALL
    path_function = library.PATHS.get(signature)
    make = None if path_function is None else lambda: _bind(path_function, arguments)
    if signature in library.VALUES:
        return _value_builtin(library.VALUES[signature], arguments, height, make)
    if signature in library.FOLDS:
        fold = library.FOLDS[signature]

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            return fold(value, env, *arguments)

        return Node(height, one, None, make)
    return Node(height, None, _bind(library.FILTERS[signature], arguments), make)


def _bind(function: Callable[..., Iterator[Any]], arguments: list[Node]) -> Stream:
    def many(value: Any, env: Env) -> Iterator[Any]:
        env.run.spend()
        return function(value, env, *arguments)

    return many


def _value_builtin(
    function: Callable[..., Any], arguments: list[Node], height: int, make: Callable[[], Stream] | None
) -> Node:
    if not arguments:

        def plain(value: Any, env: Env) -> Any:
            env.run.spend()
            return function(env.run, value)

        return Node(height, plain, None, make)
    evaluators = [argument.one for argument in arguments if argument.one is not None]
    if len(evaluators) == len(arguments):

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            return function(env.run, value, *[single(value, env) for single in evaluators])

        return Node(height, one, None, make)

    def many(value: Any, env: Env) -> Iterator[Any]:
        for given in _combinations(arguments, value, env, len(arguments)):
            env.run.spend()
            yield function(env.run, value, *given)

    return Node(height + len(arguments), None, many, make)


def _combinations(arguments: list[Node], value: Any, env: Env, count: int) -> Iterator[tuple[Any, ...]]:
    """Yield every combination of argument results, the last argument varying slowest as in jq."""
    if not count:
        yield ()
        return
    for found in arguments[count - 1].many(value, env):
        for others in _combinations(arguments, value, env, count - 1):
            env.run.spend()
            yield (*others, found)


def _always(found: Any) -> Callable[[Any, Env], Any]:
    """Evaluates to a value that is known already."""
    return lambda _value, _env: found
