"""The Open Workflow conformance kit: its feature files, read with the few words of Gherkin they are written in."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from domain.definitions import documents
from tests.conformance.scenario import Outcome, Scenario

ROOT = Path(__file__).resolve().parents[2]
KIT = Path(os.environ.get("PERDURE_CTK_DIR", ROOT.parent / "shared" / "conformance" / "ctk"))

_STEP = re.compile(r"\s*(?:Given|When|Then|And|But)\s+(?:given\s+)?(.*?):?\s*")
_TEXT = re.compile(r'\s*"""(?:yaml)?\s*')


@dataclass(frozen=True, slots=True)
class Sentence:
    """One step of a scenario: its words, and the value written under it."""

    words: str
    value: Any


@dataclass(frozen=True, slots=True)
class KitScenario:
    feature: str
    title: str
    sentences: tuple[Sentence, ...]

    def __str__(self) -> str:
        return f"{self.feature}: {self.title}"

    def given(self, words: str) -> Any:
        """The value of the sentence with exactly these words, or None."""
        return next((each.value for each in self.sentences if each.words == words), None)

    @property
    def expectations(self) -> list[Sentence]:
        executed = [each.words for each in self.sentences].index("the workflow is executed")
        return list(self.sentences[executed + 1 :])


def scenarios(folder: Path) -> list[KitScenario]:
    """Every scenario of a folder. Raises ValueError for a line that is none of Gherkin's few we know."""
    return [each for path in sorted(folder.glob("*.feature")) for each in _scenarios(path)]


def _scenarios(path: Path) -> Iterator[KitScenario]:
    title, sentences = "", list[Sentence]()
    lines = iter(path.read_text().splitlines())
    described = False
    for line in lines:
        word, _, rest = line.strip().partition(": ")
        if not line.strip() or line.lstrip().startswith("#") or word == "Feature":
            continue
        if word == "Scenario":
            if described:
                yield KitScenario(path.stem, title, tuple(sentences))
            title, sentences, described = rest, [], True
        elif _TEXT.fullmatch(line):
            last = sentences.pop()
            sentences.append(Sentence(last.words, _value(lines)))
        elif described:
            step = _STEP.fullmatch(line)
            if step is None:
                raise ValueError(f"{path.name}: not a step: {line!r}")
            sentences.append(Sentence(step[1], None))
    yield KitScenario(path.stem, title, tuple(sentences))


def _value(lines: Iterator[str]) -> Any:
    text = []
    for line in lines:
        if _TEXT.match(line):
            return documents.load(dedent("\n".join(text))).value
        text.append(line)
    raise ValueError("a text is never closed")


SCENARIOS = scenarios(KIT)


def ours(scenario: KitScenario) -> Scenario:
    """As a scenario of our own kind; what it expects stays with the kit's."""
    definition = scenario.given("a workflow with definition")
    rest = {name: value for name, value in definition.items() if name != "do"}
    input = scenario.given("the workflow input is")
    return Scenario(
        theme=f"kit/{scenario.feature}", title=scenario.title, do=definition["do"], document=rest, input=input
    )


def reach(value: Any, path: str) -> Any:
    """The property at a dotted path; raises KeyError when it is not there."""
    for name in path.split("."):
        value = value[name]
    return value


def completes(run: Outcome, expected: Any) -> None:
    assert (run.status, run.output) == ("completed", expected), run.error


def has_properties(run: Outcome, names: str) -> None:
    for name in re.findall("'([^']+)'", names):
        reach(run.output, name)


def has_value(run: Outcome, name: str, expected: Any) -> None:
    assert reach(run.output, name) == expected


def contains(run: Outcome, name: str, count: str) -> None:
    assert len(reach(run.output, name)) == int(count)


def faults(run: Outcome, expected: Any) -> None:
    assert (run.status, run.error) == ("failed", expected)


def has_ended(run: Outcome, how: str) -> None:
    assert run.status == {"complete": "completed", "fault": "failed"}[how], run.error


def runs_at(run: Outcome, step: str, place: str) -> None:
    assert run.log[{"first": 0, "last": -1}[place]][0] == step


def runs_after(run: Outcome, later: str, earlier: str) -> None:
    path = [name for name, _ in run.log]
    assert path.index(later) > path.index(earlier)


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


def hold(scenario: KitScenario, outcome: Outcome) -> None:
    """Hold an outcome against every sentence; raises LookupError for words the kit did not use before."""
    for sentence in scenario.expectations:
        check, parts = _meaning(sentence)
        check(outcome, *parts)


def _meaning(sentence: Sentence) -> tuple[Callable[..., None], list[Any]]:
    for words, check in VOCABULARY.items():
        if (match := re.fullmatch(words, sentence.words)) is not None:
            takes_value = check in (completes, faults, has_value)
            return check, [*match.groups(), *([sentence.value] if takes_value else [])]
    raise LookupError(f"the kit says something new: {sentence.words!r}")
