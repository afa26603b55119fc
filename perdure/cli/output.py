"""How commands speak: answers on stdout, progress and complaints on stderr, JSON when asked."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from workers.devstack.errors import StackError
from workers.settings import SettingsError

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the stack keeps its data.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]

#: Into a file or a pipe nothing is folded for a window that is not there, unless COLUMNS speaks of one.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
#: What commands a terminal, or turns and hides the text around it, instead of being read.
_COMMANDING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


class Paper(Console):
    """Prints titles, comments and answers that anybody may have written: what is ours alone commands the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else _COMMANDING.sub("", text), style, control)


# rich honours NO_COLOR and drops colour by itself when the stream is not a terminal
out = Paper(highlight=False, width=_WIDTH)
err = Paper(stderr=True, highlight=False)
#: Between two columns of a table.
_GAP = 2
_COLOURS = {
    **dict.fromkeys(("completed", "active", "ran", "backfilled", "approved", "submitted"), "green"),
    **dict.fromkeys(("failed", "terminated", "timed_out", "missed", "broken", "rejected"), "red"),
    **dict.fromkeys(("cancelled", "skipped", "expired"), "yellow"),
    **dict.fromkeys(("waiting", "buffered", "open"), "cyan"),
    "paused": "magenta",
}


def emit(value: Any) -> None:
    """Print the answer of a command as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def line(console: Console, text: str) -> None:
    """Print a line as it is, however long: what a person copies must not be broken by us."""
    console.print(text, soft_wrap=True, markup=False)


def facts(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns, each pair on one unbroken line."""
    shown = list(pairs)
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        line(console, f"{name + ':':<{width}}  {value}")


def listing(
    names: Sequence[str], rows: Iterable[Sequence[str | Text]], *, none: str = "", to: Console = out
) -> None:
    """Print what was found as a table; where that is too wide for the window, one below the other.

    Nothing is cut off and no word is broken: ids are there to be copied. `none` is said where nothing was found.
    """
    found = [[each if isinstance(each, Text) else Text(each) for each in row] for row in rows]
    if not found and none:
        line(err, none)
        return
    widths = _widths([[Text(name), *cells] for name, *cells in zip(names, *found, strict=True)], to.width)
    if widths is None:
        for number, row in enumerate(found):
            if number:
                line(to, "")
            facts(to, ((name, cell.plain) for name, cell in zip(names, row, strict=True) if cell.plain))
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for name, width in zip(names, widths, strict=True):
        table.add_column(name, width=width)
    for row in found:
        table.add_row(*row)
    to.print(table)


def _widths(columns: list[list[Text]], window: int) -> list[int] | None:
    """How wide each column is shown: the widest lose, but no word. None where that is not enough."""
    widths = [max(cell.cell_len for cell in cells) for cells in columns]
    least = [
        max(cell_len(word) for cell in cells for word in cell.plain.split() or [""]) for cells in columns
    ]
    room = window - _GAP * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max(
            (each for each in range(len(widths)) if widths[each] > least[each]), key=widths.__getitem__
        )
        widths[widest] -= 1
    return widths


class Progress:
    """Says what is being done: a spinner on a terminal, plain lines elsewhere (unless `lines` is off)."""

    def __init__(self, title: str, *, lines: bool = True) -> None:
        self._lines = lines
        self._status = err.status(title) if err.is_terminal else None
        self._title = title

    def __enter__(self) -> "Progress":
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(f"{self._title}: {text}")
        elif self._lines:
            err.print(text, markup=False, soft_wrap=True)


def state(word: str) -> Text:
    """The state of something, in its colour."""
    return Text(word, _COLOURS.get(word, ""))


def moment(written: str | None, *, seconds: bool = True) -> str:
    """RFC 3339 as people read it: to the second, or to the minute."""
    return "" if written is None else written[: 19 if seconds else 16].replace("T", " ")


@contextmanager
def explained(as_json: bool) -> Iterator[None]:
    """Turn a foreseen failure into its message (or a JSON problem) and exit status 1."""
    try:
        yield
    except (StackError, SettingsError) as problem:
        if as_json:
            mend = getattr(problem, "mend", None)
            emit({"error": {"message": getattr(problem, "problem", str(problem)), "mend": mend}})
        else:
            err.print("[bold red]✗[/] ", end="")
            err.print(str(problem), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
