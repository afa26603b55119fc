"""Workflow files on disk: read with the place of everything that is wrong, and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.definitions import documents, files
from domain.definitions.documents import Document, Unreadable
from domain.definitions.files import FIELDS, WorkflowText, as_text
from domain.definitions.outline import at
from workers.devstack.errors import StackError

__all__ = ["FIELDS", "WorkflowFile", "as_text", "load", "made", "read", "write"]


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """`parts` are what the file says of the workflow; `is_bare` when the file is the definition itself.

    `source` is what stands in it, to the letter.
    """

    path: Path
    text: WorkflowText
    source: str

    @property
    def parts(self) -> Mapping[str, Any]:
        return self.text.parts

    @property
    def is_bare(self) -> bool:
        return self.text.is_bare

    @property
    def definition(self) -> Any:
        return self.text.definition

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
        line, column = self.text.locate(pointer)
        return line, column


def read(path: Path) -> WorkflowFile:
    """Raises StackError with line and column for what is no workflow file."""
    try:
        source = _text(path)
        found = files.read(source)
    except Unreadable as error:
        raise _unreadable(path, error) from None
    if found.problems:
        told = "; ".join(
            f"{_where(path, found.document, each.pointer)}: {each.message}" for each in found.problems[:5]
        )
        mend = found.problems[0].suggestion or "See `perdure workflows --help`."
        raise StackError(f"This is no workflow file. {told}", mend)
    return WorkflowFile(path, found, source)


def load(path: Path) -> Document:
    try:
        return documents.load(_text(path))
    except Unreadable as error:
        raise _unreadable(path, error) from None


def write(path: Path, text: str) -> None:
    """To the letter: line ends stay as they are."""
    try:
        path.write_bytes(text.encode("utf-8"))
    except OSError as error:
        raise StackError(f"{path} cannot be written: {error.strerror}.", "Name another file.") from None


def made(path: Path, parts: Mapping[str, Any]) -> str:
    """The text of a file that says this: YAML, or JSON for one that is called so; defaults are left out."""
    kept = {
        name: parts[name]
        for name in FIELDS
        if name in ("name", "definition") or parts.get(name) != FIELDS[name]
    }
    return as_text(kept, json_text=path.suffix == ".json")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}.", "Name a YAML or JSON file.") from None
    except UnicodeDecodeError:
        raise StackError(f"{path} is not UTF-8.", "Save it as UTF-8.") from None


def _unreadable(path: Path, error: Unreadable) -> StackError:
    line, column = error.position
    message = error.message.partition(": ")[2]
    return StackError(f"{path}:{line}:{column}: {message}", "Mend the text there.")


def _where(path: Path, document: Document, pointer: str) -> str:
    line, column = document.locate(pointer)
    return f"{path}:{line}:{column}"
