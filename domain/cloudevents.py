"""CloudEvents 1.0 as they arrive from outside, in structured JSON: every problem of each, with its place and mend."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from domain.definitions.values import Json, ValueRefused, check_value, measure
from domain.errors import Problem
from domain.events import (
    ATTRIBUTES,
    MAXIMUM_EVENT,
    MAXIMUM_ID,
    MAXIMUM_SOURCE,
    MAXIMUM_TYPE,
    RESERVED,
    SPECVERSION,
    attribute_problem,
)

#: So many events come in one request.
MAXIMUM_BATCH: Final = 100
_LONGEST: Final = 1000
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_OWN: Final = ATTRIBUTES | {"specversion", "data_base64"}
_TEXTS: Final = ("subject", "datacontenttype", "dataschema", "time")
_BYTES: Final = {"id": MAXIMUM_ID, "source": MAXIMUM_SOURCE}


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event that can be recorded."""

    event: dict[str, Json]

    @property
    def source(self) -> str:
        return str(self.event["source"])

    @property
    def id(self) -> str:
        return str(self.event["id"])

    @property
    def type(self) -> str:
        return str(self.event["type"])

    @property
    def said(self) -> tuple[str, str]:
        """Source and id: what an event is known by."""
        return self.source, self.id

    def says_what(self, known: "dict[str, Any]") -> bool:
        """Whether another event with this source and id has the same content; when it was sent does not matter."""
        mine = {name: value for name, value in self.event.items() if name != "time"}
        return mine == {name: value for name, value in known.items() if name != "time"}


def read(given: Json, pointer: str, now: datetime) -> Arrived | list[Problem]:
    """The event, or everything that is wrong with it; a `time` that is left out is now."""
    if not isinstance(given, dict):
        return [
            Problem(
                pointer, "An event is a JSON object.", "Send a CloudEvent: specversion, id, source, type."
            )
        ]
    if measure(given, MAXIMUM_EVENT) > MAXIMUM_EVENT:
        told = f"An event has at most {MAXIMUM_EVENT // 1024} KB."
        return [Problem(pointer, told, "Keep large data as a document and send its id.", "event_too_large")]
    try:
        check_value(given)
    except ValueRefused as refusal:
        return [Problem(pointer + refusal.pointer, f"{refusal.message[:1].upper()}{refusal.message[1:]}.")]
    # The format lets a sender write null for an attribute that is not set; `data` may be null.
    event = {name: value for name, value in given.items() if value is not None or name == "data"}
    problems = list(_problems(event, pointer))
    if problems:
        return problems
    event.setdefault("time", _written(now))
    return Arrived(event)


def moment(time: str) -> datetime | None:
    """A time of RFC 3339; None for a text that is none."""
    if not _TIME.fullmatch(time):
        return None
    try:
        return datetime.fromisoformat(time.upper())
    except ValueError:
        return None


def _problems(event: dict[str, Json], at: str) -> Iterator[Problem]:
    if event.get("specversion") != SPECVERSION:
        hint = f'Write `"specversion": "{SPECVERSION}"`.'
        yield Problem(f"{at}/specversion", f"The event is not one of CloudEvents {SPECVERSION}.", hint)
    for name in ("id", "source", "type"):
        yield from _required(event, at, name)
    for name in _TEXTS:
        value = event.get(name, "-")
        if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST:
            yield Problem(
                f"{at}/{name}", f"`{name}` is a text of 1 to {_LONGEST} characters.", "Or leave it out."
            )
    time = event.get("time")
    if isinstance(time, str) and time and moment(time) is None:
        yield Problem(f"{at}/time", "`time` is no time of RFC 3339.", "For example `2026-11-23T09:30:00Z`.")
    yield from _data(event, at)
    for name in event.keys() - _OWN:
        told = attribute_problem(name, event[name])
        if told is not None:
            yield Problem(
                f"{at}/{_token(name)}", f"{told[:1].upper()}{told[1:]}.", "Rename it, or move it into `data`."
            )


def _required(event: dict[str, Json], at: str, name: str) -> Iterator[Problem]:
    value = event.get(name)
    limit, unit = (_BYTES[name], "bytes") if name in _BYTES else (MAXIMUM_TYPE, "characters")
    size = len(value.encode(errors="replace") if name in _BYTES else value) if isinstance(value, str) else 0
    if not 1 <= size <= limit:
        yield Problem(f"{at}/{name}", f"Every event has `{name}`, a text of 1 to {limit} {unit}.", "Add it.")
    elif name == "source" and str(value).startswith(RESERVED):
        told = f"Sources that begin with `{RESERVED}` are those of this platform itself."
        yield Problem(f"{at}/source", told, "Name the system that sends the event.", "reserved_source")


def _data(event: dict[str, Json], at: str) -> Iterator[Problem]:
    if "data_base64" not in event:
        return
    if "data" in event:
        yield Problem(f"{at}/data_base64", "An event has `data` or `data_base64`.", "Leave one of them out.")
    try:
        base64.b64decode(str(event["data_base64"]), validate=True)
    except (binascii.Error, ValueError):
        yield Problem(
            f"{at}/data_base64", "`data_base64` is not base64.", "Encode it, or send JSON in `data`."
        )


def _written(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
