"""A definition told in plain English, for people who decide about a process and never read its code.

Names are quoted as people wrote them; conditions become words where they are simple, and are quoted where not.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from domain.actions import Catalogue
from domain.definitions.meanings import Meanings
from domain.definitions.outline import Step, at, outline
from domain.definitions.phrases import visible

from .beginning import beginning
from .ending import ending
from .sentences import Telling, leads_on

__all__ = ["Explanation", "Line", "explain"]


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence or two about a step; `number` counts as in `2.1`, `pointer` leads to the step."""

    number: str
    pointer: str
    text: str

    @property
    def depth(self) -> int:
        return self.number.count(".")


@dataclass(frozen=True, slots=True)
class Explanation:
    title: str
    beginning: str
    lines: tuple[Line, ...]
    ending: str

    @property
    def text(self) -> str:
        """The whole as plain text, steps numbered and set in."""
        steps = [f"{'   ' * (line.depth + 1)}{line.number}. {line.text}" for line in self.lines]
        return "\n".join([self.title, "", self.beginning, "", *steps, "", self.ending]) + "\n"

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "beginning": self.beginning,
            "steps": [{**asdict(line), "depth": line.depth} for line in self.lines],
            "ending": self.ending,
            "text": self.text,
        }


def explain(
    definition: Any,
    *,
    title: str,
    triggers: Any = None,
    actions: Any = None,
    calls: Any = None,
    catalogue: Catalogue | None = None,
) -> Explanation:
    """Tell what a definition does, whether or not it could be published. Raises Invalid for more than 2 000 steps.

    `actions` are those configured beside it, `calls` what a version's calls are pinned to.
    """
    use = at(definition, "use")
    titles = {spec.name: spec.title for spec in catalogue or ()}
    telling = Telling(use if isinstance(use, Mapping) else {}, Meanings(use, actions, calls), titles)
    lines: list[Line] = []
    _tell(telling, outline(definition), "", lines)
    return Explanation(
        visible(title, 100),
        beginning(definition, triggers),
        tuple(lines),
        ending(definition),
    )


def _tell(telling: Telling, steps: tuple[Step, ...], before: str, lines: list[Line]) -> None:
    follows = True
    for index, step in enumerate(steps):
        number = f"{before}{index + 1}"
        lines.append(Line(number, step.pointer, telling.sentence(step, index, len(steps), follows=follows)))
        follows = leads_on(step)
        places = [place for place in step.lists if step.lists[place]]
        for place in places:
            if place == "catch":
                lines.append(
                    Line(f"{number}.{len(step.lists['try']) + 1}", step.pointer, telling.caught(step))
                )
                _tell(telling, step.lists[place], f"{number}.{len(step.lists['try']) + 1}.", lines)
            else:
                _tell(telling, step.lists[place], f"{number}.", lines)
