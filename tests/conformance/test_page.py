"""`docs/conformance.md` says what holds: its tables are those of the code, and the tests it names exist."""

import re
from pathlib import Path

from domain.definitions.validation.stricter import LIGHT, STRICTER

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "conformance.md").read_text()


def table(name: str) -> str:
    return PAGE.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- end of {name} -->")[0]


def test_the_tables_are_those_of_the_code() -> None:
    rules = [f"| `{rule.code}` | {rule.reason} |" for rule in STRICTER]
    assert table("stricter").splitlines()[2:] == rules
    lighter = ["| `{}` | {} |".format(place.replace("|", "\\|"), reason) for place, reason in LIGHT]
    assert table("lighter").splitlines()[2:] == lighter


def test_the_tests_it_names_exist() -> None:
    named = re.findall(r"`(tests/[^`]+)`", PAGE)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []
