"""JSON templates: literal JSON in which texts may be expressions, as `${ ... }`.

What is an expression is decided when the template is compiled, from the definition. Text that looks like an
expression but arrives as data is data.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..values import Json
from .errors import ExpressionError, FuelExhausted, Spent, TooBig
from .expression import Expression, compile_expression
from .meter import EXPRESSION_FUEL, MAX_TEXT, Meter, Run
from .text import to_text

MAX_TEMPLATE_DEPTH = 64


def is_expression(text: str) -> bool:
    """Return whether a whole text is one `${ ... }`."""
    if not (text.startswith("${") and text.endswith("}")):
        return False
    # An expression that never closes properly is still meant as one: compiling it will say what is wrong.
    return _closing(text, 2) in (len(text) - 1, -1)


def strip_expression(text: str) -> str:
    """Return the inside of `${ ... }`; a bare text as it is."""
    return text[2:-1].strip() if is_expression(text) else text


def split_text(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a mixed text, with True those that are sources of expressions.

    Raises ExpressionError for an expression that never closes.
    """
    place = 0
    while (start := text.find("${", place)) >= 0:
        end = _closing(text, start + 2)
        if end < 0:
            raise ExpressionError("A ${ in the text is never closed by }.", text[start:], "syntax")
        yield text[place:start], False
        yield text[start + 2 : end].strip(), True
        place = end + 1
    yield text[place:], False


def _closing(text: str, start: int) -> int:
    """Return where the brace opened before `start` closes, minding jq's texts; -1 when it does not."""
    open_marks = ["{"]
    place = start
    while place < len(text):
        character = text[place]
        if open_marks[-1] == '"':
            if character == "\\":
                place += 1
                if text[place : place + 1] == "(":
                    open_marks.append("(")
            elif character == '"':
                open_marks.pop()
        elif character in '{["(':
            open_marks.append(character)
        elif character in "}])":
            if open_marks[-1] + character not in ("{}", "[]", "()"):
                return -1
            open_marks.pop()
            if not open_marks:
                return place
        place += 1
    return -1


