"""How commands speak: answers on stdout, progress and complaints on stderr, JSON when asked."""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from workers.devstack.errors import StackError
from workers.settings import SettingsError

DataDir = Annotated[Path, typer.Option("--data-dir", help="Where the stack keeps its data.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on stdout.")]

#: Into a file or a pipe nothing is folded for a window that is not there, unless COLUMNS speaks of one.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
# rich honours NO_COLOR and drops colour by itself when the stream is not a terminal
out = Console(highlight=False, width=_WIDTH)
err = Console(stderr=True, highlight=False)


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
