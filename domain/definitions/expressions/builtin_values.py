"""Library: looking at values, conversions, objects and paths."""

import json
import re
from collections.abc import Iterator
from typing import Any

from ..values import normal_number
from . import access
from .arithmetic import is_number
from .errors import Fault
from .library import fold, paths, stream, value
from .meter import MAX_VALUE_DEPTH, Env, Run
from .nodes import Node, truthy
from .order import equal, sorted_texts, too_nested
from .paths import reached
from .text import describe, encode, to_text, type_name

value("type")(lambda run, given: type_name(given))
value("tojson")(encode)
value("tostring")(to_text)
value("have_decnum")(lambda run, given: False)
value("have_literal_numbers")(lambda run, given: True)


@value("length")
def length(_run: Run, given: Any) -> Any:
    """Return the size of a text, array or object, or a number without its sign."""
    if given is None:
        return 0
    if isinstance(given, bool):
        raise Fault(f"{describe(given)} has no length")
    return normal_number(abs(given)) if isinstance(given, int | float) else len(given)


@value("utf8bytelength")
def utf8bytelength(run: Run, given: Any) -> int:
    """Return the number of bytes a text has in UTF-8."""
    if not isinstance(given, str):
        raise Fault(f"{describe(given)} only strings have UTF-8 byte length")
    run.text(len(given))
    return len(given.encode("utf-8", "replace"))


@value("keys")
def keys(run: Run, given: Any) -> list[Any]:
    """Return the names of members in order, or the positions of items."""
    if isinstance(given, dict):
        run.items(len(given))
        return sorted_texts(run, list(given))
    return keys_unsorted(run, given)


@value("keys_unsorted")
def keys_unsorted(run: Run, given: Any) -> list[Any]:
    """Return the names of members, or the positions of items."""
    if not isinstance(given, dict | list):
        raise Fault(f"{describe(given)} has no keys")
    run.items(len(given))
    run.spend(len(given) >> 5)
    return list(given) if isinstance(given, dict) else list(range(len(given)))


@value("has", 1)
def has(_run: Run, given: Any, key: Any) -> bool:
    """Return whether there is a member or item."""
    if given is None:
        return False
    if isinstance(given, dict) and isinstance(key, str):
        return key in given
    if isinstance(given, list) and is_number(key):
        return bool(-1 < key < len(given))
    raise Fault(f"Cannot check whether {type_name(given)} has a {type_name(key)} key")


@value("contains", 1)
def contains(run: Run, given: Any, part: Any) -> bool:
    """Return whether one value is part of another."""
    if type_name(given) != type_name(part) or (isinstance(given, bool) and given is not part):
        raise Fault(f"{describe(given)} and {describe(part)} cannot have their containment checked")
    return _contains(run, given, part, 0)


def _contains(run: Run, whole: Any, part: Any, depth: int) -> bool:
    run.spend()
    if depth > MAX_VALUE_DEPTH:
        raise too_nested()
    if isinstance(whole, dict) and isinstance(part, dict):
        for name, member in part.items():
            if name not in whole or not _contains(run, whole[name], member, depth + 1):
                return False
        return True
    if isinstance(whole, list) and isinstance(part, list):
        for item in part:  # a generator would need one more frame for every level
            if not _any_contains(run, whole, item, depth):
                return False
        return True
    if isinstance(whole, str) and isinstance(part, str):
        run.spend(len(whole) >> 4)
        return part in whole
    return equal(run, whole, part)


def _any_contains(run: Run, whole: list[Any], part: Any, depth: int) -> bool:
    for item in whole:  # as above
        if _contains(run, item, part, depth + 1):
            return True
    return False


value("indices", 1)(access.indices)
value("_strindices", 1)(access.indices)


@value("tonumber")
def tonumber(run: Run, given: Any) -> Any:
    """Read a number from a text."""
    if is_number(given):
        return given
    if isinstance(given, str):
        run.text(len(given))
        number = read_number(given.removeprefix("+"))
        if number is not None:
            return number
    raise Fault(f"{describe(given)} cannot be parsed as a number")


_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def read_number(text: str) -> int | float | None:
    """Return the number a text spells, or None."""
    if _NUMBER.fullmatch(text) is None:
        return None
    return normal_number(int(text) if len(text) < 20 and text.lstrip("-").isdigit() else float(text))


