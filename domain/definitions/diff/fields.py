"""Which fields of two JSON values differ, named by their pointers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.definitions.pointers import join

from .model import FieldChange

#: More differences inside one step than this are told as one.
MAXIMUM_FIELDS: Final = 40


def differing(before: Any, after: Any, pointer: str = "") -> tuple[FieldChange, ...]:
    found: list[FieldChange] = []
    for change in _differing(before, after, pointer):
        found.append(change)
        if len(found) > MAXIMUM_FIELDS:
            return (FieldChange(pointer, before, after),)
    return tuple(found)


def same(before: Any, after: Any) -> bool:
    """As JSON has it: true is not 1."""
    if before is after:
        return True
    if isinstance(before, bool) or isinstance(after, bool):
        return False
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(same(before[name], after[name]) for name in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same, before, after))
    return type(before) is type(after) and bool(before == after)


def _differing(before: Any, after: Any, pointer: str) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            inner = join(pointer, name)
            if name not in after:
                yield FieldChange(inner, before[name], None, is_set=False)
            elif name not in before:
                yield FieldChange(inner, None, after[name], was_set=False)
            else:
                yield from _differing(before[name], after[name], inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differing(old, new, join(pointer, index))
    elif not same(before, after):
        yield FieldChange(pointer, before, after)
