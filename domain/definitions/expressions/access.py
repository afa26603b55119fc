"""Reading, writing and deleting parts of values: fields, indexes, slices and paths."""

import math
from collections.abc import Callable, Iterable
from functools import cmp_to_key
from typing import Any

from .arithmetic import is_number
from .errors import Fault, TooBig
from .meter import MAX_ITEMS, MAX_VALUE_DEPTH, Run
from .order import all_equal, compare, equal
from .text import describe, type_name


def field(run: Run, value: Any, name: str) -> Any:
    """Return a member of an object; null has none."""
    if type(value) is dict:
        return value.get(name)
    if value is None:
        return None
    raise Fault(f"Cannot index {type_name(value)} with {describe(name)}")


def index(run: Run, value: Any, key: Any) -> Any:
    """Return what `value[key]` means: a member, an item, a slice or the places of a sub-array."""
    if isinstance(key, dict) and (value is None or isinstance(value, list | str)):
        return cut(run, value, key.get("start", False), key.get("end", False))
    if isinstance(key, str) and (value is None or isinstance(value, dict)):
        return None if value is None else value.get(key)
    if is_number(key) and (value is None or isinstance(value, list)):
        items = value or []
        place = _place(key, len(items))
        return items[place] if place is not None and 0 <= place < len(items) else None
    if isinstance(value, list) and isinstance(key, list):
        return indices(run, value, key)
    raise Fault(f"Cannot index {type_name(value)} with {describe(key)}")


def _place(key: int | float, length: int, whole: Callable[[float], int] = int) -> int | None:
    """Return the position a number means, counted from the end below zero; None for NaN."""
    if isinstance(key, float):
        if math.isnan(key):
            return None
        if math.isinf(key):
            return length if key > 0 else -1
        key = whole(key)
    return key + length if key < 0 else key


def bounds(start: Any, end: Any, length: int) -> tuple[int, int]:
    """Return a slice's limits within a length."""
    for limit in (start, end):
        if limit is not None and not is_number(limit):
            raise Fault("Array/string slice indices must be integers")
    low = 0 if start is None else _place(start, length, math.floor) or 0
    high = length if end is None else _place(end, length, math.ceil)
    low = max(0, min(low, length))
    high = length if high is None else max(0, min(high, length))
    return low, max(low, high)


def cut(run: Run, value: Any, start: Any, end: Any) -> Any:
    """Return a slice of an array or a text; of null it is null."""
    if value is None:
        return None
    if not isinstance(value, list | str):
        raise Fault(f"Cannot index {type_name(value)} with {describe({'start': start, 'end': end})}")
    low, high = bounds(start, end, len(value))
    if isinstance(value, str):
        run.text(high - low)
    else:
        run.items(high - low)
    return value[low:high]


