"""Refused arguments in words: where, what, and how to mend it; never the value, which may be a secret."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from domain.definitions.pointers import join

_SHOWN = 5
_LONGEST_PART = 80
Path = tuple[str | int, ...]
Item = Mapping[str, Any]


def explain(error: ValidationError, model: type[BaseModel], given: Any) -> str:
    """The first five problems of the arguments `given` as `/pointer: sentence`, the rest counted."""
    places: dict[Path, list[Item]] = {}
    for item in error.errors(include_url=False, include_input=False):
        places.setdefault(_path(item["loc"], given, item["type"]), []).append(dict(item))
    # A value of the wrong type in which something is wrong further in is of the right one in another alternative.
    containers = {path[:length] for path in places for length in range(len(path))}
    problems = [
        sentence
        for path, items in places.items()
        if path not in containers or not all(map(_is_about_type, items))
        for sentence in _sentences(path, items, model)
    ]
    rest = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _path(location: Sequence[str | int], given: Any, kind: str) -> Path:
    """The way into the arguments; pydantic's location also names the types it tried on that way."""
    path: list[str | int] = []
    for part in location:
        is_there = isinstance(given, dict) if isinstance(part, str) else isinstance(given, list)
        if is_there and (part in given if isinstance(given, dict) else int(part) < len(given)):
            path.append(part)
            given = given[part]
    if kind == "missing":
        path.append(location[-1])
    return tuple(path)


def _is_about_type(item: Item) -> bool:
    return str(item["type"]).endswith("_type")


def _sentences(path: Path, items: list[Item], model: type[BaseModel]) -> list[str]:
    """One for each problem at this place; alternatives of its type become one."""
    pointer = join("", *(part if isinstance(part, int) else part[:_LONGEST_PART] for part in path)) or "/"
    others = [_sentence(pointer, path, item, model) for item in items if not _is_about_type(item)]
    if others:
        return list(dict.fromkeys(others))
    wanted = dict.fromkeys(_wanted(item) for item in items)
    return [f"{pointer}: input should be {' or '.join(wanted)}"]


def _wanted(item: Item) -> str:
    if item["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return "an object"
    return str(item["msg"]).removeprefix("Input should be ")


def _sentence(pointer: str, path: Path, item: Item, model: type[BaseModel]) -> str:
    match item["type"]:
        case "missing":
            return f"{pointer} is missing; add it"
        case "extra_forbidden":
            return f"{pointer} is not an argument; {_mend(path, model)}"
        case "uuid_parsing":
            return f"{pointer}: input should be a valid UUID"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{pointer}: {message[:1].lower()}{message[1:]}"


def _mend(path: Path, model: type[BaseModel]) -> str:
    if len(path) != 1:
        return "remove it"
    names = [field.alias or name for name, field in model.model_fields.items()]
    close = get_close_matches(str(path[0])[:_LONGEST_PART], names, 1)
    return f"did you mean {close[0]}?" if close else f"remove it or use one of {', '.join(names)}"