class Template:
    """A compiled template; `names` are the outer variables of all its expressions, without $.

    `withheld` are the texts that evaluation leaves as they are written, because they read a withheld name.
    """

    __slots__ = ("_plan", "_size", "names", "withheld")

    def __init__(
        self, plan: "_Plan", names: frozenset[str], size: int, withheld: "tuple[Withheld, ...]" = ()
    ) -> None:
        self._plan = plan
        self._size = size
        self.names = names
        self.withheld = withheld

    def evaluate(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        """Return the template with every expression replaced by its result.

        Raises what `Expression.evaluate` raises.
        """
        left = meter.left()
        if left is not None and left < self._size:
            meter.spent += left
            raise FuelExhausted
        meter.spent += self._size
        return self._plan.fill(value, scope, meter)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A text at `path` in the template, to be evaluated elsewhere; `secrets` as in `Expression`."""

    path: tuple[str | int, ...]
    template: Template
    secrets: frozenset[str | None]
    needs_input: bool


class _Plan(ABC):
    @abstractmethod
    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        """The value this part of the template stands for."""


class _Literal(_Plan):
    def __init__(self, constant: Json) -> None:
        self.constant = constant

    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        return self.constant


class _Inserted(_Plan):
    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        return self.expression.evaluate(value, scope, meter)


class _List(_Plan):
    def __init__(self, parts: list[_Plan]) -> None:
        self.parts = parts

    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        return [part.fill(value, scope, meter) for part in self.parts]


class _Object(_Plan):
    def __init__(self, parts: dict[str, _Plan]) -> None:
        self.parts = parts

    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        return {name: part.fill(value, scope, meter) for name, part in self.parts.items()}


class _Text(_Plan):
    def __init__(self, parts: list[str | Expression], source: str) -> None:
        self.parts = parts
        self.source = source

    def fill(self, value: Json, scope: Mapping[str, Json], meter: Meter) -> Json:
        pieces = []
        size = 0
        for part in self.parts:
            piece = part if isinstance(part, str) else _as_text(part, value, scope, meter)
            size += len(piece)
            if size > MAX_TEXT:
                raise ExpressionError(
                    f"The text becomes longer than {MAX_TEXT} characters.", self.source, "limit"
                )
            pieces.append(piece)
        return "".join(pieces)


def _as_text(expression: Expression, value: Json, scope: Mapping[str, Json], meter: Meter) -> str:
    result = expression.evaluate(value, scope, meter)
    if result is None:
        return ""
    if isinstance(result, str):
        return result
    left = meter.left()
    fuel = EXPRESSION_FUEL if left is None else min(left, EXPRESSION_FUEL)
    run = Run(fuel, {})
    try:
        return to_text(run, result)
    except Spent:
        if fuel < EXPRESSION_FUEL:
            raise FuelExhausted from None
        raise ExpressionError(
            "Its result is too large to be written as text.", expression.source, "limit"
        ) from None
    except TooBig as problem:
        raise ExpressionError(f"It exceeds a limit: {problem.message}.", expression.source, "limit") from None
    finally:
        meter.spent += fuel - max(0, run.left)


def compile_template(
    template: Json,
    *,
    mixed: bool = False,
    allowed: frozenset[str] | None = None,
    withhold: frozenset[str] = frozenset(),
) -> Template:
    """Return the compiled template; raises ExpressionError for the first expression that cannot be compiled.

    With `mixed`, expressions inside longer texts are filled in too: texts as they are, null as nothing and
    everything else as compact JSON. `allowed` are the variables in scope, without $; None allows any. Texts
    that read a variable among `withhold` stay as they are written and are told in `withheld`.
    """
    compiler = _TemplateCompiler(mixed, allowed, withhold)
    plan = compiler.compile(template, ())
    return Template(plan, frozenset(compiler.names), 1 + (compiler.size >> 2), tuple(compiler.withheld))


class _TemplateCompiler:
    def __init__(self, mixed: bool, allowed: frozenset[str] | None, withhold: frozenset[str]) -> None:
        self.mixed = mixed
        self.allowed = allowed
        self.withhold = withhold
        self.names: set[str] = set()
        self.withheld: list[Withheld] = []
        self.size = 0

    def compile(self, template: Any, path: tuple[str | int, ...]) -> _Plan:
        self.size += 1
        if len(path) > MAX_TEMPLATE_DEPTH:
            raise ExpressionError(f"The template nests deeper than {MAX_TEMPLATE_DEPTH} levels.", "", "limit")
        if isinstance(template, list):
            return _List([self.compile(part, (*path, at)) for at, part in enumerate(template)])
        if isinstance(template, dict):
            return _Object({name: self.compile(part, (*path, name)) for name, part in template.items()})
        if not isinstance(template, str) or "${" not in template:
            return _Literal(template)
        found: list[Expression] = []
        if is_expression(template):
            found.append(self.expression(strip_expression(template)))
            plan: _Plan = _Inserted(found[0])
        elif self.mixed:
            plan = self.text(template, found)
        else:
            return _Literal(template)
        names = frozenset[str]().union(*(each.names for each in found))
        if not names & self.withhold:
            self.names |= names
            return plan
        secrets = frozenset[str | None]().union(*(each.secrets for each in found))
        needs_input = any(each.needs_input for each in found)
        self.withheld.append(Withheld(path, Template(plan, names, 1), secrets, needs_input))
        return _Literal(template)

    def expression(self, source: str) -> Expression:
        return compile_expression(source, self.allowed)

    def text(self, template: str, found: list[Expression]) -> _Plan:
        parts: list[str | Expression] = []
        for part, is_source in split_text(template):
            if is_source:
                found.append(self.expression(part))
                parts.append(found[-1])
            else:
                parts.append(part)
        return _Text(parts, template)
