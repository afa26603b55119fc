"""The allow-list of functions: what is not registered here or written in prelude.py does not exist.

Four kinds, by what they take and give:
values  - plain values in, one value out; every combination of argument results is a call
folds   - filters as arguments, one value out
filters - filters as arguments, a stream out
paths   - the path mode of a filter: items in, items out
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Signature = tuple[str, int]

VALUES: dict[Signature, Callable[..., Any]] = {}
FOLDS: dict[Signature, Callable[..., Any]] = {}
FILTERS: dict[Signature, Callable[..., Iterator[Any]]] = {}
PATHS: dict[Signature, Callable[..., Iterator[Any]]] = {}

_OUTSIDE = "it reaches outside the expression"
_CLOCK = "results must not depend on a clock; use $workflow.startedAt or $task.startedAt"
_ZONE = "results must not depend on the machine's time zone; use gmtime or strftime"
FORBIDDEN: dict[str, str] = {
    "now": _CLOCK,
    "localtime": _ZONE,
    "strflocaltime": _ZONE,
    "env": _OUTSIDE,
    "input": _OUTSIDE,
    "inputs": _OUTSIDE,
    "input_filename": _OUTSIDE,
    "input_line_number": _OUTSIDE,
    "debug": _OUTSIDE,
    "stderr": _OUTSIDE,
    "halt": "it would end the process; use error",
    "halt_error": "it would end the process; use error",
    "import": "modules cannot be loaded",
    "include": "modules cannot be loaded",
    "module": "modules cannot be loaded",
    "modulemeta": "modules cannot be loaded",
    "get_search_list": "modules cannot be loaded",
    "rand": "results must be the same every time",
    "builtins": _OUTSIDE,
}


def value(name: str, arity: int = 0) -> Callable[[F], F]:
    """Register `f(run, value, *arguments) -> value`."""
    return _register(VALUES, name, arity)


def fold(name: str, arity: int) -> Callable[[F], F]:
    """Register `f(value, env, *filters) -> value`."""
    return _register(FOLDS, name, arity)


def stream(name: str, arity: int = 0) -> Callable[[F], F]:
    """Register `f(value, env, *filters) -> iterator of values`."""
    return _register(FILTERS, name, arity)


def paths(name: str, arity: int = 0) -> Callable[[F], F]:
    """Register `f((path, value), env, *filters) -> iterator of (path, value)`."""
    return _register(PATHS, name, arity)


def _register(table: dict[Signature, Callable[..., Any]], name: str, arity: int) -> Callable[[F], F]:
    def remember(function: F) -> F:
        table[(name, arity)] = function
        return function

    return remember
