"""A dry run: a definition carried out in memory, the world mocked and the clock simulated; nothing else is touched.

The interpreter is the one that executions run on. Calls are answered by mocks, or by a value generated from the
action's output schema; waits and time limits let the clock jump. What nobody can answer ends the run with a
question. Everything is bounded: steps, computing, events and the size of the trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.actions import ActionSpec, Catalogue
from domain.definitions.commands import Finish, Resume, Tick, Yield
from domain.definitions.expressions import FuelExhausted, Meter
from domain.definitions.faults import state_too_large
from domain.definitions.interpreter import advance, begin
from domain.definitions.program import Function, Program
from domain.definitions.schemas import Schema, SchemaRefused, compile_schema
from domain.definitions.values import measure
from domain.errors import Invalid

from .mocks import read_mocks
from .trace import Trace, Traced, moment
from .world import Question, World

__all__ = ["NEW_YEAR", "DryRun", "Question", "Traced", "Trial", "dry_run"]

MAXIMUM_STEPS: Final = 2_000
MAXIMUM_HAPPENINGS: Final = 10_000
#: About 2 s of computing.
MAXIMUM_FUEL: Final = 1_600_000
#: The state that may travel between steps, in bytes, and how much of it all is measured at most.
MAXIMUM_STATE: Final = 1024 * 1024
MAXIMUM_MEASURED: Final = 16 * MAXIMUM_STATE
#: A dry run takes place on New Year's Day unless somebody says when.
NEW_YEAR: Final = 1_767_225_600_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What to run with: `mocks` and `events` as requests bring them, `now` in epoch ms.

    `generates` says whether calls without a mock are answered from the schema of their action.
    """

    input: Any = None
    mocks: Any = field(default_factory=dict)
    events: Any = field(default_factory=list)
    trigger: Any = field(default_factory=lambda: {"type": "manual", "name": "test"})
    now: int = NEW_YEAR
    generates: bool = True


@dataclass(frozen=True, slots=True)
class DryRun:
    """`status` is that of an execution, or "unanswered" (see `question`), or "stopped" (see `reason`)."""

    status: str
    output: Any
    error: dict[str, Any] | None
    question: Question | None
    reason: str | None
    trace: tuple[Traced, ...]
    is_complete: bool
    warnings: tuple[str, ...]
    started: int
    ended: int

    @property
    def path(self) -> list[str]:
        """The names of the steps in the order of entering; skipped ones in brackets."""
        return [f"({each.name})" if each.status == "skipped" else each.name for each in self.trace]

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "output": self.output,
            "error": self.error,
            "question": None if self.question is None else self.question.as_json(),
            "reason": self.reason,
            "path": self.path,
            "started": moment(self.started),
            "ended": moment(self.ended),
            "elapsed_ms": self.ended - self.started,
            "warnings": list(self.warnings),
            "is_complete": self.is_complete,
            "trace": [each.as_json() for each in self.trace],
        }


def dry_run(program: Program, catalogue: Catalogue, trial: Trial) -> DryRun:
    """Raises Invalid for mocks that are none, or that name no step."""
    mocks, problems = read_mocks(program, trial.mocks, trial.events)
    if problems:
        raise Invalid("The mocks cannot be used; see `errors`.", problems=problems)
    meter = Meter(MAXIMUM_FUEL)
    world = World(program, mocks, catalogue, meter, now=trial.now, generates=trial.generates)
    return _Running(program, catalogue, trial, world, meter).run()


