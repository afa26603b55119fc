"""Lists of objects beside a definition."""

from typing import Any, Final

from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, kind

MAX_ENTRIES: Final = 100


def entries(report: Report, at: str, value: Any, what: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries with their places; what is no list, too long or no object is told and left out."""
    if value is None:
        return []
    if not isinstance(value, list):
        report.add(at, "wrong_type", f"{what} must be a list, not {kind(value)}.")
        return []
    if len(value) > MAX_ENTRIES:
        report.add(at, "too_many", f"There are at most {MAX_ENTRIES} entries in this list.")
        return []
    places = [(join(at, index), entry) for index, entry in enumerate(value)]
    return [
        (place, found)
        for place, entry in places
        if (found := report.object(place, entry, "An entry")) is not None
    ]
