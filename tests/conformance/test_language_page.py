"""docs/language.md is true: its workflows are valid, its cases come out as shown, its expressions give what it says."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from activities.actions.registry import built_in
from domain.definitions import documents
from domain.definitions.expressions import Meter, compile_expression
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.definitions.validation import check
from perdure.cli.workflow_cases import read_cases, run_case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
_FENCE = re.compile(r"^```yaml (workflow|cases)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(.+)` \| `(.+)` \|$", re.MULTILINE)


class Example(NamedTuple):
    title: str
    workflow: str
    cases: str


def examples() -> list[Example]:
    found = []
    for section in PAGE.read_text().split("\n## ")[1:]:
        fences = _FENCE.findall(section)
        if fences:
            [(_, workflow), (_, cases)] = fences
            found.append(Example(section.partition("\n")[0], workflow, cases))
    return found


def test_there_are_ten_and_every_keyword_is_shown() -> None:
    assert [example.title.split(".")[0] for example in examples()] == [str(number) for number in range(1, 11)]
    shown = "\n".join(example.workflow for example in examples())
    for word in ("set", "call", "switch", "for", "fork", "try", "listen", "emit", "run", "raise", "retry", "timeout",
                 "compete", "secrets", "compensate", "while", "export", "correlate"):  # fmt: skip
        assert re.search(rf"\b{word}:", shown), word


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.title)
def test_the_example_is_valid_and_does_what_the_page_says(example: Example, tmp_path: Path) -> None:
    catalogue = built_in().specs()
    definition = documents.load(example.workflow).value
    checked = check(definition, catalogue=catalogue)
    assert [problem.message for problem in checked.problems] == []
    published = publish(definition, name=example.title, namespace="harbour", catalogue=catalogue)
    program = load_program(json.loads(json.dumps(published.compiled)))
    file = tmp_path / "page.test.yaml"
    file.write_text(example.cases)
    for case in read_cases(file):
        result = run_case(program, catalogue, case)
        assert not result.failures, f"{case.name}: {result.failures}"
        assert result.run is not None
        assert not result.run.warnings, case.name


def test_the_expressions_give_what_the_table_says() -> None:
    page = PAGE.read_text()
    data = json.loads(re.search(r"for the data\n`(.*)`:", page)[1])  # type: ignore[index]  # no match is a failure
    table = page[page.index("<!-- expressions -->") : page.index("<!-- end of expressions -->")]
    rows = _ROW.findall(table)
    assert len(rows) >= 12
    for written, result in rows:
        source = written.replace("\\|", "|")
        assert compile_expression(source, frozenset()).evaluate(data, {}, Meter()) == json.loads(result), (
            source
        )
