"""Which steps' outputs must be kept because some expression reads them through `$steps`."""

from collections.abc import Iterator, Mapping

from domain.definitions.expressions import Json


def remembered(sources: Json, steps: Mapping[str, str]) -> frozenset[str]:
    """Pointers of steps, out of `steps`, whose names they map to.

    Rather one too many: it costs state, while one too few would read as null.
    """
    texts = [text for text in _strings(sources) if "$steps" in text]
    if any("\\" in text for text in texts):
        return frozenset(steps)  # escapes can spell a name without showing it
    return frozenset(pointer for pointer, name in steps.items() if any(name in text for text in texts))


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
