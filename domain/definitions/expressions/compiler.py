"""Value mode: from the syntax tree to closures that yield values."""

from collections.abc import Callable, Iterator
from typing import Any

from ..values import normal_number
from . import access, binding, calls, nodes, paths, updates
from .arithmetic import OPERATORS, negate
from .errors import ExpressionError, Fault
from .meter import Env
from .nodes import Node, Stream, truthy
from .order import compare, equal
from .scope import Function, Scope, function_parameters, new_key, suggestion
from .syntax import Tree
from .text import FORMATS, apply_format, describe


def compile_tree(tree: Tree, scope: Scope) -> Node:
    """Return a compiled filter; raises ExpressionError for unknown names."""
    return _HANDLERS[tree[0]](tree, scope)


def _identity(_tree: Tree, _scope: Scope) -> Node:
    return Node(1, lambda value, env: value, None, lambda: paths.identity)


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


def _field(tree: Tree, scope: Scope) -> Node:
    name = tree[2]
    base = compile_tree(tree[1], scope)
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
    base, key = compile_tree(tree[1], scope), compile_tree(tree[2], scope)
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
    base = compile_tree(tree[1], scope)
    start, end = compile_tree(tree[2] or _NULL, scope), compile_tree(tree[3] or _NULL, scope)

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
    base = compile_tree(tree[1], scope)

    def many(value: Any, env: Env) -> Iterator[Any]:
        run = env.run
        for found in base.many(value, env):
            for item in access.children(run, found):
                run.spend()
                yield item

    return Node(base.height + 1, None, many, lambda: paths.iterate(base))


def _pipe(tree: Tree, scope: Scope) -> Node:
    first, then = compile_tree(tree[1], scope), compile_tree(tree[2], scope)
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
    first, second = compile_tree(tree[1], scope), compile_tree(tree[2], scope)
    return Node(
        max(first.height, second.height) + 1,
        None,
        nodes.comma(first.many, second.many),
        lambda: nodes.comma(first.paths(), second.paths()),
    )


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
    left, right = compile_tree(tree[2], scope), compile_tree(tree[3], scope)
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


def _logic(tree: Tree, scope: Scope) -> Node:
    decided = tree[0] == "or"
    left, right = compile_tree(tree[1], scope), compile_tree(tree[2], scope)
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
    first, second = compile_tree(tree[1], scope), compile_tree(tree[2], scope)
    height = max(first.height, second.height) + 1
    if first.one is not None and second.one is not None:
        first_one, second_one = first.one, second.one

        def one(value: Any, env: Env) -> Any:
            env.run.spend()
            try:
                found = first_one(value, env)
            except Fault:
                env.run.spend(nodes.FAULT_COST)
                found = None
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


def _neg(tree: Tree, scope: Scope) -> Node:
    inner = compile_tree(tree[1], scope)
    if inner.one is not None:
        before = inner.one
        return Node(inner.height + 2, lambda value, env: negate(env.run, before(value, env)))

    def many(value: Any, env: Env) -> Iterator[Any]:
        for found in inner.many(value, env):
            env.run.spend()
            yield negate(env.run, found)

    return Node(inner.height + 2, None, many)


def _try(tree: Tree, scope: Scope) -> Node:
    body = compile_tree(tree[1], scope)
    handler = compile_tree(tree[2], scope) if len(tree) > 2 and tree[2] is not None else None
    height = max(body.height, handler.height if handler else 0) + 1
    return Node(
        height,
        None,
        nodes.attempt(body.many, handler.many if handler else None),
        lambda: nodes.attempt(body.paths(), None),
    )


def _collect(tree: Tree, scope: Scope) -> Node:
    body = compile_tree(tree[1], scope)

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
    parts = [part if isinstance(part, str) else compile_tree(part, scope) for part in tree[2]]
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
        raise scope.unit.error(f"@{name} is not a format.{suggestion(name, FORMATS, '@')}")


def _format(tree: Tree, scope: Scope) -> Node:
    name = tree[1]
    _known_format(name, scope)
    return Node(3, lambda value, env: apply_format(env.run, name, value))


def _object(tree: Tree, scope: Scope) -> Node:
    for key, _ in tree[1]:
        if key[0] == "const" and not isinstance(key[1], str):
            raise scope.unit.error("Object keys must be texts.")
    entries = [(compile_tree(key, scope), compile_tree(value, scope)) for key, value in tree[1]]
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


