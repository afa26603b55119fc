"""What an activation reports: the latest record of each occurrence it touched, and the progress it made."""

from collections.abc import Callable
from typing import TypeAlias

from domain.definitions.commands import StepRecord, keep
from domain.definitions.expressions import Json
from domain.definitions.program import Call, Listen, Program, Step
from domain.definitions.state import Frame, State
from domain.definitions.values import measure
from domain.executions import StepStatus

#: The largest output of a step other than a call that is kept in the step log, in bytes.
MAXIMUM_LOGGED = 4096

_OPEN = frozenset({StepStatus.RUNNING, StepStatus.WAITING})

#: Is shown each step's frame and record with the whole output, also where the log leaves it out: for dry runs.
Watch: TypeAlias = Callable[[Frame, StepRecord, Json], None]


class Journal:
    __slots__ = ("_program", "_records", "_state", "_watch")

    def __init__(self, program: Program, state: State, watch: Watch | None) -> None:
        self._program = program
        self._state = state
        self._watch = watch
        self._records: dict[str, StepRecord] = {}

    @property
    def records(self) -> list[StepRecord]:
        """In the order in which they last changed."""
        return list(self._records.values())

    def note(
        self,
        frame: Frame,
        status: StepStatus,
        *,
        input: Json = None,
        output: Json = None,
        error: dict[str, Json] | None = None,
    ) -> None:
        step = self._program.steps[frame.pointer]
        record = StepRecord(
            occurrence=frame.occurrence,
            pointer=frame.pointer,
            name=step.name,
            kind=step.kind,
            action=step.work.pinned.action if isinstance(step.work, Call) else None,
            visit=frame.visit,
            position=frame.position,
            status=status,
            started=frame.started,
            completed=None if status in _OPEN else self._state.now,
            input=input,
            output=_logged(step, output),
            error=error,
        )
        self.tell(record)
        if self._watch is not None:
            self._watch(frame, record, output)

    def tell(self, record: StepRecord) -> None:
        keep(self._records, [record])

    def progress_to_step(self, block_frame: Frame) -> None:
        """Progress is told in steps of the outermost list."""
        if block_frame.parent is None:
            total = len(self._program.blocks[block_frame.pointer].steps)
            self._state.current_step = block_frame.at
            self._raise(100 * block_frame.at // total)

    def progress_to_round(self, frame: Frame) -> None:
        """A loop in the outermost list also tells its rounds."""
        assert frame.parent is not None
        assert frame.items is not None
        outer = self._state.frames[frame.parent]
        if outer.parent is None:
            total = len(self._program.blocks[outer.pointer].steps)
            self._raise((100 * outer.at + 100 * frame.at // len(frame.items)) // total)

    def _raise(self, progress: int) -> None:
        self._state.progress = max(self._state.progress, progress)


def _logged(step: Step, output: Json) -> Json:
    """What came from the world is durable; what was computed can be computed again: only small values are logged."""
    if isinstance(step.work, Call | Listen) or measure(output, MAXIMUM_LOGGED) <= MAXIMUM_LOGGED:
        return output
    return None
