"""The whole state of an execution as one serialisable value: a tree of frames, the context and some counters."""

from dataclasses import dataclass, field, fields
from typing import Any, Self

from domain.definitions.expressions import Json
from domain.definitions.frames import Compensation, Frame, Stopping, Todo, Transition, sparse

__all__ = ["Compensation", "Frame", "State", "Stopping", "Todo", "Transition"]


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
    #: Events that no step has asked for yet, the oldest first, each with its size and number.
    arrivals: list[dict[str, Json]] = field(default_factory=list)
    #: The keys of those that arrived lately, so that none arrives twice.
    event_keys: list[str] = field(default_factory=list)
    #: How many were kept so far, and how many of those were dropped because too many waited.
    arrived: int = 0
    lost: int = 0
    next_frame: int = 1
    occurrences: int = 0
    budget: int = 10_000
    progress: int = 0
    current_step: int = 0
    now: int = 0
    #: When the workflow's own `timeout` is over, in epoch ms.
    deadline: int | None = None
    #: What parallel branches have exported, by the frames of their blocks; the others see what stands around them.
    contexts: dict[int, Json] = field(default_factory=dict)
    #: What was told to stop and has not ended yet.
    stopping: list[Stopping] = field(default_factory=list)
    #: How to undo what has been done, the latest last.
    compensations: list[Compensation] = field(default_factory=list)
    #: How the execution ends once everything is stopped and undone: `status` and `error`.
    outcome: dict[str, Json] | None = None

    @property
    def next_deadline(self) -> int | None:
        """The moment at which the world owes a `Tick`, in epoch ms."""
        deadlines = [frame.deadline for frame in self.frames.values() if frame.deadline is not None]
        return min([*deadlines, *([] if self.deadline is None else [self.deadline])], default=None)

    @property
    def is_over(self) -> bool:
        return not (self.frames or self.todo or self.pending or self.stopping)

    @property
    def compensating(self) -> bool:
        """The outcome stands, but completed steps are still being undone."""
        return self.outcome is not None and bool(self.compensations)

    def below(self, frame: int) -> set[int]:
        """The frames inside a frame. Parents always stand before their children."""
        inside = {frame}
        for each in self.frames.values():
            if each.parent in inside:
                inside.add(each.id)
        inside.discard(frame)
        return inside

    def copy(self) -> Self:
        """Frames, values and what else is never changed in place are shared."""
        copied = object.__new__(type(self))
        for name in _FIELDS:
            value = getattr(self, name)
            setattr(copied, name, value.copy() if name in _CHANGED else value)
        return copied

    def open_block(self, parent: int | None, pointer: str, value: Json) -> Frame:
        """A new block, about to enter its first step with `value`."""
        frame = Frame(self.next_frame, parent, "block", pointer, value=value)
        self.next_frame += 1
        self.frames[frame.id] = frame
        return frame

    def move(self, block: Frame, at: int, value: Json) -> None:
        """A block is now at another step, or keeps other data for it."""
        self.frames[block.id] = Frame(
            block.id, block.parent, "block", block.pointer, at, value, deadline=block.deadline
        )

    def clear(self) -> None:
        """Forget everything but the counters: the execution is over."""
        self.frames.clear()
        self.todo.clear()
        self.pending.clear()
        self.visits.clear()
        self.steps.clear()
        self.contexts.clear()
        self.stopping.clear()
        self.compensations.clear()
        self.outcome = self.deadline = None
        self.arrivals.clear()
        self.event_keys.clear()
        self.context = self.input = self.transformed = None

    def as_json(self) -> dict[str, Json]:
        out: dict[str, Any] = {name: getattr(self, name) for name in _PLAIN}
        out["frames"] = [sparse(frame) for frame in self.frames.values()]
        out["todo"] = [sparse(todo) for todo in self.todo]
        if self.contexts:
            out["contexts"] = [[frame, context] for frame, context in self.contexts.items()]
        if self.stopping:
            out["stopping"] = [{"awaited": each.awaited, "then": sparse(each.then)} for each in self.stopping]
        if self.compensations:
            out["compensations"] = [sparse(each) for each in self.compensations]
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        state = cls(**{name: data[name] for name in _PLAIN if name in data})
        state.frames = {frame["id"]: Frame(**frame) for frame in data["frames"]}
        state.todo = [Todo(**todo) for todo in data["todo"]]
        state.contexts = dict(data.get("contexts", ()))
        state.stopping = [
            Stopping(each["awaited"], Todo(**each["then"])) for each in data.get("stopping", ())
        ]
        state.compensations = [Compensation(**each) for each in data.get("compensations", ())]
        return state


_STRUCTURED = frozenset({"frames", "todo", "contexts", "stopping", "compensations"})
_PLAIN = tuple(f.name for f in fields(State) if f.name not in _STRUCTURED)
_FIELDS = tuple(f.name for f in fields(State))
#: What commits change in place.
_CHANGED = _STRUCTURED | {"pending", "visits", "steps", "arrivals", "event_keys"}
