"""What the state of an execution is made of: frames, what is due in them, what is awaited, what is to be undone."""

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from domain.definitions.expressions import Json
from domain.ids import occurrence_name

Transition: TypeAlias = (
    Literal["begin", "enter", "work", "iterate", "leave", "finish"]
    | Literal["branch", "lost", "join"]
    | Literal["fault", "caught", "retry", "compensate"]
    | Literal["before", "after"]
    | Literal["hear", "recall", "turn", "heard", "until"]
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A block being walked or a step that has begun; `parent` links them into a tree.

    `at` is the index of the current step (block) or of the current round (loop);
    `value` is the data arriving at that step (block; dropped once the step has begun) or the step's transformed
    input; `raw` is the input before `input.from`, for steps that have one; `items` are what a loop
    walks, until it has ended.
    """

    id: int
    parent: int | None
    kind: Literal["block", "step"]
    pointer: str
    at: int = 0
    value: Json = None
    raw: Json = None
    visit: int = 0
    position: int = 0
    started: int = 0
    items: list[Json] | None = None
    #: How far a listening step has come (`interpreter/hearing.py`), until it has ended.
    hearing: dict[str, Json] | None = None
    #: When the step's `timeout` is over, or of a block: this attempt at it, in epoch ms.
    deadline: int | None = None
    #: Of a `try`: the error being handled. Of a competing `fork`: the first one that a branch met.
    error: dict[str, Json] | None = None
    #: Of a `fork`: the blocks of its branches, in the order of declaration.
    branches: list[int] | None = None
    #: How far the extensions around this step have got.
    around: dict[str, Json] | None = None

    @property
    def occurrence(self) -> str:
        return occurrence_name(self.pointer, self.visit)


@dataclass(frozen=True, slots=True)
class Todo:
    """One transition that is due. It stays in the state until it was carried out completely."""

    do: Transition
    frame: int = 0
    value: Json = None
    #: What an activity made of its own output; None when shaping is still to be done.
    shaped: dict[str, Json] | None = None
    #: Where a switch leads instead of the step's own `then`.
    then: str | None = None


@dataclass(frozen=True, slots=True)
class Stopping:
    """`then` becomes due as soon as every occurrence of `awaited`, each told to stop, has ended."""

    awaited: list[str]
    then: Todo


@dataclass(frozen=True, slots=True)
class Compensation:
    """A call kept for undoing a completed occurrence. `started` and `position` are set once it is under way."""

    pointer: str
    visit: int
    arguments: Json = None
    withheld: dict[str, Json] | None = None
    position: int = 0
    started: int = 0
    #: Of the arguments, in bytes of JSON.
    size: int = 0

    @property
    def occurrence(self) -> str:
        return occurrence_name(self.pointer, self.visit) + "!compensate"


_DEFAULTS = {kind: {f.name: f.default for f in fields(kind)} for kind in (Frame, Todo, Compensation)}


def sparse(value: Frame | Todo | Compensation) -> dict[str, Json]:
    """Only what differs from the default: states are recorded in history at every segment."""
    defaults = _DEFAULTS[type(value)]
    return {
        name: current
        for name, default in defaults.items()
        if (current := getattr(value, name)) is not default and current != default
    }
