"""The Open Workflow conformance kit: its feature files, read with the few words of Gherkin they are written in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from domain.definitions import documents

_STEP = re.compile(r"\s*(?:Given|When|Then|And|But)\s+(?:given\s+)?(.*?):?\s*")
_TEXT = re.compile(r'\s*"""(?:yaml)?\s*')


@dataclass(frozen=True, slots=True)
class Sentence:
    """One step of a scenario: its words, and the value written under it."""

    words: str
    value: Any


@dataclass(frozen=True, slots=True)
class Scenario:
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


def scenarios(folder: Path) -> list[Scenario]:
    """Every scenario of a folder. Raises ValueError for a line that is none of Gherkin's few we know."""
    return [each for path in sorted(folder.glob("*.feature")) for each in _scenarios(path)]


def _scenarios(path: Path) -> Iterator[Scenario]:
    title, sentences = "", list[Sentence]()
    lines = iter(path.read_text().splitlines())
    described = False
    for line in lines:
        word, _, rest = line.strip().partition(": ")
        if not line.strip() or line.lstrip().startswith("#") or word == "Feature":
            continue
        if word == "Scenario":
            if described:
                yield Scenario(path.stem, title, tuple(sentences))
            title, sentences, described = rest, [], True
        elif _TEXT.fullmatch(line):
            last = sentences.pop()
            sentences.append(Sentence(last.words, _value(lines)))
        elif described:
            step = _STEP.fullmatch(line)
            if step is None:
                raise ValueError(f"{path.name}: not a step: {line!r}")
            sentences.append(Sentence(step[1], None))
    yield Scenario(path.stem, title, tuple(sentences))


def _value(lines: Iterator[str]) -> Any:
    text = []
    for line in lines:
        if _TEXT.match(line):
            return documents.load(dedent("\n".join(text))).value
        text.append(line)
    raise ValueError("a text is never closed")
