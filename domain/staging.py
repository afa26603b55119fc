"""An uploaded CSV file made ready to be imported: read as a whole, its header understood, its rows in parts.

What is wrong with the file refuses it, with line and column; what is wrong with a row is found out later, and reported.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from domain.csvfiles import DELIMITERS, Record, Unreadable, decode, delimiter_of, genuine, read, shown
from domain.errors import Invalid, Problem
from domain.importcolumns import Columns, columns_of
from domain.imports import MAXIMUM_CELL, MAXIMUM_ROWS, ROWS_PER_PART, MatchBy, TransferKind

#: The row's line, its cells, and for a row whose key an earlier one has: the field and that line.
StagedRow = list[Any]
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class UnreadableFile(Invalid):
    """The file could not be read as CSV; see `errors` for line, column and the mend."""

    code = "unreadable_file"


@dataclass(frozen=True, slots=True)
class Asked:
    """How the file is to be read; what is None is found out."""

    kind: TransferKind
    match_by: MatchBy | None = None
    delimiter: str | None = None
    mapping: Mapping[str, str | None] | None = None
    ignore_unknown: bool = False

    @property
    def required(self) -> list[str] | None:
        """Clients that are changed need no name, but what they are matched by."""
        if self.kind is TransferKind.CLIENTS and self.match_by is not None:
            return [self.match_by.value]
        return None


@dataclass(frozen=True, slots=True)
class Staged:
    encoding: str
    delimiter: str
    columns: Columns
    headers: list[str]
    parts: list[list[StagedRow]]
    total: int

    @property
    def settings(self) -> dict[str, Any]:
        """What the import keeps of it."""
        names = {index: field for field, index in self.columns.fields.items()}
        return {
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "columns": self.columns.fields,
            "width": len(self.headers),
            "read_as": {shown(self.headers[index]): names[index] for index in sorted(names)},
            "passed_over": self.columns.passed_over,
        }


def stage(content: bytes, asked: Asked) -> Staged:
    """Raises UnreadableFile, with a problem at `#/line/<n>/column/<n>`, `#` or `query/…` for each thing to mend."""
    if content.startswith(_WORKBOOKS):
        raise _refused("#", "This is a workbook, not a CSV file.", "Save it as “CSV UTF-8” and upload that.")
    try:
        decoded = decode(content)
        delimiter, start = delimiter_of(decoded.text)
        delimiter = asked.delimiter or delimiter
        records = read(decoded.text, delimiter, start, longest_cell=MAXIMUM_CELL)
        return _staged(decoded.encoding, delimiter, records, asked)
    except Unreadable as problem:
        raise _refused(_place(problem), problem.message, problem.mend) from None


def _staged(encoding: str, delimiter: str, records: Iterator[Record], asked: Asked) -> Staged:
    header = next(records, None)
    if header is None:
        raise _refused("#", "The file holds no rows.", "Send a header line and below it a row for each.")
    columns, problems = columns_of(
        asked.kind,
        header.cells,
        line=header.line,
        mapping=asked.mapping,
        ignore_unknown=asked.ignore_unknown,
        required=asked.required,
    )
    if problems:
        raise UnreadableFile(problems=problems)
    rows = list(islice(_marked(records, columns, asked), MAXIMUM_ROWS + 1))
    if not rows:
        message, mend = "The file holds a header and nothing else.", "Add a row for each."
        raise _refused(f"#/line/{header.line}", message, mend)
    if len(rows) > MAXIMUM_ROWS:
        message = f"The file holds more than {MAXIMUM_ROWS} rows."
        raise _refused("#", message, "Split it into several files.")
    parts = [rows[first : first + ROWS_PER_PART] for first in range(0, len(rows), ROWS_PER_PART)]
    return Staged(encoding, delimiter, columns, header.cells, parts, len(rows))


def _marked(records: Iterator[Record], columns: Columns, asked: Asked) -> Iterator[StagedRow]:
    """The first of several rows with the same key counts: which one that is must not depend on the parts."""
    keys = _keys(columns, asked)
    first: dict[tuple[str, ...], int] = {}
    for record in records:
        twin = None
        for field, indexes in keys:
            values = [_value(record.cells, index) for index in indexes]
            if values[0]:
                alike = (value if field == "client_number" else value.casefold() for value in values)
                line = first.setdefault((field, *alike), record.line)
                if line != record.line and twin is None:
                    twin = [field, line]
        yield [record.line, record.cells, twin]


def _value(cells: list[str], index: int) -> str:
    return genuine(cells[index].strip()) if index < len(cells) else ""


def _keys(columns: Columns, asked: Asked) -> list[tuple[str, list[int]]]:
    """The fields whose values no two rows may share, each with the cells that tell; without the first there is none."""
    if asked.kind is TransferKind.CONTACTS:  # matched by their address at the same client
        names = [["email", "client_number", "client_email"]] if asked.match_by is not None else []
    else:
        names = [["client_number"], *([["email"]] if asked.match_by is MatchBy.EMAIL else [])]
    there = columns.fields
    return [(each[0], [there[name] for name in each if name in there]) for each in names if each[0] in there]


def _place(problem: Unreadable) -> str:
    if problem.line is None:
        return "#"
    return f"#/line/{problem.line}" + ("" if problem.column is None else f"/column/{problem.column}")


def _refused(place: str, message: str, mend: str) -> UnreadableFile:
    return UnreadableFile(problems=[Problem(place, message, mend, "unreadable")])


def delimiter_named(text: str) -> str:
    """A delimiter by itself or by name: comma, semicolon, tab, bar. Raises Invalid."""
    named = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "\\t": "\t"}.get(
        text.strip().lower(), text
    )
    if named not in DELIMITERS or len(named) != 1:
        mend = "Send comma, semicolon, tab or bar, or leave it out: it is found out."
        raise Invalid(
            problems=[Problem("query/delimiter", f"“{shown(text, 20)}” is no delimiter we read.", mend)]
        )
    return named