class _Running:
    def __init__(
        self, program: Program, catalogue: Catalogue, trial: Trial, world: World, meter: Meter
    ) -> None:
        self.program = program
        self.catalogue = catalogue
        self.trial = trial
        self.world = world
        self.meter = meter
        self.trace = Trace(program)
        self.finish: Finish | None = None
        self.reason: str | None = None
        self.warnings: list[str] = []
        self.measured = 0
        self.schemas: dict[tuple[str, str], Schema | None] = {}
        execution = {"id": "00000000-0000-4000-8000-00000000d117", "trigger": trial.trigger}
        self.state = begin(
            program, input=trial.input, execution=execution, now=trial.now, budget=MAXIMUM_STEPS
        )

    def run(self) -> DryRun:
        self.world.begin(Resume(self.world.now))
        happenings = 0
        while self.finish is None and self.world.question is None and self.reason is None:
            happenings += 1
            if happenings > MAXIMUM_HAPPENINGS:
                self.reason = f"More than {MAXIMUM_HAPPENINGS} answers were needed; test a smaller part."
                break
            self._happen()
        self.warnings += self.world.warnings
        unused = sorted(self.world.mocks.answers.keys() - self.world.used)
        if self.finish is not None:
            self.warnings += [f"The mock of “{name}” was never used." for name in unused]
        for occurrence, by in self.world.sources.items():
            self.trace.answered(occurrence, by)
        return DryRun(
            self._status(),
            None if self.finish is None else self.finish.output,
            None if self.finish is None else self.finish.error,
            self.world.question,
            self.reason,
            tuple(self.trace.entries),
            self.trace.is_complete,
            tuple(self.warnings[:50]),
            self.trial.now,
            self.world.now,
        )

    def _status(self) -> str:
        if self.finish is not None:
            return self.finish.status.value
        return "unanswered" if self.world.question is not None else "stopped"

    def _happen(self) -> None:
        deadline, following = self.state.next_deadline, self.world.next_at
        if deadline is not None and (following is None or deadline <= following):
            if following is None and self._waits_for_ever(deadline):
                return
            self.world.now = max(self.world.now, deadline)
            self._advance(Tick(self.world.now))
        elif following is None:
            self._ask()
        else:
            self._advance(self.world.next())

    def _waits_for_ever(self, deadline: int) -> bool:
        """Only the end of every execution's life is left, which nobody has written down: that is no answer."""
        if deadline != self.state.deadline or "timeout" in self.program.document:
            return False
        self._ask()
        return True

    def _ask(self) -> None:
        for command in self.world.listening.values():
            if command.occurrence in self.state.pending:
                types = " or ".join(command.types or ["any type"])
                self.world.question = Question(
                    command.name,
                    command.occurrence.rpartition("#")[0],
                    f"Step “{command.name}” waits for an event of {types}, and no further event is mocked.",
                    'Add to `events`: {"type": "' + (command.types or ["…"])[0] + '", "data": …}',
                )
                return
        waiting = next(iter(self.state.pending), "")
        pointer = waiting.rpartition("#")[0]
        step = self.program.steps.get(pointer)
        name = pointer if step is None else step.name
        self.world.question = Question(
            name,
            pointer,
            f"Step “{name}” is never answered, and nothing limits its time.",
            "Give it a `timeout`.",
        )

    def _advance(self, event: Any) -> None:
        try:
            step = advance(self.program, self.state, event, self.meter, watch=self.trace.watch)
        except FuelExhausted:
            self.reason = _too_costly()
            return
        self.state = step.state
        self.trace.tell(step.records)
        self._weigh()
        for command in step.commands:
            if isinstance(command, Finish):
                self.finish = command
            elif isinstance(command, Yield):
                self.reason = _too_costly()
            else:
                self._check_arguments(command)
                self._take(command)

    def _weigh(self) -> None:
        """An execution fails when it has to take more along than may travel; only a worker knows where it has to."""
        if self.measured > MAXIMUM_MEASURED:
            return
        size = measure(self.state.as_json(), MAXIMUM_STATE)
        self.measured += size
        if size > MAXIMUM_STATE:
            self.measured = MAXIMUM_MEASURED + 1  # told once
            self.warnings.append(f"An execution may fail here. {state_too_large().detail}.")

    def _take(self, command: Any) -> None:
        try:
            self.world.take(command, self._callers(command))
        except FuelExhausted:
            self.reason = _too_costly()

    def _callers(self, command: Any) -> list[str]:
        """Pointers and names of the steps that call the function whose own step this is."""
        found: list[str] = []
        frame = self.state.frames.get(self.state.pending.get(getattr(command, "occurrence", ""), 0))
        while frame is not None and frame.parent is not None:
            block = self.state.frames[frame.parent]
            frame = None if block.parent is None else self.state.frames[block.parent]
            if frame is None or not isinstance(self.program.steps[frame.pointer].work, Function):
                break
            found += [frame.pointer, self.program.steps[frame.pointer].name]
        return found

    def _check_arguments(self, command: Any) -> None:
        """The action itself decides when it runs; what its schema refuses deserves a word before."""
        spec = self.catalogue.find(getattr(command, "action", ""), getattr(command, "version", None))
        arguments = getattr(command, "arguments", None)
        if spec is None or not isinstance(arguments, dict) or command.withheld is not None:
            return
        schema = self._schema(spec)
        if schema is None:
            return
        given = {name: value for name, value in arguments.items() if name != "variables"}
        for problem in schema.problems(given)[:3]:
            where = f" at {problem.pointer}" if problem.pointer else ""
            self.warnings.append(
                f"{spec.name} may refuse the arguments of “{command.name}”{where}: {problem.message}."
            )

    def _schema(self, spec: ActionSpec) -> Schema | None:
        key = (spec.name, spec.version)
        if key not in self.schemas:
            try:
                self.schemas[key] = compile_schema(_as_checked(spec.input))
            except SchemaRefused:
                self.schemas[key] = None
        return self.schemas[key]


def _too_costly() -> str:
    return "The expressions need more computing than a dry run may use; test with less data."


def _as_checked(schema: Any) -> Any:
    """Without our own formats: a duration may be written in more ways than the standard's `duration` knows."""
    if isinstance(schema, Mapping):
        return {
            name: _as_checked(value)
            for name, value in schema.items()
            if name != "format" or value not in ("duration", "json-schema")
        }
    return [_as_checked(each) for each in schema] if isinstance(schema, list) else schema
