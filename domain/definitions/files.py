"""Workflows as texts: a whole one with `name`, `definition`, `triggers` …, or the bare document of the standard."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from domain.definitions import documents
from domain.definitions.documents import Document, Position, Unreadable
from domain.definitions.pointers import join
from domain.definitions.values import Json
from domain.definitions.writing_order import in_order
from domain.errors import Problem

#: What a text may hold, in the order in which it is written; all but the first two may be left out.
FIELDS: Final[Mapping[str, Any]] = {
    "name": "",
    "definition": {},
    "description": None,
    "category": None,
    "is_template": False,
    "triggers": [],
    "actions": [],
    "variables": {},
    "layout": {},
}
_KINDS: Final = {
    "name": str,
    "definition": dict,
    "description": str | None,
    "category": str | None,
    "is_template": bool,
    "triggers": list,
    "actions": list,
    "variables": dict,
    "layout": dict,
}
_WORDS: Final = {str: "a text", dict: "a mapping", list: "a list", bool: "true or false"}
_BESIDE: Final = ("/triggers", "/actions", "/variables")


@dataclass(frozen=True, slots=True)
class WorkflowText:
    """`parts` are what the text says of the workflow; `is_bare` when it is the definition itself.

    `problems` are what makes it no workflow; their pointers lead into the text. Parts of a wrong kind are left out.
    """

    parts: Mapping[str, Any]
    document: Document
    is_bare: bool
    problems: tuple[Problem, ...] = ()

    @property
    def definition(self) -> Any:
        return self.parts.get("definition", {})

    def locate(self, pointer: str) -> Position:
        """The place of what validation speaks of: /triggers, /actions, /variables, or a part of the definition."""
        is_whole = self.is_bare or pointer.startswith(_BESIDE)
        return self.document.locate(pointer if is_whole else "/definition" + pointer)


def read(text: str) -> WorkflowText:
    """Raises `Unreadable` where the text is neither YAML nor JSON; anything else is told in `problems`."""
    document = documents.load(text)
    value = document.value
    if not isinstance(value, dict):
        message = "This holds no mapping; a workflow begins with `name:`, or with `do:`."
        raise Unreadable(message, document.locate(""), code="wrong_type")
    if "definition" not in value and ("do" in value or not value.keys() & FIELDS.keys()):
        return WorkflowText({"definition": value}, document, is_bare=True)
    problems = tuple(_problems(value))
    wrong = {each.pointer for each in problems}
    parts = {name: part for name, part in value.items() if join("", name) not in wrong}
    return WorkflowText(parts, document, is_bare=False, problems=problems)


def _problems(value: Mapping[str, Json]) -> Iterator[Problem]:
    for name in value:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            yield Problem(
                join("", name), f"A workflow has no `{name[:60]}`.", f"It has {known}.", "unknown_field"
            )
    for name in ("name", "definition"):
        if name not in value:
            mend = "Write `name:` and `definition:`, or `do:` alone."
            yield Problem("", f"`{name}` is missing.", mend, "missing_field")
    for name, kind in _KINDS.items():
        if name in value and not isinstance(value[name], kind):
            word = _WORDS.get(kind, "a text") if isinstance(kind, type) else "a text"
            yield Problem(join("", name), f"`{name}` is {word}.", None, "wrong_type")


def as_text(parts: Mapping[str, Any], *, json_text: bool = False) -> str:
    """The same parts give the same text; reading it gives the same parts."""
    ordered = {name: value if name == "layout" else in_order(value) for name, value in parts.items()}
    if not json_text:
        text = _yaml(ordered)
        try:
            if documents.load(text).value == parts:
                return text
        except Unreadable:
            pass  # some texts only JSON spells safely, which is YAML as well
    return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: Any) -> str:
    writer = YAML()
    writer.width = 110
    writer.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    writer.dump(readable(value), out)
    return out.getvalue()


def readable(value: Any) -> Any:
    """Texts of several lines are written as such."""
    if isinstance(value, str) and "\n" in value.rstrip("\n") and value.isprintable() is False:
        return LiteralScalarString(value)
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, dict):
        return {name: readable(each) for name, each in value.items()}
    return value
