"""CloudEvents as executions hear them: what identifies one, what is read of it, and how much is kept."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import re2

from domain.definitions.values import Json, ValueRefused, check_value

#: The action behind `emit`.
EMIT: Final = "event.emit"
SPECVERSION: Final = "1.0"

#: The largest event, in bytes of JSON.
MAXIMUM_EVENT: Final = 128 * 1024
#: What an execution keeps of events that no step has asked for yet, or that wait for their turn in a `foreach`.
MAXIMUM_KEPT: Final = 100
MAXIMUM_KEPT_BYTES: Final = 256 * 1024
#: Deliveries repeat within minutes: so many keys are remembered to recognise them.
MAXIMUM_KEYS: Final = 500
MAXIMUM_TYPE: Final = 200
#: Bytes, because both are found by an index.
MAXIMUM_SOURCE: Final = 1000
MAXIMUM_ID: Final = 500
#: Sources of what the product tells itself: nobody else speaks in its name.
RESERVED: Final = "/perdure/"
#: Among them, what workflows emit without saying another.
OF_WORKFLOWS: Final = "/perdure/workflows/"

#: What CloudEvents itself calls by name; everything else is an extension.
ATTRIBUTES: Final = frozenset(
    {"id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data"}
)
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,60}", re.ASCII)
_SYMBOLS: Final = frozenset("\\^$*+?()[]{}|")
_REGEX_MEMORY: Final = 1_048_576


def key(event: Mapping[str, Any]) -> str | None:
    """What `source` and `id` make of it: the same event has the same key. None for one that does not say."""
    source, id = event.get("source"), event.get("id")
    if not isinstance(source, str) or not isinstance(id, str):
        return None
    told = json.dumps([source, id]).encode()
    return hashlib.blake2b(told, digest_size=12).hexdigest()


def read(event: Mapping[str, Json], how: str) -> Json:
    """The event as `listen` reads it: "envelope" is all of it, "raw" its data as they came, else its data."""
    if how == "envelope":
        return dict(event)
    if "data" in event or "data_base64" not in event:
        return event.get("data")
    encoded = event["data_base64"]
    return encoded if how == "raw" else _decoded(encoded, event.get("datacontenttype"))


def attribute_problem(name: str, value: Json) -> str | None:
    """What is wrong with an extension of a CloudEvent that is to be sent; None for one that others can read."""
    if name in ("specversion", "data_base64"):
        return f"`{name}` is filled in by the engine; leave it out"
    if not _EXTENSION.fullmatch(name):
        return (
            "an attribute of a CloudEvent is named with lower-case letters and digits, at most 60; "
            "anything else belongs into `data`"
        )
    if isinstance(value, dict | list):
        return (
            f"the attribute `{name}` is a text, a number or a boolean; lists and objects belong into `data`"
        )
    return None


def may_emit_as(source: str) -> bool:
    """Whether a workflow may send events of this source; the platform's own are not for it."""
    return not source.startswith(RESERVED) or source.startswith(OF_WORKFLOWS)


def is_pattern(text: str) -> bool:
    """Whether a filter's text is a regular expression; dots alone are those of names."""
    return not _SYMBOLS.isdisjoint(text)


@lru_cache(maxsize=512)
def pattern(text: str) -> Any:
    """The compiled regular expression, linear in what it reads; None for a text that is none after all."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY
    try:
        return re2.compile(text, options)
    except re2.error:
        return None


def _decoded(encoded: Json, content_type: Json) -> Json:
    """Binary data that say they are JSON or text; anything else stays in base64."""
    kind = content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""
    if not isinstance(encoded, str):
        return encoded
    try:
        content = base64.b64decode(encoded, validate=True)
        if kind == "application/json" or kind.endswith("+json"):
            return check_value(json.loads(content))
        return content.decode() if kind.startswith("text/") else encoded
    except (binascii.Error, ValueError, RecursionError, ValueRefused):
        return encoded
