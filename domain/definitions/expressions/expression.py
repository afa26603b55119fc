"""A compiled expression: parse once, evaluate often, never more than its budget."""

from collections import OrderedDict
from collections.abc import Mapping
from math import isfinite
from threading import Lock
from typing import Any

from ..values import Json, normal_number
from . import (
    builtin_arrays,
    builtin_dates,
    builtin_flow,
    builtin_folds,
    builtin_loops,
    builtin_numbers,
    builtin_regex,
    builtin_texts,
    builtin_values,
)
from .compiler import compile_tree
from .errors import ExpressionError, Fault, FuelExhausted, Spent, TooBig
from .meter import EXPRESSION_FUEL, MAX_FRAMES, MAX_RESULT_BYTES, Env, Meter, Run
from .nodes import Node
from .reading import members, needs_input
from .scope import Scope, Unit, position_of, suggestion
from .syntax import Tree, parse
from .text import describe

LIBRARIES = (
    builtin_arrays,
    builtin_dates,
    builtin_flow,
    builtin_folds,
    builtin_loops,
    builtin_numbers,
    builtin_regex,
    builtin_texts,
    builtin_values,
)
MAX_RESULT_DEPTH = 64
_CACHED_CHARACTERS = 500_000


class Expression:
    """A compiled expression, immutable; `source` is its text and `names` the outer variables, without $.

    `secrets` are the names read as `$secrets.name`, None among them where the text does not tell the name.
    """

    __slots__ = ("_node", "_reaches", "names", "needs_input", "secrets", "source")

    def __init__(self, source: str) -> None:
        tree = parse(source)
        unit = Unit(source, compile_tree)
        try:
            self._node: Node = compile_tree(tree, Scope(unit))
        except RecursionError:
            raise ExpressionError("It nests too deeply.", source, "syntax") from None
        if self._node.height > MAX_FRAMES:
            raise ExpressionError("It nests too deeply; split it into steps.", source, "syntax")
        self.source = source
        self.names = frozenset(unit.names)
        self.secrets = (
            frozenset(members(tree, "secrets")) if "secrets" in self.names else frozenset[str | None]()
        )
        self.needs_input = needs_input(tree)
        self._reaches = _only_reaches(tree)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def evaluate(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        """Return the one result of the expression for an input and the values of its names.

        The result may share parts with the input and must not be changed in place. Raises ExpressionError
        (runtime, limit or cardinality) and FuelExhausted; the fuel used is added to the meter either way.
        """
        missing = self.names - scope.keys()
        if missing:
            names = ", ".join(f"${name}" for name in sorted(missing))
            raise self._error(f"{names} is not available here.", "runtime")
        left = meter.left()
        fuel = EXPRESSION_FUEL if left is None else min(left, EXPRESSION_FUEL)
        run = Run(fuel, scope)
        try:
            result: Json = self._result(value, Env({}, None, run, self._node.height))
        except Spent:
            if fuel < EXPRESSION_FUEL:
                raise FuelExhausted from None
            raise self._error(
                "It takes too many steps; handle fewer items at once or simplify it.", "limit"
            ) from None
        except TooBig as problem:
            raise self._error(f"It exceeds a limit: {problem.message}.", "limit") from None
        except Fault as fault:
            raise self._error(_told(fault.value), "runtime") from None
        except (RecursionError, MemoryError):
            raise self._error("It recurses too deeply or needs too much memory.", "limit") from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as problem:
            # No known program gets here; inside a workflow anything else would be retried for ever.
            raise self._error(f"It cannot be evaluated ({type(problem).__name__}).", "runtime") from None
        finally:
            meter.spent += fuel - max(0, run.left)
        return result

    def _result(self, value: Any, env: Env) -> Any:
        one = self._node.one
        run = env.run
        run.spend()
        if one is not None:
            result = one(value, env)
        else:
            results = self._node.many(value, env)
            nothing = object()
            result = next(results, nothing)
            if result is nothing:
                raise self._error("It has no result; it must have exactly one.", "cardinality")
            if next(results, nothing) is not nothing:
                raise self._error(
                    "It has more than one result; put [ ] around it to get a list or use first(...).",
                    "cardinality",
                )
        if result is None or result is True or result is False or type(result) is int:
            return result
        if self._reaches and type(result) is not float:
            return result
        return _Settled(run).copy(result, 0)

    def _error(self, message: str, kind: Any) -> ExpressionError:
        return ExpressionError(message, self.source, kind)


class _Settled:
    """Copies a result into plain JSON: bounded, without NaN, integral doubles as integers."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.left = MAX_RESULT_BYTES

    def copy(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list | dict):
            if depth >= MAX_RESULT_DEPTH:
                raise TooBig(f"its result is nested deeper than {MAX_RESULT_DEPTH} levels")
            self.run.spend(1 + len(value))
            self.take(2 + 2 * len(value))
            if isinstance(value, list):
                return [self.copy(item, depth + 1) for item in value]
            return {self.text(name): self.copy(member, depth + 1) for name, member in value.items()}
        self.take(1)
        if isinstance(value, float):
            number = normal_number(value)
            if not isfinite(number):
                raise Fault("Its result is NaN or infinite, which JSON does not have")
            return number
        return value

    def text(self, value: str) -> str:
        self.take(len(value))
        self.run.spend(len(value) >> 8)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Fault("Its result contains half of a surrogate pair, which is no character") from None
        if "\x00" in value:
            raise Fault("Its result contains the NUL character (U+0000), which cannot be stored")
        return value

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooBig(f"its result is larger than {MAX_RESULT_BYTES} bytes of JSON")


def _only_reaches(tree: Tree) -> bool:
    """Return whether an expression can only return a part of what it was given, which is valid already."""
    if tree[0] == "pipe":
        return _only_reaches(tree[1]) and _only_reaches(tree[2])
    if tree[0] == "field":
        return _only_reaches(tree[1])
    return tree[0] in ("identity", "var")


def _told(problem: Any) -> str:
    if not isinstance(problem, str):
        return f"It failed with {describe(problem)}."
    text = problem[:500].rstrip(".")
    return f"{text}."


class _Cache:
    """Compiled expressions by source, the least recently used forgotten first; bounded by source length."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, Expression] = OrderedDict()
        self._characters = 0

    def get(self, source: str) -> Expression:
        with self._lock:
            known = self._kept.get(source)
            if known is not None:
                self._kept.move_to_end(source)
                return known
        made = Expression(source)
        with self._lock:
            if source not in self._kept:
                self._kept[source] = made
                self._characters += 100 + len(source)
            while self._characters > _CACHED_CHARACTERS:
                forgotten, _ = self._kept.popitem(last=False)
                self._characters -= 100 + len(forgotten)
        return made


_cache = _Cache()


def compile_expression(source: str, allowed: frozenset[str] | None = None) -> Expression:
    """Return the compiled expression, from the cache when it is known.

    `allowed` are the variables in scope, without $; None allows any. Raises ExpressionError (syntax,
    forbidden or limit).
    """
    expression = _cache.get(source)
    check_names(expression, allowed)
    return expression


def check_names(expression: Expression, allowed: frozenset[str] | None) -> None:
    """Raise ExpressionError for a variable that is not in scope."""
    if allowed is None:
        return
    for name in sorted(expression.names - allowed):
        known = ", ".join(f"${known}" for known in sorted(allowed)) or "none"
        hint = suggestion(name, allowed, "$") or f" In scope: {known}."
        place = position_of(f"${name}", expression.source)
        raise ExpressionError(f"${name} is not defined here.{hint}", expression.source, "syntax", place)
