"""Values written out in a definition that are too large for the state: they would fail whenever they ran."""

from typing import Any

from domain.definitions.checks import MAXIMUM_VALUE
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report
from domain.definitions.values import measure


def check_size(report: Report, pointer: str, value: Any) -> None:
    """Tell of the innermost part of `value` that is too large whatever the expressions in it become."""
    if not _is_too_large(value):
        return
    while isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        part = next(((key, item) for key, item in entries if _is_too_large(item)), None)
        if part is None:
            break
        pointer, value = join(pointer, part[0]), part[1]
    report.add(
        pointer,
        "value_too_large",
        f"This is larger than {MAXIMUM_VALUE // 1024} KB, the most a value may have; the step would always fail.",
        "Shorten it, or keep it elsewhere and fetch the part you need when the step runs.",
    )


def _is_too_large(value: Any) -> bool:
    # Measuring as it stands is quick and settles nearly every value.
    return measure(value, MAXIMUM_VALUE) > MAXIMUM_VALUE and _least(value) > MAXIMUM_VALUE


def _least(value: Any) -> int:
    """The size of a value whose expressions all become as small as can be: one digit."""
    return measure(_closed(value), MAXIMUM_VALUE)


def _closed(value: Any) -> Any:
    match value:
        case str():
            return 0 if "${" in value else value
        case dict():
            return {key: _closed(item) for key, item in value.items()}
        case list():
            return [_closed(item) for item in value]
        case _:
            return value
