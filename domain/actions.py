"""What an action is: the facts that validation, publishing and the API need; `activities/actions` carries them out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What repeating an action does to the outside world; it decides what happens after a lost worker."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    KEYED = "keyed"
    IRREVERSIBLE = "irreversible"


class Lane(StrEnum):
    """Where an action runs: in a segment of short built-ins, as an activity of its own, or with somebody else.

    A task waits for a person, an execution for another execution: the engine registers both and is told the answer.
    """

    SEGMENT = "segment"
    ACTIVITY = "activity"
    TASK = "task"
    EXECUTION = "execution"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """The published facts of one version of an action; `input` and `output` are JSON Schemas."""

    name: str
    version: str
    title: str
    description: str
    effect: Effect
    lane: Lane
    timeout: timedelta
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    #: Only the product's own processes call it; no definition of a tenant can.
    is_internal: bool = False

    @property
    def release(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))


class Catalogue:
    """The actions a definition may call, found by name and version."""

    def __init__(self, specs: Iterable[ActionSpec]) -> None:
        self._specs = {(spec.name, spec.version): spec for spec in specs}

    def __iter__(self) -> Iterator[ActionSpec]:
        return iter(sorted(self._specs.values(), key=lambda spec: (spec.name, spec.release)))

    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self._specs)

    def find(self, name: str, version: str | None = None) -> ActionSpec | None:
        """The named version, or the newest when none is named."""
        if version is not None:
            return self._specs.get((name, version))
        versions = [spec for spec in self._specs.values() if spec.name == name]
        return max(versions, key=lambda spec: spec.release, default=None)