def children(run: Run, value: Any) -> Iterable[Any]:
    """Return the items of an array or the values of an object."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return value.values()
    raise Fault(f"Cannot iterate over {describe(value)}")


def indices(run: Run, value: Any, wanted: Any) -> Any:
    """Return the positions at which a text, an item or a sub-array occurs; elsewhere what `.[wanted]` is."""
    if isinstance(value, str) and isinstance(wanted, str):
        return _text_indices(run, value, wanted)
    if isinstance(value, list) and isinstance(wanted, list):
        size = len(wanted)
        if not size:
            return []
        found = []
        for start in range(len(value) - size + 1):
            run.spend(1 + (size >> 6))
            if all_equal(run, value[start : start + size], wanted, 0):
                found.append(start)
        return found
    if isinstance(value, list):
        return [place for place, item in enumerate(value) if equal(run, item, wanted)]
    return index(run, value, wanted)


def _text_indices(run: Run, value: str, wanted: str) -> list[int]:
    if not wanted:
        return []
    run.text(len(value))
    found = []
    place = value.find(wanted)
    while place >= 0:
        run.spend(1 + (len(wanted) >> 6))
        found.append(place)
        before = place
        place = value.find(wanted, place + 1)
        run.spend((place - before if place >= 0 else len(value) - before) >> 6)
    return found


def check_path(path: Any) -> list[Any]:
    """Return a path that is an array and not too long."""
    if not isinstance(path, list | tuple):
        raise Fault("Path must be specified as an array")
    if len(path) > MAX_VALUE_DEPTH:
        raise TooBig(f"a path may not be longer than {MAX_VALUE_DEPTH} parts")
    return list(path)


def get_path(run: Run, value: Any, path: Iterable[Any]) -> Any:
    """Return the part of a value at a path; null where it leads nowhere."""
    for part in path:
        run.spend()
        value = index(run, value, part)
    return value


def set_path(run: Run, root: Any, path: list[Any], value: Any) -> Any:
    """Return a value with the part at a path replaced; containers on the way are copied."""
    above: list[tuple[Any, Any]] = []
    current = root
    for part in path:
        run.spend()
        above.append((current, part))
        current = _below(run, current, part)
    for container, part in reversed(above):
        value = _with(run, container, part, value)
    return value


def _below(run: Run, container: Any, part: Any) -> Any:
    if isinstance(part, dict) and isinstance(container, str):
        raise Fault("Cannot update string slices")
    if not isinstance(part, str | dict) and not is_number(part):
        where = "array index of array" if isinstance(part, list) else type_name(part)
        raise Fault(f"Cannot update field at {where}")
    return index(run, container, part)


def _with(run: Run, container: Any, part: Any, value: Any) -> Any:
    if isinstance(part, str):
        run.members(len(container or ()))
        return {**(container or {}), part: value}
    if isinstance(part, dict):
        return _with_slice(run, container or [], part, value)
    place = _place(part, len(container or ()))
    if place is None:
        raise Fault("Cannot set array element at NaN index")
    if place < 0:
        raise Fault("Out of bounds negative array index")
    if place >= MAX_ITEMS:
        raise Fault("Array index too large")
    out = list(container or ())
    run.items(max(len(out), place + 1))
    if place >= len(out):
        out.extend([None] * (place + 1 - len(out)))
    out[place] = value
    return out


def _with_slice(run: Run, container: list[Any], part: dict[str, Any], value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Fault("A slice of an array can only be assigned another array")
    low, high = bounds(part.get("start"), part.get("end"), len(container))
    run.items(len(container) + len(value))
    return container[:low] + value + container[high:]


def delete_paths(run: Run, root: Any, paths: Any) -> Any:
    """Return a value without the parts at some paths; all paths are read against the original."""
    if not isinstance(paths, list):
        raise Fault("Paths must be specified as an array")
    resolved = [_resolve(run, root, check_path(path)) for path in paths]
    order = cmp_to_key(lambda one, two: compare(run, one, two))
    for path in sorted(resolved, key=order, reverse=True):
        if not path:
            return None
        root = _delete(run, root, path)
    return root


def _resolve(run: Run, root: Any, path: list[Any]) -> list[Any]:
    """Replace negative and broken indexes by plain ones, so that paths sort by position."""
    out: list[Any] = []
    for part in path:
        run.spend()
        out.append(_plain(root, part))
        try:
            root = index(run, root, out[-1])
        except Fault:
            root = None
    return out


def _plain(root: Any, part: Any) -> Any:
    if isinstance(root, list) and is_number(part):
        return _place(part, len(root))
    if isinstance(root, list) and isinstance(part, dict):
        low, high = bounds(part.get("start"), part.get("end"), len(root))
        return {"start": low, "end": high}
    return part


def _delete(run: Run, root: Any, path: list[Any]) -> Any:
    above: list[tuple[Any, Any]] = []
    current = root
    for part in path[:-1]:
        run.spend()
        above.append((current, part))
        current = _below(run, current, part)
        if current is None:
            return root
    changed = _without(run, current, path[-1])
    for container, part in reversed(above):
        changed = _with(run, container, part, changed)
    return changed


def _without(run: Run, container: Any, part: Any) -> Any:
    if container is None:
        return None
    if isinstance(container, dict) and isinstance(part, str):
        run.members(len(container))
        return {name: value for name, value in container.items() if name != part}
    if isinstance(container, list) and is_number(part):
        run.items(len(container))
        return container[:part] + container[part + 1 :] if 0 <= part < len(container) else container
    if isinstance(container, list) and isinstance(part, dict):
        run.items(len(container))
        return container[: part["start"]] + container[part["end"] :]
    if isinstance(part, str):
        raise Fault(f"Cannot delete field at object index of {type_name(container)}")
    raise Fault(f"Cannot delete {type_name(part)} index of {type_name(container)}")
