"""Two versions of a workflow compared by structure: which steps came, went, moved or changed, and what that means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.definitions.outline import at, outline
from domain.definitions.phrases import visible

from .fields import differing, same
from .matching import Matched, Placed, match, own
from .model import Change, ChangeKind, Diff, FieldChange
from .notes import input_notes, step_notes
from .text import as_text

__all__ = ["Change", "ChangeKind", "Diff", "FieldChange", "Side", "as_text", "compare"]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: a definition and what belongs to it. `calls` are what a published version's are pinned to."""

    definition: Any
    triggers: Any = None
    actions: Any = None
    variables: Any = None
    calls: Mapping[str, Any] = field(default_factory=dict)


def compare(before: Side, after: Side) -> Diff:
    """Raises Invalid for more than 2 000 steps. Layout is no difference: moving a box changes nothing that runs."""
    changes = [
        *_document(before.definition, after.definition),
        *_steps(before, after),
        *_named("trigger", before.triggers, after.triggers),
        *_named("action", before.actions, after.actions),
        *_entries("variable", before.variables, after.variables),
    ]
    return Diff(tuple(changes))


def _document(before: Any, after: Any) -> Iterator[Change]:
    old, new = (
        {name: value for name, value in each.items() if name != "do"} if isinstance(each, Mapping) else {}
        for each in (before, after)
    )
    found = differing(old, new)
    if found:
        notes = tuple(input_notes(before, after))
        yield Change("document", ChangeKind.CHANGED, "the document", "", "", found, notes)


def _steps(before: Side, after: Side) -> Iterator[Change]:
    found = match(outline(before.definition), outline(after.definition))
    yield from _one_sided(ChangeKind.REMOVED, found.removed)
    yield from _one_sided(ChangeKind.ADDED, found.added)
    uses = (at(before.definition, "use"), at(after.definition, "use"))
    for old, new in found.pairs:
        fields = differing(own(old.step), own(new.step))
        notes = tuple(step_notes(old.step, new.step, uses, (before.calls, after.calls)))
        kind = _kind(old, new, found)
        if kind is not None or fields or notes:
            yield Change(
                "step",
                kind or ChangeKind.CHANGED,
                visible(new.step.name, 100),
                old.step.pointer,
                new.step.pointer,
                fields,
                (*_renaming(old, new), *notes),
            )


def _kind(old: Placed, new: Placed, found: Matched) -> ChangeKind | None:
    if old.step.name != new.step.name:
        return ChangeKind.RENAMED
    return ChangeKind.MOVED if new.step.pointer in found.moved else None


def _renaming(old: Placed, new: Placed) -> Iterator[str]:
    if old.step.name != new.step.name:
        yield f"It was called “{visible(old.step.name, 100)}”."


def _one_sided(kind: ChangeKind, steps: tuple[Placed, ...]) -> Iterator[Change]:
    """The outermost of them; what is inside comes and goes with it."""
    told: list[str] = []
    for each in steps:
        pointer = each.step.pointer
        if any(pointer.startswith(outer + "/") for outer in told):
            continue
        told.append(pointer)
        inside = sum(1 for other in steps if other.step.pointer.startswith(pointer + "/"))
        was, is_now = (pointer, None) if kind is ChangeKind.REMOVED else (None, pointer)
        yield Change("step", kind, visible(each.step.name, 100), was, is_now, inside=inside)


def _named(part: str, before: Any, after: Any) -> Iterator[Change]:
    """Lists of objects that are told apart by name; a trigger without one is called by its type."""
    old, new = (
        {
            str(each.get("name", each.get("type", index))): each
            for index, each in enumerate(side)
            if isinstance(each, Mapping)
        }
        if isinstance(side, list)
        else {}
        for side in (before, after)
    )
    yield from _entries(part, old, new)


def _entries(part: str, before: Any, after: Any) -> Iterator[Change]:
    old, new = (each if isinstance(each, Mapping) else {} for each in (before, after))
    for name in dict.fromkeys([*old, *new]):
        shown = visible(name, 100)
        if name not in new:
            yield Change(part, ChangeKind.REMOVED, shown, shown, None)
        elif name not in old:
            yield Change(part, ChangeKind.ADDED, shown, None, shown)
        elif not same(old[name], new[name]):
            yield Change(part, ChangeKind.CHANGED, shown, shown, shown, differing(old[name], new[name]))
