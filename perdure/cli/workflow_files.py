"""Workflows as files: a whole one with `name`, `definition`, `triggers` …, or the bare document of the standard."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from domain.definitions import documents
from domain.definitions.documents import Document, Unreadable
from domain.definitions.outline import at
from domain.errors import Problem
from workers.devstack.errors import StackError

#: What a file may hold, in the order in which it is written; all but the first two may be left out.
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
    "triggers": list,
    "actions": list,
    "variables": dict,
    "layout": dict,
}
#: Stored definitions forget the order of their members; this is how people write them.
_ORDER: Final = {
    name: index
    for index, name in enumerate(
        [
            *("document", "dsl", "namespace", "name", "version", "title", "summary"),
            *(
                "schedule",
                "evaluate",
                "use",
                "if",
                "call",
                "set",
                "switch",
                "for",
                "while",
                "fork",
                "try",
                "catch",
            ),
            *(
                "listen",
                "foreach",
                "emit",
                "raise",
                "run",
                "wait",
                "type",
                "with",
                "when",
                "input",
                "from",
                "schema",
            ),
            *("do", "timeout", "output", "as", "export", "then", "metadata"),
        ]
    )
}


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """`parts` are what the file says of the workflow; `is_bare` when the file is the definition itself."""

    path: Path
    parts: dict[str, Any]
    document: Document
    is_bare: bool

    @property
    def definition(self) -> Any:
        return self.parts["definition"]

    @property
    def name(self) -> str:
        """The workflow's name; a bare document is called by its title, its name or the file."""
        if not self.is_bare:
            return str(self.parts["name"])
        header = at(self.definition, "document")
        return str(at(header, "title") or at(header, "name") or self.path.stem)

    @property
    def whole(self) -> dict[str, Any]:
        """Every field, the missing ones as they are when nobody says otherwise."""
        return {**FIELDS, **self.parts, "name": self.name}

    def locate(self, pointer: str) -> tuple[int, int]:
        """Line and column of a problem's place."""
        elsewhere = pointer.startswith(("/triggers", "/actions", "/variables"))
        line, column = self.document.locate(pointer if self.is_bare or elsewhere else "/definition" + pointer)
        return line, column


def read(path: Path) -> WorkflowFile:
    """Raises StackError with line and column for what is no workflow file."""
    document = load(path)
    value = document.value
    if not isinstance(value, dict):
        raise StackError(f"{path} holds no mapping.", "A workflow file begins with `name:`, or with `do:`.")
    if "do" in value and "definition" not in value:
        return WorkflowFile(path, {"definition": value}, document, is_bare=True)
    problems = list(_problems(value))
    if problems:
        told = "; ".join(f"{_where(path, document, each.pointer)}: {each.message}" for each in problems[:5])
        raise StackError(f"This is no workflow file. {told}", problems[0].suggestion or "")
    return WorkflowFile(path, value, document, is_bare=False)


def load(path: Path) -> Document:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}.", "Name a YAML or JSON file.") from None
    except UnicodeDecodeError:
        raise StackError(f"{path} is not UTF-8.", "Save it as UTF-8.") from None
    try:
        return documents.load(text)
    except Unreadable as error:
        line, column = error.position
        message = error.message.partition(": ")[2]
        raise StackError(f"{path}:{line}:{column}: {message}", "Mend the text there.") from None


def write(path: Path, parts: Mapping[str, Any]) -> None:
    """As YAML, or JSON for a file that is called so; what is like the default is left out."""
    kept = {
        name: parts[name]
        for name in FIELDS
        if name in ("name", "definition") or parts.get(name) != FIELDS[name]
    }
    path.write_text(as_text(kept, json_text=path.suffix == ".json"), "utf-8")


def as_text(parts: Mapping[str, Any], *, json_text: bool = False) -> str:
    """The same parts give the same text; reading it gives the same parts."""
    ordered = {name: value if name == "layout" else _ordered(value) for name, value in parts.items()}
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
    writer.dump(_readable(value), out)
    return out.getvalue()


def _readable(value: Any) -> Any:
    """Texts of several lines are written as such."""
    if isinstance(value, str) and "\n" in value.rstrip("\n") and value.isprintable() is False:
        return LiteralScalarString(value)
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, dict):
        return {name: _readable(each) for name, each in value.items()}
    return value


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(each) for each in value]
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
        return {name: _ordered(value[name]) for name in names}
    return value


def _problems(value: Mapping[str, Any]) -> Iterator[Problem]:
    for name in value:
        if name not in FIELDS:
            known = ", ".join(FIELDS)
            yield Problem(f"/{name}", f"A workflow has no `{name}`.", f"It has {known}.")
    for name in ("name", "definition"):
        if name not in value:
            yield Problem("", f"`{name}` is missing.", "Write `name:` and `definition:`, or `do:` alone.")
    for name, kind in _KINDS.items():
        if name in value and not isinstance(value[name], kind):
            word = {str: "a text", dict: "a mapping", list: "a list"}[kind]
            yield Problem(f"/{name}", f"`{name}` is {word}.", "See `perdure workflows --help`.")


def _where(path: Path, document: Document, pointer: str) -> str:
    line, column = document.locate(pointer)
    return f"{path}:{line}:{column}"