@value("toboolean")
def toboolean(_run: Run, given: Any) -> bool:
    """Read a boolean from a text."""
    if isinstance(given, bool):
        return given
    if given in ("true", "false") and isinstance(given, str):
        return given == "true"
    raise Fault(f"{describe(given)} cannot be parsed as a boolean")


@value("fromjson")
def fromjson(run: Run, given: Any) -> Any:
    """Read JSON from a text."""
    if not isinstance(given, str):
        raise Fault(f"{describe(given)} cannot be parsed as JSON")
    run.text(len(given))
    run.spend(len(given) >> 2)
    if _nesting(given) > MAX_VALUE_DEPTH:
        raise Fault("Exceeds depth limit for parsing")
    try:
        return json.loads(given, parse_int=_integer, parse_float=_double, parse_constant=_no_constant)
    except ValueError as problem:
        raise Fault(f"{str(problem)[:80]} (while parsing {describe(given)})") from None


def _integer(text: str) -> int | float:
    return normal_number(int(text) if len(text) < 21 else float(text))


def _double(text: str) -> int | float:
    return normal_number(float(text))


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')


def _nesting(text: str) -> int:
    """Return an upper bound of how deeply brackets nest, so that the recursive reader is safe to call."""
    depth = deepest = 0
    for found in _MARKS.finditer(text):
        mark = found.group()[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


@value("from_entries")
def from_entries(run: Run, given: Any) -> dict[str, Any]:
    """Return an object of entries with a key (or Key, name, Name) and a value (or Value)."""
    out: dict[str, Any] = {}
    for entry in access.children(run, given):
        run.spend(2)
        found = (access.field(run, entry, name) for name in ("key", "Key", "name", "Name"))
        key = next(filter(truthy, found), None)
        if not isinstance(key, str):
            raise Fault(f"Cannot use {describe(key)} as object key")
        out[key] = entry["value"] if "value" in entry else entry.get("Value")
    return out


@value("toarray")
def toarray(_run: Run, given: Any) -> list[Any]:
    """Wrap anything but an array."""
    return given if isinstance(given, list) else [given]


@stream("path", 1)
def path(given: Any, env: Env, reach: Node) -> Iterator[Any]:
    """Yield the paths a filter reaches."""
    for steps, found in reach.paths()(((), given), env):
        there = reached(steps, found)
        env.run.spend(1 + (len(there) >> 3))
        yield list(there)


@value("getpath", 1)
def getpath(run: Run, given: Any, steps: Any) -> Any:
    """Return what is at a path."""
    return access.get_path(run, given, access.check_path(steps))


@paths("getpath", 1)
def getpath_path(item: Any, env: Env, wanted: Node) -> Iterator[Any]:
    """Reach what is at a path."""
    for given in wanted.many(item[1], env):
        steps = access.check_path(given)
        env.run.spend(1 + len(steps))
        yield (*reached(*item), *steps), access.get_path(env.run, item[1], steps)


@value("setpath", 2)
def setpath(run: Run, given: Any, steps: Any, part: Any) -> Any:
    """Return the input with the part at a path replaced."""
    return access.set_path(run, given, access.check_path(steps), part)


value("delpaths", 1)(access.delete_paths)


@stream("walk", 1)
def walk(given: Any, env: Env, change: Node) -> Iterator[Any]:
    """Change every part of a value, innermost first."""
    env.run.spend(2)
    if isinstance(given, list):
        inner = env.deeper(2)
        items: list[Any] = []
        for item in given:
            items.extend(walk(item, inner, change))
        given = items
    elif isinstance(given, dict):
        inner = env.deeper(2)
        members = {}
        for name, member in given.items():
            for found in walk(member, inner, change):
                members[name] = found
                break
        given = members
    for out in change.many(given, env):
        env.run.spend()
        yield out


@fold("INDEX", 2)
def index_by(given: Any, env: Env, source: Node, key: Node) -> dict[str, Any]:
    """Return an object of rows by the text of their key."""
    out: dict[str, Any] = {}
    for row in source.many(given, env):
        for name in key.many(row, env):
            env.run.spend(2)
            out[to_text(env.run, name)] = row
    return out
