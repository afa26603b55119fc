"""What names mean where, resolved while compiling."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import count

from .errors import ExpressionError, Kind
from .nodes import Node
from .syntax import Tree

_keys = count(1)
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


def new_key() -> int:
    """Return an identity for a binding; nothing but identity ever depends on it."""
    return next(_keys)


Compiler = Callable[[Tree, "Scope"], Node]


class Unit:
    """One program being compiled: its source for messages, and the outer variables it uses."""

    def __init__(self, source: str, compiler: "Compiler") -> None:
        self.source = source
        self.compiler = compiler
        self.names: set[str] = set()

    def error(self, message: str, word: str = "", kind: Kind = "syntax") -> ExpressionError:
        """Return an error of this program, at the place where a word of it stands."""
        return ExpressionError(message, self.source, kind, position_of(word, self.source))


class Function:
    """A function defined in jq: `key` is None when it comes from the library and closes over nothing."""

    def __init__(self, name: str, parameters: list[str], key: int | None) -> None:
        self.name = name
        self.key = key
        self.parameters = [
            (parameter.lstrip("$"), parameter.startswith("$"), new_key()) for parameter in parameters
        ]
        self.body: Node | None = None


class Parameter:
    """A filter parameter of a function."""

    def __init__(self, key: int) -> None:
        self.key = key


class ValueParameter:
    """A `$value` parameter, which can also be called by its bare name."""

    def __init__(self, key: int) -> None:
        self.key = key


Target = Function | Parameter | ValueParameter


class Scope:
    """Names visible at one place of a program."""

    def __init__(self, unit: Unit, outer: "Scope | None" = None) -> None:
        self.unit = unit
        self.outer = outer
        self.variables: dict[str, int] = {}
        self.functions: dict[tuple[str, int], Target] = {}
        self.labels: dict[str, int] = {}

    def compile(self, tree: Tree) -> Node:
        """Return a filter compiled where these names are visible."""
        return self.unit.compiler(tree, self)

    def inner(self) -> "Scope":
        """Return a scope inside this one."""
        return Scope(self.unit, self)

    def variable(self, name: str) -> int | None:
        """Return the key of a variable bound in the program, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.outer
        return None

    def function(self, name: str, arity: int) -> Target | None:
        """Return what a call refers to in the program, or None."""
        scope: Scope | None = self
        while scope is not None:
            if (name, arity) in scope.functions:
                return scope.functions[(name, arity)]
            scope = scope.outer
        return None

    def label(self, name: str) -> int:
        """Return the key of a label; raises ExpressionError when there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.labels:
                return scope.labels[name]
            scope = scope.outer
        raise self.unit.error(f"`break ${name}` has no `label ${name}` around it.")

    def function_names(self) -> set[str]:
        """Return the names of all functions the program defines here."""
        names: set[str] = set()
        scope: Scope | None = self
        while scope is not None:
            names.update(name for name, _ in scope.functions)
            scope = scope.outer
        return names


def position_of(word: str, source: str) -> int | None:
    """Return where a name first stands in a source: not inside a text, if it also stands outside of one."""
    name = re.compile(rf"(?<![\w$@.]){re.escape(word)}(?!\w)")
    if not word:
        return None
    outside = _TEXT.sub(lambda text: " " * len(text[0]), source)
    found = name.search(outside) or name.search(source)
    return None if found is None else found.start()


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return " Did you mean X?" for the closest known name, or nothing."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {prefix}{close[0]}?" if close else ""


def function_parameters(scope: Scope, function: Function) -> Scope:
    """Return the scope of a function's body."""
    inside = scope.inner()
    for name, by_value, key in function.parameters:
        inside.functions[(name, 0)] = ValueParameter(key) if by_value else Parameter(key)
        if by_value:
            inside.variables[name] = key
    return inside


def pattern_variables(pattern: Tree) -> list[str]:
    """Return the variables a destructuring pattern binds, in order of appearance."""
    if pattern[0] == "pvar":
        return [pattern[1]]
    if pattern[0] == "parray":
        return [name for part in pattern[1] for name in pattern_variables(part)]
    names: list[str] = []
    for _, part, also in pattern[1]:
        names.extend([also] if also is not None else [])
        names.extend(pattern_variables(part))
    return names
