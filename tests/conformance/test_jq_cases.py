"""jq's own test cases (see the conformance data), run through the expression language of definitions.

`docs/conformance.md` holds the table of cases that are allowed to fail; this test fails when a case fails
that is not listed, and when a listed case passes.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from domain.definitions.expressions import ExpressionError, Meter, compile_expression
from domain.definitions.values import normal_number

ROOT = Path(__file__).resolve().parents[2]
CASES = (
    Path(os.environ.get("PERDURE_CONFORMANCE_DIR", ROOT.parent / "shared" / "conformance")) / "jq-cases.json"
)
DOCUMENT = ROOT / "docs" / "conformance.md"
_ROW = re.compile(r"^\| `([^`|]+:\d+)` \|")

pytestmark = pytest.mark.skipif(
    not CASES.exists(), reason="jq-cases.json is not here; set PERDURE_CONFORMANCE_DIR"
)


def deviations() -> set[str]:
    """Return the sources of the cases that are documented as different."""
    text = DOCUMENT.read_text()
    begin, end = text.index("<!-- jq deviations -->"), text.index("<!-- end of jq deviations -->")
    return {found[1] for line in text[begin:end].splitlines() if (found := _ROW.match(line))}


def normal(value: Any) -> Any:
    """Return a value with integral doubles as integers, as this language returns them."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return {name: normal(member) for name, member in value.items()}
    return normal_number(value) if isinstance(value, float) else value


def outcome(case: dict[str, Any]) -> str | list[Any]:
    """Return all results of a case, or at which stage it failed."""
    try:
        compile_expression(case["program"], frozenset())
    except ExpressionError:
        return "compile"
    collected = compile_expression(f"[{case['program']}\n]", frozenset())
    try:
        results = collected.evaluate(case["input"], {}, Meter())
    except ExpressionError:
        return "run"
    assert isinstance(results, list)
    return results


def expected(case: dict[str, Any]) -> str | list[Any]:
    if case.get("error"):
        return str(case["error_at"])
    results = normal(case["outputs"])
    assert isinstance(results, list)
    return results


def test_exactly_the_documented_cases_differ() -> None:
    cases = json.loads(CASES.read_text())
    assert len(cases) > 250
    different = {case["source"]: case["program"] for case in cases if outcome(case) != expected(case)}
    listed = deviations()
    undocumented = {source: program for source, program in different.items() if source not in listed}
    assert not undocumented, "these cases fail; mend the language or list them in docs/conformance.md"
    assert not listed - different.keys(), "these cases pass and are still listed in docs/conformance.md"


def test_the_outcome_of_a_single_result_is_that_result() -> None:
    for case in json.loads(CASES.read_text()):
        if case.get("error") or len(case["outputs"]) != 1 or case["source"] in deviations():
            continue
        result = compile_expression(case["program"], frozenset()).evaluate(case["input"], {}, Meter())
        assert result == normal(case["outputs"][0]), case["program"]
