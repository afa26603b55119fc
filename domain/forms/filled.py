"""A form with something in it: texts for each control, problems at their fields, and the value, if it is one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.definitions.values import Json
from domain.errors import Problem

from .fields import ROOT


@dataclass(frozen=True, slots=True)
class Filled:
    """What a page shows in a form, and what it goes on with once `is_complete`.

    Pointers of `problems` lead into the value ("/lines/0/amount", "" for all of it). `grown` names the list a
    person asked another row for: the form is to be shown again, whatever else they pressed.
    """

    value: Json
    problems: tuple[Problem, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    grown: str = ""

    @property
    def is_complete(self) -> bool:
        return not self.problems and not self.grown

    def text(self, name: str) -> str:
        texts = self.texts.get(name, ())
        return texts[-1] if texts else ""

    def has(self, name: str, token: str) -> bool:
        """Whether an option is chosen."""
        return token in self.texts.get(name, ())

    def at(self, name: str) -> list[Problem]:
        """The problems of one field."""
        return [each for each in self.problems if ROOT + each.pointer == name]
