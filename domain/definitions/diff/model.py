"""What two versions of a workflow differ in, change by change."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    RENAMED = "renamed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """`pointer` leads into the step or part; where the field is missing, the value is None and the flag false."""

    pointer: str
    before: Any
    after: Any
    was_set: bool = True
    is_set: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """`part` is "step", "document", "trigger", "action" or "variable"; a step may be moved and changed at once.

    `kind` is the strongest word for it, `notes` say what it means. `inside` is how many steps an added or
    removed step holds.
    """

    part: str
    kind: ChangeKind
    name: str
    before: str | None
    after: str | None
    fields: tuple[FieldChange, ...] = ()
    notes: tuple[str, ...] = ()
    inside: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        return not self.changes

    def count(self, kind: ChangeKind) -> int:
        return sum(1 for change in self.changes if change.kind is kind)

    def as_json(self) -> dict[str, Any]:
        counts = {kind.value: self.count(kind) for kind in ChangeKind}
        return {"counts": counts, "changes": [asdict(change) for change in self.changes]}
