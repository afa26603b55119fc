"""How far a listening step has come; it travels in the step's frame."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from domain.definitions.expressions import Json
from domain.definitions.state import State


@dataclass(frozen=True, slots=True)
class Hearing:
    """`heard` is what the step will give; `met` and `until_met` are the filters an event was found for."""

    heard: list[Json] = field(default_factory=list)
    consumed: int = 0
    met: list[int] = field(default_factory=list)
    until_met: list[int] = field(default_factory=list)
    #: Values of correlations, by name: the first event decides, for all filters of the step.
    latched: dict[str, Json] = field(default_factory=dict)
    #: Values of `expect`, by the key of the correlation.
    expected: dict[str, Json] = field(default_factory=dict)
    #: Events consumed that wait for their turn in `foreach`, each with its size.
    queue: list[dict[str, Json]] = field(default_factory=list)
    #: One of them is in its turn; `item` is what its steps see.
    busy: bool = False
    item: Json = None
    #: Turns that have ended.
    at: int = 0
    #: Nothing more is consumed; what waits still has its turn.
    closed: bool = False
    #: The world was asked to bring events.
    asked: bool = False

    @property
    def is_over(self) -> bool:
        return self.closed and not self.busy and not self.queue

    def as_json(self) -> dict[str, Json]:
        """Only what differs from a step that has just begun."""
        values: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value for name, value in values.items() if value or (name == "item" and value is not None)
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)

    def takes(self, event: dict[str, Json], latched: dict[str, Json]) -> "Hearing":
        """One event more."""
        return replace(
            self,
            consumed=self.consumed + 1,
            latched={**latched, **self.latched},
            queue=[*self.queue, event],
        )


def has_backlog(state: State, occurrence: str) -> bool:
    """Whether events wait for their turn in a step that listens."""
    frame = state.frames.get(state.pending.get(occurrence, 0))
    return frame is not None and bool((frame.hearing or {}).get("queue"))
