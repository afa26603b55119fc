"""A difference as lines of plain text, for terminals and for people who review."""

import json
from collections.abc import Iterator
from typing import Any

from domain.definitions.phrases import counted, visible

from .model import Change, ChangeKind, Diff, FieldChange

_SIGNS = {
    ChangeKind.ADDED: "+",
    ChangeKind.REMOVED: "-",
    ChangeKind.MOVED: ">",
    ChangeKind.RENAMED: "=",
    ChangeKind.CHANGED: "~",
}


def as_text(diff: Diff) -> str:
    if diff.is_empty:
        return "No difference.\n"
    return "\n".join(line for change in diff.changes for line in _lines(change)) + "\n"


def _lines(change: Change) -> Iterator[str]:
    name = change.name if change.part == "document" else f"{change.part} “{change.name}”"
    inside = f" with {counted(change.inside, 'step')} inside" if change.inside else ""
    yield f"{_SIGNS[change.kind]} {name} {change.kind.value}{inside}{_place(change)}"
    yield from (f"    {note}" for note in change.notes)
    yield from (f"    {_field(each)}" for each in change.fields)


def _place(change: Change) -> str:
    if change.part != "step":
        return ""
    if change.kind in (ChangeKind.MOVED, ChangeKind.RENAMED):
        return f" ({visible(change.before, 200)} → {visible(change.after, 200)})"
    return f" ({visible(change.after or change.before, 200)})"


def _field(change: FieldChange) -> str:
    where = visible(change.pointer.removeprefix("/"), 120)
    if not change.was_set:
        return f"{where}: {_value(change.after)} (new)"
    if not change.is_set:
        return f"{where}: {_value(change.before)} (gone)"
    return f"{where}: {_value(change.before)} → {_value(change.after)}"


def _value(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False), 80)
