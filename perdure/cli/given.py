"""What is given on the command line, in a file or on standard input; and what only a person can say."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from workers.devstack.errors import StackError


def text_of(file: str) -> str:
    """What a file holds, or standard input for `-`. Raises StackError."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StackError(f"{file} cannot be read: {error}.", "Name a file of UTF-8 text.") from None


def json_of(text: str, where: str, mend: str = "Correct the JSON there.") -> Any:
    """Raises StackError with the place in the text that came from `where`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise StackError(f"{where} is not JSON: {error.msg} at {place}.", mend) from None


def json_option(given: str, option: str, mend: str) -> Any:
    """The value of an option that takes JSON, @FILE, or - for standard input. Raises StackError."""
    is_file = given == "-" or given.startswith("@")
    return json_of(text_of(given.removeprefix("@")) if is_file else given, option, mend)


def agreed(question: str, refusal: StackError) -> None:
    """Ask a person, who ends the command with 1 by a no. Raises `refusal` where nobody can be asked."""
    if not sys.stdin.isatty():
        raise refusal
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)
