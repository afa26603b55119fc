"""What happened in a dry run, occurrence by occurrence, within a bound of size."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from domain.definitions.commands import StepRecord
from domain.definitions.expressions import Json
from domain.definitions.program import Program
from domain.definitions.state import Frame
from domain.definitions.values import measure

#: All values of a trace together, in bytes; a larger one is left out and said to be.
MAXIMUM_TRACE: Final = 1_000_000
MAXIMUM_VALUE: Final = 64_000


@dataclass(slots=True)
class Traced:
    """One occurrence. `branches` are the names of the parallel branches it ran in, outermost first.

    `arguments` are those of a call; `answered_by` says who answered it: mock, generated, computed, event or clock.
    """

    occurrence: str
    pointer: str
    name: str
    kind: str
    action: str | None
    visit: int
    position: int
    status: str
    started: int
    completed: int | None = None
    input: Any = None
    arguments: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    branches: list[str] = field(default_factory=list)
    answered_by: str | None = None
    #: Which of the values were too large to be shown.
    left_out: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {
            **values,
            "started": moment(self.started),
            "completed": self.completed and moment(self.completed),
        }


class Trace:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._size = 0
        self.found: dict[str, Traced] = {}
        self.is_complete = True

    def watch(self, frame: Frame, record: StepRecord, output: Json) -> None:
        """What the interpreter shows of each step."""
        traced = self._entry(record)
        if traced.input is None and "input" not in traced.left_out:
            self._put(traced, "input", frame.value)
        if record.input is not None and record.action is not None:
            self._put(traced, "arguments", record.input)
        if output is not None:
            self._put(traced, "output", output)

    def tell(self, records: list[StepRecord]) -> None:
        """Whatever the interpreter reports, also of calls that undo."""
        for record in records:
            traced = self._entry(record)
            if record.pointer in self._program.steps:
                continue
            self._put(traced, "arguments", record.input)
            self._put(traced, "output", record.output)

    def answered(self, occurrence: str, by: str) -> None:
        if occurrence in self.found:
            self.found[occurrence].answered_by = by

    @property
    def entries(self) -> list[Traced]:
        """In the order of entering."""
        return sorted(self.found.values(), key=lambda each: each.position)

    def _entry(self, record: StepRecord) -> Traced:
        traced = self.found.get(record.occurrence)
        if traced is None:
            traced = self.found[record.occurrence] = Traced(
                record.occurrence,
                record.pointer,
                record.name,
                record.kind,
                record.action,
                record.visit,
                record.position,
                record.status.value,
                record.started,
                branches=branches(record.pointer, self._program),
            )
        traced.status = record.status.value
        traced.completed = record.completed
        traced.error = record.error
        return traced

    def _put(self, traced: Traced, name: str, value: Any) -> None:
        if value is None:
            return
        size = measure(value, MAXIMUM_VALUE)
        if size > MAXIMUM_VALUE or self._size + size > MAXIMUM_TRACE:
            self.is_complete = False
            if name not in traced.left_out:
                traced.left_out.append(name)
            return
        self._size += size
        setattr(traced, name, value)


def branches(pointer: str, program: Program) -> list[str]:
    """The parallel branches around a step, by name."""
    parts = pointer.split("/")
    found = []
    for index in range(2, len(parts)):
        if parts[index - 2 : index] == ["fork", "branches"]:
            branch = program.steps.get("/".join(parts[: index + 2]))
            found += [branch.name] if branch is not None else []
    return found


def moment(milliseconds: int) -> str:
    """RFC 3339 in UTC."""
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
