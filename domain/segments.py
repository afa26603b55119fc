"""What travels between an execution's workflow and its activities. Plain data; Temporal stores it in history.

JSON is `Any` here: pydantic cannot build a schema for the recursive alias.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from domain.definitions.commands import StepRecord
from domain.executions import ExecutionStatus

#: The largest state that may travel; beyond it Temporal would retry the workflow task for ever.
MAXIMUM_STATE: Final = 1024 * 1024
#: What a run hands to the next one, beside the definition: Temporal refuses arguments of 2 MB, again and again.
MAXIMUM_CARRIED: Final = 1_500_000


@dataclass(frozen=True, slots=True)
class Pinned:
    """The version an execution runs for life; the hash finds its compiled form in a worker's cache."""

    version_id: str
    sha256: str
    compiled: dict[str, Any]


#: What a wait is for, the most telling first: of several waits, a row shows the one that stands first here.
WAITS: Final = ("task", "event", "execution", "timer")
Kind: TypeAlias = Literal["task", "event", "execution", "timer"]


@dataclass(frozen=True, slots=True)
class PendingWait:
    """A wait under way, which outlives a continue-as-new: a timer has an end, a listen types of events (None: any)."""

    kind: Kind
    occurrence: str
    #: Of the step.
    name: str
    until: int | None = None
    types: list[str] | None = None
    #: What the execution that is waited for runs.
    workflow: str | None = None


def most_telling(waits: Sequence[PendingWait]) -> PendingWait | None:
    """The wait to be shown: what somebody can answer before what only takes time, then what ends or began first."""
    return min(waits, key=lambda wait: (WAITS.index(wait.kind), wait.until or 0), default=None)


@dataclass(frozen=True, slots=True)
class Wish:
    """Whether people want the execution to hold still. Wishes are numbered: the highest one counts."""

    number: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Carried:
    """What continue-as-new hands to the next run."""

    state: dict[str, Any]
    waits: list[PendingWait]
    decisions: dict[str, Any]
    #: What was due when the run ended, not yet begun.
    commands: list[dict[str, Any]]
    #: The wait that the mirror shows.
    shown: str | None = None
    wish: Wish | None = None
    #: Events that arrived and that the interpreter has not heard of.
    events: list[dict[str, Any]] = field(default_factory=list)
    #: Listens for which more was recorded earlier than has been fetched yet.
    unread: list[PendingWait] = field(default_factory=list)
    #: The run by which somebody reset this execution, if anybody did.
    reset_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """The argument of the execution workflow; what operators look for first stands first in the Temporal UI."""

    execution_id: str
    input: Any
    trigger: dict[str, Any]
    pinned: Pinned
    started_by: str | None = None
    budget: int = 10_000
    #: Off only to measure what the mirror costs.
    mirror: bool = True
    carried: Carried | None = None
    #: Asked for before the execution had started.
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Adjacent short built-ins to run in one go, beginning with `commands` (none: just continue from `state`)."""

    pinned_version: str
    sha256: str
    started_by: str | None
    state: dict[str, Any]
    commands: list[dict[str, Any]]
    records: list[StepRecord]
    #: Nothing else of the execution is under way: should the segment reach its end, it commits the outcome as well.
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome as it stands in the row; the execution closes in Temporal with exactly this."""

    status: ExecutionStatus
    error: dict[str, Any] | None

    @property
    def is_from_outside(self) -> bool:
        """Supervision closed the row, because Temporal had closed the run: its errors name their reason.

        An execution may time out by itself as well, but is never terminated by itself.
        """
        timed_out = self.status is ExecutionStatus.TIMED_OUT and "reason" in (self.error or {})
        return timed_out or self.status is ExecutionStatus.TERMINATED


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Where the segment stopped: the state, and the commands that need the workflow; neither once it has ended."""

    state: dict[str, Any]
    commands: list[dict[str, Any]]
    #: Records the segment has not written itself.
    records: list[StepRecord] = field(default_factory=list)
    #: The execution's outcome, committed with the segment's last steps.
    ended: Ended | None = None
    #: It used more than half of its time, and its workflow task has heard nothing all that while.
    took_long: bool = False


@dataclass(frozen=True, slots=True)
class Performance:
    """One call of an action as an activity of its own."""

    pinned_version: str
    sha256: str
    started_by: str | None
    command: dict[str, Any]
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class Performed:
    """`shaped` when the step's output and export were evaluated in the activity, else `output` as it is."""

    output: Any = None
    shaped: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """A wait that somebody else must know of before it begins; `arguments` are those of its call."""

    wait: PendingWait
    arguments: Any = None
    #: The action that is called, where there are several for one kind of wait.
    action: str = "approve"
    version: str = "1.0.0"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Waits to be registered, and the wait for which the execution stands still.

    `shown` is None while something else goes on beside the waits: then the execution runs.
    """

    registrations: list[Registration]
    shown: PendingWait | None
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class EarlierEvents:
    """Events recorded since the execution was created, the oldest first; `more` when these are not all."""

    events: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of the registrations, by their occurrences: what was recorded before, or why it cannot be."""

    earlier: dict[str, EarlierEvents] = field(default_factory=dict)
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a paused execution would do next; `step` is its name, `does` the action or the kind of step."""

    occurrence: str
    step: str
    does: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The execution holds still: nothing new begins, the waits under way go on; `wait` is the one to be shown."""

    next: list[NextStep]
    wait: PendingWait | None
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class PauseEnd:
    """The execution goes on, or waits on."""

    wait: PendingWait | None
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of an execution, to be committed before it closes in Temporal."""

    status: ExecutionStatus
    output: Any
    error: dict[str, Any] | None
    records: list[StepRecord]
