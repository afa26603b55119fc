"""The world of a dry run: an agenda of what is answered when, and a clock that jumps from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Any, Final

from domain import templates
from domain.actions import ActionSpec, Catalogue, Lane
from domain.definitions.commands import (
    Arrived,
    AwaitEvents,
    CallAction,
    Completed,
    Event,
    Failed,
    Sleep,
    Stop,
    Stopped,
)
from domain.definitions.expressions import ExpressionError, Meter
from domain.definitions.faults import Fault
from domain.definitions.program import Program
from domain.definitions.shaping import expression_failed, shape
from domain.events import EMIT

from .mocks import COMPENSATION, Answer, Mocks
from .people import reply
from .samples import NoSample, sample
from .trace import moment

#: What a call takes when its mock does not say, in ms: long enough to tell moments apart.
CALL: Final = 1
_TEMPLATE: Final = "data.template"


@dataclass(frozen=True, slots=True)
class Question:
    """Nobody has said what the world answers here; the dry run stops and asks."""

    step: str
    pointer: str
    message: str
    suggestion: str

    def as_json(self) -> dict[str, str]:
        return {
            "step": self.step,
            "pointer": self.pointer,
            "message": self.message,
            "suggestion": self.suggestion,
        }


class World:
    def __init__(
        self, program: Program, mocks: Mocks, catalogue: Catalogue, meter: Meter, *, now: int, generates: bool
    ) -> None:
        self.program = program
        self.mocks = mocks
        self.catalogue = catalogue
        self.meter = meter
        self.now = now
        self.generates = generates
        self.question: Question | None = None
        self.listening: dict[str, AwaitEvents] = {}
        self.used: set[str] = set()
        self.warnings: list[str] = []
        #: Who answered an occurrence.
        self.sources: dict[str, str] = {}
        self._turns: dict[str, int] = {}
        self._number = 0
        self._agenda: list[tuple[int, int, Event]] = []
        for arrival in mocks.events:
            self._at(arrival.after, Arrived(0, arrival.event))

    @property
    def next_at(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    def begin(self, event: Event) -> None:
        self._at(0, event)

    def next(self) -> Event:
        """The clock jumps to whatever happens next."""
        at, _, event = heappop(self._agenda)
        self.now = max(self.now, at)
        return replace(event, now=self.now)

    def take(self, command: Any, callers: Sequence[str] = ()) -> None:
        """`callers` are the pointers and names of steps whose mocks answer for this one too."""
        match command:
            case Sleep(occurrence=occurrence, until=until):
                self.sources[occurrence] = "clock"
                self._at(until - self.now, Completed(0, occurrence, None))
            case Stop(occurrence=occurrence):
                self.listening.pop(occurrence, None)
                self._agenda = [
                    each for each in self._agenda if getattr(each[2], "occurrence", None) != occurrence
                ]
                heapify(self._agenda)
                self._at(0, Stopped(0, occurrence))
            case CallAction():
                self._call(command, callers)
            case AwaitEvents():
                self.sources[command.occurrence] = "event"
                self.listening[command.occurrence] = command

    def _at(self, after: int, event: Event) -> None:
        self._number += 1
        heappush(self._agenda, (self.now + after, self._number, event))

    def _call(self, command: CallAction, callers: Sequence[str]) -> None:
        answer = self._mocked(command, callers)
        if answer is None:
            answer = self._answered(command)
        if answer is not None and command.lane is Lane.TASK:
            said = reply(command, answer)
            answer = said.answer
            self.warnings += [] if said.warning is None else [said.warning]
        if answer is None or answer.is_missing:
            return
        output = command.arguments if answer.echoes else answer.output
        event = (
            Failed(0, command.occurrence, answer.fault.as_json())
            if answer.fault
            else self._shaped(command, output)
        )
        self._at(answer.after or CALL, event)
        if command.action == EMIT and isinstance(output, dict):
            # What is emitted reaches whoever listens, this execution too.
            self._at((answer.after or CALL) + CALL, Arrived(0, output))

    def _mocked(self, command: CallAction, callers: Sequence[str]) -> Answer | None:
        suffix = COMPENSATION if command.occurrence.endswith(COMPENSATION) else ""
        pointer = command.occurrence.rpartition("#")[0]
        for name in (pointer + suffix, command.name + suffix, *callers):
            if answers := self.mocks.answers.get(name):
                self.used.add(name)
                turn = self._turns[name] = self._turns.get(name, 0) + 1
                self.sources[command.occurrence] = "mock"
                return answers[min(turn, len(answers)) - 1]
        return None

    def _answered(self, command: CallAction) -> Answer | None:
        """What needs no mock: computed where it is harmless, generated where the action says what it gives."""
        spec = self.catalogue.find(command.action, command.version)
        self.sources[command.occurrence] = "computed"
        if command.action == EMIT and isinstance(command.arguments, dict):
            id = f"dry-run{command.occurrence}"
            written = {name: value for name, value in command.arguments.items() if value is not None}
            return Answer(
                {"specversion": "1.0", "id": id, "source": "/", "time": moment(self.now), **written}
            )
        if command.action == _TEMPLATE and isinstance(command.arguments, dict):
            return _filled(command.arguments)
        self.sources[command.occurrence] = "generated"
        made = self._generated(command, spec)
        if made is None:
            self._ask(command)
        return made

    def _generated(self, command: CallAction, spec: ActionSpec | None) -> Answer | None:
        """Nobody decides for a person, and what another workflow gives is written nowhere."""
        if not self.generates or command.lane in (Lane.TASK, Lane.EXECUTION) or spec is None:
            return None
        try:
            return Answer(sample(spec.output))
        except NoSample:
            return None

    def _ask(self, command: CallAction) -> None:
        undoes = command.occurrence.endswith(COMPENSATION)
        name = command.name + (COMPENSATION if undoes else "")
        told = {
            Lane.TASK: (f"Step “{command.name}” asks a person: what is decided?", _decision(command)),
            Lane.EXECUTION: (
                f"Step “{command.name}” waits for another workflow: what does that give?",
                "{output: …}",
            ),
        }.get(
            command.lane,
            (f"Step “{command.name}” calls {command.action}: what does that answer?", "{output: …}"),
        )
        pointer = command.occurrence.rpartition("#")[0]
        if self.question is None:
            self.question = Question(command.name, pointer, told[0], f'Add to `mocks`: "{name}": {told[1]}')

    def _shaped(self, command: CallAction, output: Any) -> Event:
        """As an activity does it."""
        if command.shaping is None:
            return Completed(0, command.occurrence, output)
        step = self.program.steps[command.shaping.step]
        try:
            shaped = shape(step, output, command.shaping.scope, self.meter)
        except Fault as fault:
            return Failed(0, command.occurrence, fault.as_json())
        except ExpressionError as error:
            return Failed(0, command.occurrence, expression_failed(error).as_json())
        return Completed(0, command.occurrence, None, shaped.as_json())


def _decision(command: CallAction) -> str:
    return (
        "{decision: {outcome: submitted, data: {…}}}" if command.action == "ask" else "{decision: approved}"
    )


def _filled(arguments: Mapping[str, Any]) -> Answer | None:
    """The template is filled as the action does it."""
    text, values = arguments.get("text"), arguments.get("values", {})
    if not isinstance(text, str) or not isinstance(values, dict):
        return Answer(fault=Fault("validation", 400, "Arguments refused", "data.template needs a text"))
    try:
        filled = templates.render(text, values, html=arguments.get("escape") == "html", limit=131_000)
    except Fault as fault:
        return Answer(fault=fault)
    return Answer({"text": filled})
