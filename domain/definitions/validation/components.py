"""What `use` declares, who refers to it, and what all of those who do can read."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.model import STEP_SCOPE
from domain.definitions.validation.expressions import Names
from domain.definitions.validation.report import Report, shown

#: The parts of `use` that steps refer to by name, each with what one of it is called.
REFERRED: Final = {
    "authentications": "authentication",
    "errors": "error",
    "retries": "retry policy",
    "timeouts": "timeout",
}


class Components:
    """Reusable parts by name; references are told here so that what nobody uses can be told too."""

    def __init__(self, definition: Mapping[str, Any]) -> None:
        use = definition.get("use")
        parts = use if isinstance(use, dict) else {}
        self._declared = {part: parts[part] if isinstance(parts.get(part), dict) else {} for part in REFERRED}
        #: For each component that is referred to: the names that every place referring to it can read.
        self._readable: dict[tuple[str, str], Names] = {}
        #: Every `call` of the definition, for what is called by name.
        self.called: set[str] = set()

    def refer(
        self, report: Report, part: str, pointer: str, name: str, names: Names, otherwise: str | None = None
    ) -> None:
        """Someone at `pointer`, who can read `names`, refers to a component; it must be there."""
        known = self._declared[part]
        if name in known:
            self._readable[part, name] = self._readable.get((part, name), names) & names
            return
        what = REFERRED[part]
        hint = report.did_you_mean(name, known) or otherwise
        report.add(
            pointer,
            f"unknown_{what.split()[0]}",
            f"There is no {what} `{shown(name)}` in `use.{part}`.",
            hint or f"Declare it there, or write the {what} here.",
        )

    def names(self, part: str, name: str, otherwise: Names = STEP_SCOPE) -> Names:
        """What the expressions of a component can read."""
        return self._readable.get((part, name), otherwise)

    def used(self, part: str) -> set[str]:
        """The names of the components of one part that something refers to."""
        return {name for kind, name in self._readable if kind == part}
