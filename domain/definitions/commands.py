"""What the interpreter asks of the world (commands), what the world answers (events), what it reports (records)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from domain.actions import Effect, Lane
from domain.definitions.expressions import Json
from domain.executions import ExecutionStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Shaping:
    """The output and export expressions of a step, to be evaluated where its output arises.

    `step` names them in the program; `scope` holds just the values they read.
    """

    step: str
    scope: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Withholding:
    """Arguments that read secrets stand in the command as they are written; the activity evaluates them.

    `step` finds them in the program; `value` (what `.` is) and `scope` hold just what they read besides.
    """

    step: str
    value: Json
    scope: dict[str, Json]

    def as_json(self) -> dict[str, Json]:
        return {"step": self.step, "value": self.value, "scope": self.scope}


@dataclass(frozen=True, slots=True)
class CallAction:
    occurrence: str
    name: str
    action: str
    version: str
    lane: Lane
    effect: Effect
    timeout_ms: int
    arguments: Json
    shaping: Shaping | None = None
    withheld: Withholding | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    occurrence: str
    name: str
    until: int


@dataclass(frozen=True, slots=True)
class AwaitEvents:
    """Bring the events of these types (None: of any), the earlier ones first; each is an `Arrived` of its own.

    It has no answer: the step has ended once its occurrence is pending no more.
    """

    occurrence: str
    name: str
    types: list[str] | None


@dataclass(frozen=True, slots=True)
class Stop:
    """What is under way for this occurrence is not wanted any more: end it, and answer `Stopped` once it has ended."""

    occurrence: str


@dataclass(frozen=True, slots=True)
class Yield:
    """The activation budget is spent: continue from this state somewhere that has time."""


@dataclass(frozen=True, slots=True)
class Finish:
    status: ExecutionStatus
    output: Json = None
    error: dict[str, Json] | None = None


Command: TypeAlias = CallAction | Sleep | AwaitEvents | Stop | Yield | Finish


@dataclass(frozen=True, slots=True)
class Resume:
    now: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A command succeeded. `shaped` is set when the activity evaluated the step's shaping itself."""

    now: int
    occurrence: str
    output: Json
    shaped: dict[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    now: int
    occurrence: str
    error: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A command was told to stop and has ended; whatever came of it does not matter to the execution any more."""

    now: int
    occurrence: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A CloudEvent has reached the execution, whether or not a step listens for it yet."""

    now: int
    event: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: the state's next deadline may be over."""

    now: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    now: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """The engine gives up: nothing in the definition can answer this error."""

    now: int
    error: dict[str, Json]


Event: TypeAlias = Resume | Completed | Failed | Stopped | Arrived | Tick | Cancelled | Aborted


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A line of the step log. Times are epoch ms; `input` are the arguments of a call.

    The latest record of an occurrence replaces earlier ones, but for `input` (see `keep`).
    """

    occurrence: str
    pointer: str
    name: str
    kind: str
    action: str | None
    visit: int
    position: int
    status: StepStatus
    started: int
    completed: int | None = None
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None


def keep(kept: dict[str, StepRecord], records: Iterable[StepRecord]) -> None:
    """Add newer records to those kept by occurrence, in the order of their last change.

    The arguments of a call are told once, when it begins; the records that follow inherit them.
    """
    for record in records:
        earlier = kept.pop(record.occurrence, None)
        if earlier is None or record.input is not None:
            kept[record.occurrence] = record
        else:
            kept[record.occurrence] = replace(record, input=earlier.input)


_COMMANDS: dict[str, type[Any]] = {
    c.__name__: c for c in (CallAction, Sleep, AwaitEvents, Stop, Yield, Finish)
}


def command_as_json(command: Command) -> dict[str, Json]:
    values: dict[str, Any] = {name: getattr(command, name) for name in command.__slots__}
    if isinstance(command, CallAction) and command.shaping is not None:
        values["shaping"] = {"step": command.shaping.step, "scope": command.shaping.scope}
    if isinstance(command, CallAction):
        # Few calls read secrets; the others need not carry the word.
        withheld = values.pop("withheld")
        values |= {} if withheld is None else {"withheld": withheld.as_json()}
    return {"is": type(command).__name__, **values}


def command_from_json(data: dict[str, Any]) -> Command:
    values = dict(data)
    kind = _COMMANDS[values.pop("is")]
    if kind is CallAction:
        values["lane"], values["effect"] = Lane(values["lane"]), Effect(values["effect"])
        if values.get("shaping"):
            values["shaping"] = Shaping(**values["shaping"])
        if "withheld" in values:
            values["withheld"] = Withholding(**values["withheld"])
    elif kind is Finish:
        values["status"] = ExecutionStatus(values["status"])
    command: Command = kind(**values)
    return command
