"""Every scenario of the Open Workflow conformance kit: it runs, or validation says that it cannot yet.

The kit is not part of the project: `PERDURE_CTK_DIR` names its folder of feature files.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activities.actions.registry import built_in
from domain.definitions.faults import Fault
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.errors import Invalid
from domain.executions import ExecutionStatus
from tests.conformance.kit import Scenario, Sentence, scenarios
from tests.conformance.petstore import request
from tests.factories.driver import Execution

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("PERDURE_CTK_DIR", ROOT.parent / "shared" / "conformance" / "ctk"))
SCENARIOS = scenarios(KIT)

#: Scenarios whose words this version does not run yet. Each leaves this list when its word is built.
NOT_YET = {
    "branch: Fork Task With Competing Concurrent Sub Tasks",
    "call: Call OpenAPI With Content Output",
    "call: Call OpenAPI With Response Output",
    "emit: Emit Task",
    "raise: Raise task with inline error",
    "try: Try Handle Caught Error",
    "try: Try Raise Uncaught Error",
}

pytestmark = pytest.mark.skipif(
    not SCENARIOS, reason="the conformance kit is not beside the project; set PERDURE_CTK_DIR"
)


def run(scenario: Scenario) -> Execution:
    """Publish with the real actions, load, and run in memory."""
    definition = scenario.given("a workflow with definition")
    published = publish(definition, name="kit", namespace="kit", catalogue=built_in().specs())
    program = load_program(json.loads(json.dumps(published.compiled)))
    calls = {step.name: _answer for step in program.steps.values() if step.kind == "call"}
    input = scenario.given("the workflow input is")
    return Execution(program, {} if input is None else input, calls).run()


def _answer(arguments: Any) -> Any:
    try:
        return request(arguments)
    except Fault as fault:
        return fault


def reach(value: Any, path: str) -> Any:
    """The property at a dotted path; raises KeyError when it is not there."""
    for name in path.split("."):
        value = value[name]
    return value


def completes(run: Execution, expected: Any) -> None:
    assert run.output == expected


def has_properties(run: Execution, names: str) -> None:
    for name in re.findall("'([^']+)'", names):
        reach(run.output, name)


def has_value(run: Execution, name: str, expected: Any) -> None:
    assert reach(run.output, name) == expected


def contains(run: Execution, name: str, count: str) -> None:
    assert len(reach(run.output, name)) == int(count)


def faults(run: Execution, expected: Any) -> None:
    assert run.error == expected


def has_ended(run: Execution, how: str) -> None:
    assert run.finish is not None
    expected = {"complete": ExecutionStatus.COMPLETED, "fault": ExecutionStatus.FAILED}[how]
    assert run.finish.status is expected, run.finish.error


def runs_at(run: Execution, step: str, place: str) -> None:
    assert run.path[{"first": 0, "last": -1}[place]] == step


def runs_after(run: Execution, later: str, earlier: str) -> None:
    assert run.path.index(later) > run.path.index(earlier)


#: The kit's vocabulary. The value written under a sentence is the last argument, where there is one.
VOCABULARY: dict[str, Callable[..., None]] = {
    r"the workflow should complete with output": completes,
    r"the workflow should fault with error": faults,
    r"the workflow should (complete|fault)": has_ended,
    r"the workflow output should have properties (.*)": has_properties,
    r"the workflow output should have an? '(.*)' property with value": has_value,
    r"the workflow output should have an? '(.*)' property containing (\d+) items": contains,
    r"(\w+) should run (first|last)": runs_at,
    r"(\w+) should run after (\w+)": runs_after,
}


def hold(execution: Execution, sentence: Sentence) -> None:
    """Hold an execution against one sentence; raises LookupError for words the kit did not use before."""
    for words, check in VOCABULARY.items():
        if (match := re.fullmatch(words, sentence.words)) is not None:
            takes_value = check in (completes, faults, has_value)
            check(execution, *match.groups(), *([sentence.value] if takes_value else []))
            return
    raise LookupError(f"the kit says something new: {sentence.words!r}")


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if str(each) not in NOT_YET], ids=str)
def test_scenario(scenario: Scenario) -> None:
    execution = run(scenario)
    assert scenario.expectations
    for sentence in scenario.expectations:
        hold(execution, sentence)


@pytest.mark.parametrize("scenario", [each for each in SCENARIOS if str(each) in NOT_YET], ids=str)
def test_a_scenario_beyond_this_version_is_refused_with_that_reason(scenario: Scenario) -> None:
    with pytest.raises(Invalid) as refusal:
        run(scenario)
    codes = {problem.code for problem in refusal.value.problems if problem.severity == "error"}
    assert codes == {"not_supported"}, refusal.value.problems


def test_the_kit_is_read_completely() -> None:
    """Counted by hand; a scenario or sentence the reader overlooked would pass unseen."""
    assert len(SCENARIOS) == 21
    assert {str(each) for each in SCENARIOS} > NOT_YET
    sentences = [sentence for each in SCENARIOS for sentence in each.sentences]
    texts = sum(path.read_text().count('"""') // 2 for path in KIT.glob("*.feature"))
    assert sum(sentence.value is not None for sentence in sentences) == texts
    steps = re.compile(r"^\s*(?:Given|When|Then|And|But) ", re.MULTILINE)
    assert len(sentences) == sum(len(steps.findall(path.read_text())) for path in KIT.glob("*.feature"))
    for scenario in SCENARIOS:
        for sentence in scenario.expectations:
            assert any(re.fullmatch(words, sentence.words) for words in VOCABULARY), sentence.words
