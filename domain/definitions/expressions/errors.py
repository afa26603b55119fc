"""How evaluating an expression can end other than with a value."""

from typing import Any, Literal

Kind = Literal["syntax", "forbidden", "runtime", "limit", "cardinality"]


class ExpressionError(Exception):
    """An expression that cannot be compiled or evaluated.

    `message` is a sentence for the author, `expression` the source text, `kind` one of syntax, forbidden,
    runtime, limit and cardinality; `position` counts the characters of the source before the trouble, None
    where it has no one place.
    """

    def __init__(self, message: str, expression: str, kind: Kind, position: int | None = None) -> None:
        super().__init__(message, expression, kind, position)
        self.position = position
        self.message = message
        self.expression = expression
        self.kind: Kind = kind

    def __str__(self) -> str:
        shown = self.expression if len(self.expression) <= 200 else self.expression[:197] + "..."
        return f"{self.message} In the expression: {shown}"


class FuelExhausted(Exception):
    """The budget of this activation is spent: nothing was changed, evaluate again with a fresh meter."""


class Fault(Exception):
    """An error of the language itself: the program may catch it with `try` or `?`."""

    def __init__(self, value: Any) -> None:
        super().__init__("jq error")
        self.value = value


class Break(Exception):
    """Leaves the `label` whose token it carries."""

    def __init__(self, token: object) -> None:
        super().__init__("break")
        self.token = token


class Spent(BaseException):
    """Out of fuel. Not an `Exception`, so that nothing in between can take it for an error of the program."""


class TooBig(BaseException):
    """A limit on depth or size was met; no `try` of the program can swallow it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
