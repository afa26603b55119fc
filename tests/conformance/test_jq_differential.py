"""The expression language beside the native jq 1.8.2: the same results, or a difference that is written down.

The programs in `jq_programs/*.jq` are ours, by theme: a line at the margin is a program, indented lines are its
inputs (null when there are none). Hypothesis draws more from a grammar, the same ones every time. The native
jq runs in a process of its own, because it can be made to abort and would take this one along.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from domain.definitions.expressions import ExpressionError, Meter, compile_expression
from domain.definitions.values import normal_number
from tests.conformance.jq_differences import DIFFERENCES, Difference
from tests.conformance.jq_grammar import programs
from tests.conformance.jq_oracle import Oracle

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "conformance.md"
THEMES = sorted(HERE.glob("jq_programs/*.jq"))

pytestmark = pytest.mark.skipif(find_spec("jq") is None, reason="the native jq is not installed")


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    asked = Oracle()
    yield asked
    asked.close()


def normal(value: Any) -> Any:
    """Return a value with numbers as this language returns them: integral doubles are integers."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, dict):
        return {name: normal(member) for name, member in value.items()}
    return normal_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def ours(program: str, given: Any) -> tuple[str, str]:
    """Return all results as text, or the stage that failed; and what is told."""
    try:
        compile_expression(program, frozenset())
        collected = compile_expression(f"[{program}\n]", frozenset())
    except ExpressionError as error:
        return "compile", error.message
    try:
        return written(collected.evaluate(given, {}, Meter())), ""
    except ExpressionError as error:
        return ("limit" if error.kind == "limit" else "run"), error.message


def written(outcome: Any) -> str:
    """Return an outcome as text in which 1 and true, which Python calls equal, are different."""
    return outcome if isinstance(outcome, str) else json.dumps(normal(outcome), sort_keys=True)


def cases(theme: Path) -> Iterator[tuple[str, Any]]:
    """Yield (program, input) for every input of every program of a theme."""
    program, inputs = "", [None]
    for line in [*theme.read_text().splitlines(), ""]:
        if line.startswith("  "):
            inputs.append(json.loads(line))
            continue
        if program:
            yield from ((program, one) for one in (inputs[1:] or inputs))
        program, inputs = ("" if line.startswith("# ") else line), [None]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.stem)
def test_our_own_programs_mean_what_jq_means(theme: Path, oracle: Oracle) -> None:
    different = []
    for program, one in cases(theme):
        answer = oracle.ask(program, one)
        mine, told = ours(program, one)
        if mine != written(answer.outcome):
            different.append(
                f"{program}  <-  {json.dumps(one)}: jq {written(answer.outcome)}, here {mine} {told}"
            )
    assert not different, "mend the language, or write the difference down in jq_differences.py"


def test_there_are_programs_enough() -> None:
    known = {program for theme in THEMES for program, _ in cases(theme)}
    assert len(known) >= 900


@settings(
    max_examples=500,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(drawn=programs())
def test_drawn_programs_mean_what_jq_means(oracle: Oracle, drawn: tuple[str, Any]) -> None:
    program, one = drawn
    mine, told = ours(program, one)
    if mine == "limit":  # jq has none
        return
    answer = oracle.ask(program, one)
    assert mine == written(answer.outcome), f"{program}  <-  {json.dumps(one)}: {answer.message} | {told}"


@pytest.mark.parametrize(
    "difference", DIFFERENCES, ids=lambda difference: f"{difference.subject}: {difference.program}"
)
def test_differences_are_exactly_as_written(difference: Difference, oracle: Oracle) -> None:
    answer = oracle.ask(difference.program, difference.given)
    mine, _ = ours(difference.program, difference.given)
    assert written(answer.outcome) == written(difference.jq)
    assert mine.replace("limit", "run") == written(difference.ours)


def test_the_page_lists_the_same_differences() -> None:
    page = DOCUMENT.read_text()
    table = page[page.index("<!-- jq differences -->") : page.index("<!-- end of jq differences -->")]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    assert set(rows[1:]) == {difference.subject for difference in DIFFERENCES} | {"number of results"}
