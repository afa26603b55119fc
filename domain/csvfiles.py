"""Reading and writing CSV as spreadsheets and people make it: encodings, delimiters, quotes, and exact places.

A file that cannot be read at all is refused with line and column; rows with something wrong are the importer's.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

DELIMITERS: Final = ",;\t|"
_NAMES: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SEPARATOR_LINE: Final = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
#: What a spreadsheet would take for the beginning of a formula; some read the wide forms alike.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant
_BREAKS: Final = re.compile(r"\r\n|\r|\n")


class Unreadable(Exception):
    """The file is no CSV that could be read: what is wrong, where (from 1; None: the file as a whole), the mend."""

    def __init__(
        self, message: str, mend: str, *, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one row; `line` is the line of the file on which it begins."""

    line: int
    cells: list[str]


def decode(content: bytes) -> Decoded:
    """The text of the file: UTF-8 or UTF-16, with or without byte order mark, else Windows-1252.

    Raises Unreadable.
    """
    if content.startswith(b"\xef\xbb\xbf"):
        return Decoded(_decoded(content[3:], "utf-8", "UTF-8"), "utf-8-sig")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        kind = "utf-16-le" if content.startswith(b"\xff\xfe") else "utf-16-be"
        return Decoded(_decoded(content[2:], kind, "UTF-16"), "utf-16")
    if (guessed := _utf_16(content)) is not None:
        return Decoded(_decoded(content, guessed, "UTF-16"), "utf-16")
    try:
        return Decoded(_checked(content.decode("utf-8")), "utf-8")
    except UnicodeDecodeError:
        pass
    return Decoded(_decoded(content, "cp1252", "Windows-1252"), "windows-1252")


def _utf_16(content: bytes) -> str | None:
    """Latin text in UTF-16 has a zero in every other byte."""
    start = content[:2_000]
    if len(start) < 4 or len(content) % 2:
        return None
    even, odd = start[0::2].count(0), start[1::2].count(0)
    half = len(start) // 2
    if odd > half * 0.6 and even < half * 0.1:
        return "utf-16-le"
    if even > half * 0.6 and odd < half * 0.1:
        return "utf-16-be"
    return None


def _decoded(content: bytes, codec: str, name: str) -> str:
    try:
        return _checked(content.decode(codec))
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(codec, "replace")
        line, column = _place(before)
        raise Unreadable(
            f"A character is neither UTF-8 nor {name}.",
            "Save the file as “CSV UTF-8” and upload it again.",
            line=line,
            column=column,
        ) from None


def _checked(text: str) -> str:
    found = text.find("\x00")
    if found >= 0:
        line, column = _place(text[:found])
        raise Unreadable(
            "There is a NUL character, which no text holds.",
            "Upload a CSV file; a workbook (.xlsx) or another binary file has to be saved as CSV first.",
            line=line,
            column=column,
        )
    return text


def _place(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows this text."""
    breaks = list(_BREAKS.finditer(before))
    return len(breaks) + 1, len(before) - (breaks[-1].end() if breaks else 0) + 1


def delimiter_of(text: str) -> tuple[str, int]:
    """The delimiter, and where the rows begin: a first line `sep=;` is a hint that spreadsheets write."""
    hint = _SEPARATOR_LINE.match(text)
    if hint is not None and hint[1] in DELIMITERS:
        return hint[1], hint.end()
    first = _first_row(text)
    return max(DELIMITERS, key=lambda mark: (first.count(mark), -DELIMITERS.index(mark))), 0


def _first_row(text: str) -> str:
    """The first row that holds something, without what stands in quotes."""
    outside, quoted = [], False
    for character in text[:100_000].lstrip("\r\n"):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            if character in "\r\n":
                break
            outside.append(character)
    return "".join(outside)


def read(text: str, delimiter: str, start: int = 0, *, longest_cell: int = 131_072) -> Iterator[Record]:
    """Every row that holds something, in order. Raises Unreadable where quotes are not as CSV has them."""
    first_line = _place(text[:start])[0]
    body = text[start:]
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = first_line + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise _located(body, delimiter, line, first_line) from None
        if any(len(cell) > longest_cell for cell in cells):
            raise Unreadable(
                f"A cell is longer than {longest_cell} characters.",
                "Shorten it, or look for a quotation mark before it that is not closed.",
                line=line,
            )
        if any(map(str.strip, cells)):
            yield Record(line, cells)


def _located(body: str, delimiter: str, line: int, first_line: int) -> Unreadable:
    """Read the row anew, character by character, to say where it is broken."""
    lines = _BREAKS.split(body)
    rest = lines[line - first_line :]
    row, quoted, opened, closed, after = line, False, (line, 1), False, True
    for text in rest:
        column = 0
        while column < len(text):
            mark = text[column]
            column += 1
            if quoted:
                if mark == '"':
                    if text[column : column + 1] == '"':
                        column += 1
                    else:
                        quoted, closed = False, True
            elif mark == delimiter:
                closed, after = False, True
            elif closed:
                return Unreadable(
                    "Something follows a closing quotation mark.",
                    'Write a quotation mark inside a quoted cell twice: "".',
                    line=row,
                    column=column,
                )
            elif mark == '"' and after:
                quoted, opened, after = True, (row, column), False
            else:
                after = False
        if not quoted:
            closed, after = False, True
        row += 1
    if quoted:
        return Unreadable(
            "A quotation mark is opened and never closed.",
            'Close it, or write a quotation mark that belongs to the text as "" in a quoted cell.',
            line=opened[0],
            column=opened[1],
        )
    return Unreadable(
        "The row is no CSV.", "Look for a stray quotation mark or a cell that is too long.", line=line
    )


def name_of(delimiter: str) -> str:
    return _NAMES.get(delimiter, delimiter)


def harmless(cell: str) -> str:
    """The cell so that no spreadsheet runs it as a formula; `genuine` takes it back."""
    return f"'{cell}" if _is_formula(cell) else cell


def genuine(cell: str) -> str:
    """A cell as it was before `harmless`, or before a spreadsheet marked it as text."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell) else cell


def _is_formula(cell: str) -> bool:
    """Behind marks of text; and behind spaces, which some spreadsheets pass over."""
    rest = cell.lstrip("'")
    return rest.startswith(_FORMULA) or rest.lstrip().startswith(_FORMULA)


def write(rows: Iterable[Sequence[str]], delimiter: str = ",") -> str:
    """Rows as spreadsheets read them: CRLF, quotes where needed, nothing that would be run as a formula."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator="\r\n")
    for row in rows:
        writer.writerow([harmless(cell) for cell in row])
    return written.getvalue()


def shown(value: str, longest: int = 80) -> str:
    """A cell as a report may quote it: on one line, without control characters, not too long."""
    plain = "".join(c if c.isprintable() else "�" for c in " ".join(value[: longest * 4].split()))
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
