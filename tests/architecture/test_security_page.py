"""docs/security.md: every row of the checklist is there, and every test it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
#: What we hold ourselves to of OWASP ASVS 5.0.0.
ROWS = """
6.1.1 6.2.1 6.2.4 6.2.8 6.2.9 6.3.1 6.3.3 6.3.8 6.4.1 6.4.3 6.5.1 6.5.2 6.5.5 6.6.3
7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.5.1
8.2.1 8.2.2 8.2.3 8.3.2 8.3.3 8.4.1
9.1.1 9.1.2 9.1.3 9.2.2 9.2.3
1.2.4 1.3.2 1.3.6 1.3.7 1.3.11 1.3.12
2.3.3 2.3.4 2.3.5 2.4.1 4.3.1 4.1.3
5.2.1 5.2.2 5.2.3 5.4.1
11.3.2 11.3.3 11.3.4 11.4.2 11.5.1
13.2.2 13.2.4 13.3.1
15.3.2 15.3.3 15.4.2
16.2.5 16.3.1 16.4.2 16.5.3
""".split()  # noqa: SIM905  as the standard groups them
_ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \(\d\) \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> dict[str, tuple[str, str, str]]:
    return {found[0]: (found[1], found[2], found[3]) for found in _ROW.findall(PAGE.read_text())}


@cache
def functions(file: Path) -> frozenset[str]:
    """Everything called test_… in a file, methods of state machines and test cases of them included."""
    tree = ast.parse(file.read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return frozenset(name for name in found | assigned if name.lower().startswith("test"))


def test_the_page_has_every_row_and_no_other() -> None:
    assert sorted(rows()) == sorted(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_how_and_names_tests_that_exist(row: str) -> None:
    asked, how, tests = rows()[row]
    assert asked.strip()
    assert how.strip()
    named = _TEST.findall(tests)
    assert named, f"{row} names no test"
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.exists(), f"{row}: there is no tests/{file}"
        assert name in functions(path), f"{row}: tests/{file} has no {name}"
