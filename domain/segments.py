"""What travels between an execution's workflow and its activities. Plain data; Temporal stores it in history.

JSON is `Any` here: pydantic cannot build a schema for the recursive alias.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from domain.definitions.commands import StepRecord
from domain.executions import ExecutionStatus


@dataclass(frozen=True, slots=True)
class Pinned:
    """The version an execution runs for life; the hash finds its compiled form in a worker's cache."""

    version_id: str
    sha256: str
    compiled: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PendingWait:
    """A wait that outlives a continue-as-new: registered already; a timer has an end, a listen ends by itself."""

    occurrence: str
    until: int | None = None
    listens: bool = False
    name: str = ""


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
    wish: Wish | None = None
    #: Events that arrived and that the interpreter has not heard of.
    events: list[dict[str, Any]] = field(default_factory=list)
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
    """Adjacent short built-ins to run in one go, beginning with `command` (none: just continue from `state`)."""

    pinned_version: str
    sha256: str
    started_by: str | None
    state: dict[str, Any]
    command: dict[str, Any] | None
    records: list[StepRecord]
    #: Nothing else of the execution is under way: should the segment reach its end, it commits the outcome as well.
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome as it stands in the row; the execution closes in Temporal with exactly this."""

    status: ExecutionStatus
    error: dict[str, Any] | None


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
class Waiting:
    """A wait to be shown in the mirror before it begins."""

    kind: Literal["timer", "task", "event"]
    occurrence: str
    step: str
    until: int | None
    #: Of a task: the arguments of `approve`.
    arguments: Any
    records: list[StepRecord]
    #: Of a listen: the types of events it takes, None for any.
    types: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Listening:
    """A step that is registered already and asks for more of the events recorded before."""

    occurrence: str
    types: list[str] | None


@dataclass(frozen=True, slots=True)
class EarlierEvents:
    """Events recorded since the execution was created, the oldest first; `more` when these are not all."""

    events: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a paused execution would do next; `step` is its name, `does` the action or the kind of step."""

    occurrence: str
    step: str
    does: str


@dataclass(frozen=True, slots=True)
class Pause:
    """The execution holds still: nothing new begins, the waits under way go on."""

    next: list[NextStep]
    waits: list[str]
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class PauseEnd:
    """The execution goes on; `waits` are those that have not ended meanwhile."""

    waits: list[str]
    records: list[StepRecord]


@dataclass(frozen=True, slots=True)
class Ending:
    """The outcome of an execution, to be committed before it closes in Temporal."""

    status: ExecutionStatus
    output: Any
    error: dict[str, Any] | None
    records: list[StepRecord]
