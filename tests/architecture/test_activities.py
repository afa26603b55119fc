"""The words of activity logs are one closed set: nobody writes another one, and none stands there unused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from domain.activities import Act

ROOT = Path(__file__).parents[2]
FLOORS = ("workers", "api", "activities", "db")
WRITERS = {"Activity", "noted", "personal", "note_outside", "reading", "_activity", "_noted"}
WORD = re.compile(r"[a-z_]+\.[a-z_]+")
#: Put together from parts where they are written.
COMPOSED = {
    Act.PAYLOADS_DECODED,
    Act.PAYLOADS_ENCODED,
    Act.CLIENTS_IMPORTED,
    Act.CLIENTS_EXPORTED,
    Act.CONTACTS_IMPORTED,
    Act.CONTACTS_EXPORTED,
}


def written(tree: ast.AST) -> Iterator[str]:
    """Every word that a call of a writer holds, wherever in its arguments."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in WRITERS:
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and WORD.fullmatch(part.value):
                yield part.value
            if (
                isinstance(part, ast.Attribute)
                and isinstance(part.value, ast.Name)
                and part.value.id == "Act"
            ):
                yield Act[part.attr].value


def test_the_words_are_those_that_are_written() -> None:
    files = (file for floor in FLOORS for file in (ROOT / floor).rglob("*.py"))
    found = {word for file in files for word in written(ast.parse(file.read_text()))}
    known = {act.value for act in Act}
    assert found <= known, "add the word to domain/activities.py"
    assert known - found - {act.value for act in COMPOSED} == set(), "nobody writes this word"
