"""YAML 1.2 as events: the core schema only, so that `on`, `yes` and dates stay the text they look like."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from domain.definitions.documents.builder import Event, Position, Unreadable

Scalar = bool | int | float | str | None

# https://yaml.org/spec/1.2.2/#1032-tag-resolution
_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))")
_TAG: Final = "tag:yaml.org,2002:"
_LONGEST_NUMBER: Final = 400


def yaml_events(text: str) -> Iterator[Event]:
    """Raises `Unreadable` for syntax errors and for what JSON has not: aliases, tags, keys not text."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    try:
        yield from _events(reader.parse(text))
    except ReaderError as error:
        before = text[: error.position]
        at = Position(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise Unreadable("This character is not allowed in YAML; remove it.", at) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Position(1, 1) if mark is None else Position(mark.line + 1, mark.column + 1)
        told = " ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(f"This is not valid YAML: {told}.", at) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise Unreadable(f"This is not valid YAML: {str(error)[:200]}", Position(1, 1)) from None


def _events(parsed: Any) -> Iterator[Event]:
    documents = 0
    # One entry per open container: None in a list, else whether the next node is a key.
    expects_key: list[bool | None] = []
    for event in parsed:
        at = Position(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable("One file holds one document; remove the second (`---`).", at)
        elif isinstance(event, AliasEvent):
            raise Unreadable(
                f"Aliases (`*{event.anchor}`) are not supported; write the value out.",
                at,
                code="alias",
            )
        elif isinstance(event, CollectionEndEvent):
            expects_key.pop()
            yield Event("end", at)
        elif isinstance(event, NodeEvent):
            if event.anchor is not None:
                raise Unreadable(
                    f"Anchors (`&{event.anchor}`) are not supported; write the value out.",
                    at,
                    code="alias",
                )
            is_key = bool(expects_key) and expects_key[-1] is True
            if expects_key and expects_key[-1] is not None:
                expects_key[-1] = not is_key
            if isinstance(event, ScalarEvent):
                # A key is the text that stands there: JSON has no other keys.
                value = event.value if is_key and not event.ctag else _scalar(event, at)
                if is_key and not isinstance(value, str):
                    raise Unreadable("A key must be text.", at, code="bad_key")
                yield Event("key" if is_key else "scalar", at, value)
                continue
            if is_key:
                raise Unreadable("A key must be text, not a list or an object.", at, code="bad_key")
            mapping = isinstance(event, MappingStartEvent)
            tag = str(getattr(event, "ctag", None) or "")
            if tag and tag != _TAG + ("map" if mapping else "seq"):
                raise _unknown_tag(tag, at)
            expects_key.append(True if mapping else None)
            yield Event("object" if mapping else "array", at)


def _scalar(event: ScalarEvent, at: Position) -> Scalar:
    text: str = event.value
    tag = str(event.ctag) if event.ctag else ""
    if tag == _TAG + "str" or tag == "!" or (not tag and not event.implicit[0]):
        return text
    value = _resolve(text, at)
    if not tag:
        return value
    wanted: dict[str, Callable[[Scalar], bool]] = {
        "null": lambda v: v is None,
        "bool": lambda v: isinstance(v, bool),
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    }
    fits = wanted.get(tag.removeprefix(_TAG)) if tag.startswith(_TAG) else None
    if fits is None:
        raise _unknown_tag(tag, at)
    if not fits(value):
        raise Unreadable(f"`{text[:60]}` is not what its tag says.", at, code="bad_value")
    return value


def _resolve(text: str, at: Position) -> Scalar:
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    if text[0] not in "+-.0123456789":
        return text
    is_integer = _INT.fullmatch(text) or _OCTAL.fullmatch(text) or _HEX.fullmatch(text)
    if not is_integer and not _FLOAT.fullmatch(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise Unreadable("This number is too long; write it as text.", at, code="bad_value")
    if not is_integer:
        return float(text)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _unknown_tag(tag: str, at: Position) -> Unreadable:
    return Unreadable(
        f"The tag `{tag[:60]}` is not supported; a definition holds plain JSON values.",
        at,
        code="tag",
    )
