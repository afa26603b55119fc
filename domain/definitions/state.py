"""The whole state of an execution as one serialisable value: a tree of frames, the context and some counters."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from domain.definitions.expressions import Json
from domain.ids import occurrence_name


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
    #: When the step's `timeout` is over, in epoch ms.
    deadline: int | None = None

    @property
    def occurrence(self) -> str:
        return occurrence_name(self.pointer, self.visit)


@dataclass(frozen=True, slots=True)
class Todo:
    """One transition that is due. It stays in the state until it was carried out completely."""

    do: Literal["begin", "enter", "iterate", "leave", "fault", "finish"]
    frame: int = 0
    value: Json = None
    #: What an activity made of its own output; None when shaping is still to be done.
    shaped: dict[str, Json] | None = None
    #: Where a switch leads instead of the step's own `then`.
    then: str | None = None


@dataclass(slots=True)
class State:
    """Copied once per `advance`, changed only inside it."""

    engine: int
    execution: dict[str, Json]
    context: Json
    input: Json = None
    #: What the workflow's `input.from` made of it, kept where its `output.as` reads `$input`.
    transformed: Json = None
    frames: dict[int, Frame] = field(default_factory=dict)
    todo: list[Todo] = field(default_factory=list)
    #: Occurrences whose command is in flight, and the frame each belongs to.
    pending: dict[str, int] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)
    steps: dict[str, Json] = field(default_factory=dict)
    next_frame: int = 1
    occurrences: int = 0
    budget: int = 10_000
    progress: int = 0
    current_step: int = 0
    now: int = 0
    #: When the workflow's own `timeout` is over, in epoch ms.
    deadline: int | None = None

    @property
    def next_deadline(self) -> int | None:
        """The moment at which the world owes a `Tick`, in epoch ms."""
        deadlines = [frame.deadline for frame in self.frames.values() if frame.deadline is not None]
        return min([*deadlines, *([] if self.deadline is None else [self.deadline])], default=None)

    @property
    def is_over(self) -> bool:
        return not self.frames and not self.todo

    def copy(self) -> Self:
        return replace(
            self,
            frames=dict(self.frames),
            todo=list(self.todo),
            pending=dict(self.pending),
            visits=dict(self.visits),
            steps=dict(self.steps),
        )

    def open_block(self, parent: int | None, pointer: str, value: Json) -> Frame:
        """A new block, about to enter its first step with `value`."""
        frame = Frame(self.next_frame, parent, "block", pointer, value=value)
        self.next_frame += 1
        self.frames[frame.id] = frame
        return frame

    def move(self, block: Frame, at: int, value: Json) -> None:
        """A block is now at another step, or keeps other data for it."""
        self.frames[block.id] = Frame(block.id, block.parent, "block", block.pointer, at, value)

    def clear(self) -> None:
        """Forget everything but the counters: the execution is over."""
        self.frames.clear()
        self.todo.clear()
        self.pending.clear()
        self.visits.clear()
        self.steps.clear()
        self.context = self.input = self.transformed = None

    def as_json(self) -> dict[str, Json]:
        out: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        out["frames"] = [_sparse(frame) for frame in self.frames.values()]
        out["todo"] = [_sparse(todo) for todo in self.todo]
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        state = cls(**{name: data[name] for name in _PLAIN if name in data})
        state.frames = {frame["id"]: Frame(**frame) for frame in data["frames"]}
        state.todo = [Todo(**todo) for todo in data["todo"]]
        return state


_PLAIN = tuple(f.name for f in fields(State) if f.name not in ("frames", "todo"))
_DEFAULTS = {kind: {f.name: f.default for f in fields(kind)} for kind in (Frame, Todo)}


def _sparse(value: Frame | Todo) -> dict[str, Json]:
    """Only what differs from the default: states are recorded in history at every segment."""
    defaults = _DEFAULTS[type(value)]
    return {
        name: current
        for name, default in defaults.items()
        if (current := getattr(value, name)) is not default and current != default
    }
