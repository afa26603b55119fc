"""Whether an attribute of an event is what a filter wants: the same for a step that listens and for a trigger."""

from collections.abc import Callable

from domain.definitions.expressions import Expression, Json, Template
from domain.definitions.program import Literally
from domain.definitions.values import canonical


def attribute_fits(
    wanted: Literally | Expression | Template,
    value: Json,
    evaluate: Callable[[Expression | Template, Json], Json],
) -> bool:
    """A test of the value says yes or no; any other result is what the value must be."""
    if isinstance(wanted, Literally):
        if same(wanted.value, value):
            return True
        return wanted.pattern is not None and isinstance(value, str) and bool(wanted.pattern.fullmatch(value))
    result = evaluate(wanted, value)
    if isinstance(wanted, Expression) and isinstance(result, bool):
        return result
    return same(result, value)


def same(wanted: Json, value: Json) -> bool:
    """As JSON: true is not 1."""
    return type(wanted) is type(value) and (
        wanted == value if isinstance(value, str) else _equal(wanted, value)
    )


def _equal(wanted: Json, value: Json) -> bool:
    return canonical(wanted) == canonical(value)
