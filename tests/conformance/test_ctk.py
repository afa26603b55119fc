"""Every scenario of the Open Workflow conformance kit, in memory; `test_serving` runs them through the worker.

The kit is not part of the project: `PERDURE_CTK_DIR` names its folder of feature files.
"""

import re

import pytest

from tests.conformance.kit import KIT, SCENARIOS, VOCABULARY, KitScenario, hold, ours
from tests.conformance.memory import Memory

pytestmark = pytest.mark.skipif(
    not SCENARIOS, reason="the conformance kit is not beside the project; set PERDURE_CTK_DIR"
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_scenario(scenario: KitScenario) -> None:
    hold(scenario, Memory.of(ours(scenario)).run())


def test_the_kit_is_read_completely() -> None:
    """Counted by hand; a scenario or sentence the reader overlooked would pass unseen."""
    assert len(SCENARIOS) == 21
    sentences = [sentence for each in SCENARIOS for sentence in each.sentences]
    texts = sum(path.read_text().count('"""') // 2 for path in KIT.glob("*.feature"))
    assert sum(sentence.value is not None for sentence in sentences) == texts
    steps = re.compile(r"^\s*(?:Given|When|Then|And|But) ", re.MULTILINE)
    assert len(sentences) == sum(len(steps.findall(path.read_text())) for path in KIT.glob("*.feature"))
    for scenario in SCENARIOS:
        assert scenario.expectations
        for sentence in scenario.expectations:
            assert any(re.fullmatch(words, sentence.words) for words in VOCABULARY), sentence.words