def _if(tree: Tree, scope: Scope) -> Node:
    last = compile_tree(tree[2] if tree[2] is not None else ("identity",), scope)
    branches = [(compile_tree(condition, scope), compile_tree(then, scope)) for condition, then in tree[1]]
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
        raise ExpressionError(
            "$ENV is not available: it reaches outside the expression.", scope.unit.source, "forbidden"
        )
    scope.unit.names.add(name)

    def outer(_value: Any, env: Env) -> Any:
        env.run.spend()
        return env.run.scope[name]

    return Node(1, outer)


def _funcdef(tree: Tree, scope: Scope) -> Node:
    _, name, parameters, body, rest = tree
    function = Function(name, parameters, new_key())
    inside = define(scope, function, body)
    after = compile_tree(rest, inside)
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


def define(scope: Scope, function: Function, body: Tree) -> Scope:
    """Compile a function's body and return the scope in which it can be called."""
    inside = scope.inner()
    inside.functions[(function.name, len(function.parameters))] = function
    function.body = compile_tree(body, function_parameters(inside, function))
    return inside


def _as(tree: Tree, scope: Scope) -> Node:
    _, source_tree, patterns, body = tree
    source = compile_tree(source_tree, scope)
    if len(patterns) > 1:
        return _as_first_that_works(source, patterns, body, scope)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    then = compile_tree(body, inside)
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
    then = compile_tree(body, inside)
    height = max(source.height, then.height) + 1 + binding.FRAMES
    many = binding.first_that_works(source, matchers, inside, then.many, lambda value: value)

    def path_mode() -> Stream:
        return binding.first_that_works(source, matchers, inside, then.paths(), paths.value_of)

    return Node(height, None, many, path_mode)


def _reduce(tree: Tree, scope: Scope) -> Node:
    _, source_tree, patterns, start_tree, update_tree = tree
    source = compile_tree(source_tree, scope)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    start, update = compile_tree(start_tree, scope), compile_tree(update_tree, inside)
    height = max(source.height, start.height, update.height) + 1 + binding.FRAMES

    def path_mode() -> Stream:
        return nodes.reducing(paths.on_value(bindings), start.paths(), update.paths())

    if start.one is None or update.one is None:
        return Node(height, None, nodes.reducing(bindings, start.many, update.many), path_mode)
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
    source = compile_tree(source_tree, scope)
    bindings, inside = binding.compile_bindings(source, patterns, scope)
    start, update = compile_tree(start_tree, scope), compile_tree(update_tree, inside)
    extract = compile_tree(extract_tree, inside) if extract_tree is not None else None
    height = max(source.height, start.height, update.height, extract.height if extract else 0) + 1

    def path_mode() -> Stream:
        last = extract.paths() if extract else None
        return nodes.each(paths.on_value(bindings), start.paths(), update.paths(), last)

    many = nodes.each(bindings, start.many, update.many, extract.many if extract else None)
    return Node(height + binding.FRAMES, None, many, path_mode)


def _label(tree: Tree, scope: Scope) -> Node:
    inside = scope.inner()
    key = inside.labels[tree[1]] = new_key()
    body = compile_tree(tree[2], inside)
    many = nodes.labelled(key, body.many)
    return Node(body.height + 1, None, many, lambda: nodes.labelled(key, body.paths()))


def _break(tree: Tree, scope: Scope) -> Node:
    leave = nodes.breaking(scope.label(tree[1]))
    return Node(1, None, leave, lambda: leave)


def _call(tree: Tree, scope: Scope) -> Node:
    return calls.compile_call(tree, scope)


def _assign(tree: Tree, scope: Scope) -> Node:
    return updates.compile_assignment(tree, scope)


_HANDLERS: dict[str, Callable[[Tree, Scope], Node]] = {
    "identity": _identity,
    "const": _const,
    "emptyarray": _emptyarray,
    "loc": _loc,
    "field": _field,
    "index": _index,
    "slice": _slice,
    "iterate": _iterate,
    "pipe": _pipe,
    "comma": _comma,
    "binop": _binop,
    "and": _logic,
    "or": _logic,
    "alt": _alt,
    "neg": _neg,
    "opt": _try,
    "try": _try,
    "collect": _collect,
    "str": _str,
    "format": _format,
    "object": _object,
    "if": _if,
    "var": _var,
    "funcdef": _funcdef,
    "call": _call,
    "as": _as,
    "reduce": _reduce,
    "foreach": _foreach,
    "label": _label,
    "break": _break,
    "assign": _assign,
}
