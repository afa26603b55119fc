"""Arguments that read secrets, completed where the call is made.

What is filled in, and where, comes from the published definition alone: data that looks like an expression or like
a place for a secret stays data.
"""

from collections.abc import Mapping
from typing import Any

from domain.definitions.commands import CallAction
from domain.definitions.expressions import Json, Meter
from domain.definitions.program import Call, Program


def reading_call(program: Program, command: CallAction) -> Call | None:
    """The call whose arguments wait for secrets; None when they are complete."""
    if command.withheld is None:
        return None
    return program.call(command.withheld.step)


def completed(call: Call, command: CallAction, secrets: Mapping[str, str], meter: Meter) -> Json:
    """The arguments with every withheld text evaluated. Raises ExpressionError and FuelExhausted."""
    assert command.withheld is not None
    scope: dict[str, Json] = {**command.withheld.scope, "secrets": dict(secrets)}
    arguments = command.arguments
    for text in call.arguments.withheld:
        result = text.template.evaluate(command.withheld.value, scope, meter)
        arguments = _replaced(arguments, text.path, result)
    return arguments


def _replaced(value: Any, path: tuple[str | int, ...], result: Json) -> Json:
    """A copy along the path; the command itself is never changed."""
    if not path:
        return result
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], result)
    return copy  # type: ignore[no-any-return]  # a list or an object, as it was
