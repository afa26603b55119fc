"""Definitions as people keep them in files: JSON or YAML 1.2, read strictly, with the place of each value."""

import re

from domain.definitions.documents.builder import Document, Position, Unreadable, build
from domain.definitions.documents.json_text import json_events
from domain.definitions.documents.yaml_text import yaml_events

MAX_BYTES = 256 * 1024
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# A bracket may also open YAML's flow style; a quote directly behind brackets is how JSON looks.
_MEANS_JSON = re.compile(r"\ufeff?[ \t\r\n]*[{\[][ \t\r\n{\[]*[\"}\]]")

__all__ = ["MAX_BYTES", "Document", "Position", "Unreadable", "load"]


def load(text: str) -> Document:
    """Return the value of a JSON or YAML 1.2 text and the line and column of everything in it.

    Raises `Unreadable` with line and column for syntax errors, duplicate keys, aliases, tags, values that are
    no JSON, more than 64 levels and more than 256 KB.
    """
    _check_characters(text)
    if not _MEANS_JSON.match(text):
        return build(yaml_events(text))
    return build(json_events(text))


def _check_characters(text: str) -> None:
    if not text.strip("\ufeff \t\r\n"):
        raise Unreadable("The document is empty.", Position(1, 1))
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Unreadable(
            f"The document is larger than {MAX_BYTES // 1024} KB.",
            Position(1, 1),
            code="definition_too_large",
        )
    if found := _UNSTORABLE.search(text):
        at = Position(
            text.count("\n", 0, found.start()) + 1,
            found.start() - text.rfind("\n", 0, found.start()),
        )
        name = "a NUL character" if found[0] == "\x00" else "half of a surrogate pair, which is no character"
        raise Unreadable(f"The document contains {name}; remove it.", at)
