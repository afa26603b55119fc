"""One activation of the interpreter: what it reads, what it changes, and what it has to say to the world."""

from collections.abc import Callable
from typing import TypeAlias

from domain.definitions import scopes
from domain.definitions.commands import Command, Finish
from domain.definitions.expressions import Expression, Json, Meter
from domain.definitions.program import Program, Shape, Step
from domain.definitions.state import Frame, State, Todo
from domain.executions import StepStatus

from .journal import Journal, Watch

#: Carries out one prepared transition; never evaluates, never fails.
Commit: TypeAlias = Callable[[], None]


class Activation:
    """`state` is this activation's own copy; only commits change it."""

    __slots__ = ("commands", "journal", "meter", "program", "state")

    def __init__(self, program: Program, state: State, meter: Meter, watch: Watch | None = None) -> None:
        self.program = program
        self.state = state
        self.meter = meter
        self.journal = Journal(program, state, watch)
        self.commands: list[Command] = []

    # For preparing

    def step(self, frame: Frame) -> Step:
        return self.program.steps[frame.pointer]

    def scope(self, frame: Frame | None, names: frozenset[str]) -> dict[str, Json]:
        return scopes.build(self.program, self.state, frame, names)

    def evaluate(self, part: Shape, data: Json, frame: Frame | None) -> Json:
        return part.evaluate(data, self.scope(frame, part.names), self.meter)

    def holds(self, condition: Expression, data: Json, frame: Frame) -> bool:
        """As in jq, everything but null and false holds: 0 too."""
        result = self.evaluate(condition, data, frame)
        return result is not None and result is not False

    # For committing

    def export(self, frame: Frame, context: Json) -> None:
        """The context is replaced: within the branch of a fork that of the branch."""
        at: Frame | None = frame if self.program.has_forks else None
        while at is not None:
            if at.kind == "block" and self.program.blocks[at.pointer].role == "branch":
                self.state.contexts[at.id] = context
                return
            at = None if at.parent is None else self.state.frames[at.parent]
        self.state.context = context

    def due(self, todo: Todo) -> None:
        self.state.todo.append(todo)

    def stay(self, frame: Frame, status: StepStatus, *, input: Json = None) -> None:
        """The step remains open; its block need not keep the data that has arrived in it."""
        self.journal.note(frame, status, input=input)
        assert frame.parent is not None
        block = self.state.frames[frame.parent]
        self.state.move(block, block.at, None)

    def open_block(self, frame: Frame, pointer: str, value: Json) -> Frame:
        """Enter the first step of the block inside an open step."""
        inner = self.state.open_block(frame.id, pointer, value)
        self.due(Todo("enter", inner.id))
        return inner

    def close(self, finish: Finish) -> None:
        self.state.clear()
        self.commands.append(finish)
