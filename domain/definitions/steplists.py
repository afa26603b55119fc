"""Where a step keeps lists of further steps: one place knows, and everything that walks a definition asks it."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.definitions.model import STEP_LISTS

Path = tuple[str, ...]


def step_lists(body: Mapping[str, Any]) -> Iterator[Path]:
    """The paths inside a step at which lists of steps stand."""
    paths = dict.fromkeys(path for keyword in STEP_LISTS if keyword in body for path in STEP_LISTS[keyword])
    for path in paths:
        if isinstance(found(body, path), list):
            yield path


def found(value: Any, path: Path) -> Any:
    """What stands at the path, None where it leads nowhere."""
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def replaced(body: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of the step with another value at the path, which must exist."""
    [name, *rest] = path
    return {**body, name: replaced(body[name], tuple(rest), value) if rest else value}
