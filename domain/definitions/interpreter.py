"""Walks a program: `advance(program, state, event) → (state, commands, records)`, and nothing else happens.

Every transition first evaluates (which may fail or run out of fuel) and only then changes the state, so an
activation that runs out of fuel leaves a state from which another, with more time, repeats exactly that
transition.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

from domain import uris
from domain.actions import Lane
from domain.definitions import scopes
from domain.definitions.commands import (
    CallAction,
    Cancelled,
    Command,
    Completed,
    Event,
    Failed,
    Finish,
    Resume,
    Shaping,
    Sleep,
    StepRecord,
    Yield,
)
from domain.definitions.durations import InvalidDuration, parse
from domain.definitions.expressions import (
    ACTIVATION_FUEL,
    Expression,
    ExpressionError,
    FuelExhausted,
    Json,
    Meter,
)
from domain.definitions.faults import Fault
from domain.definitions.program import ENGINE, ROOT, Block, Call, Do, For, Program, Set, Step, Switch, Wait
from domain.definitions.shaping import Shaped, checked, evaluate, refuse_problems, shape
from domain.definitions.state import Frame, State, Todo
from domain.definitions.values import measure
from domain.executions import ExecutionStatus, StepStatus
from domain.ids import occurrence_name

#: Carries out one prepared transition; never evaluates, never fails.
Commit: TypeAlias = Callable[[], None]

#: The action behind the language's own `call: http`.
HTTP_REQUEST = "http.request"
#: The largest output of a step other than a call that is kept in the step log, in bytes.
MAXIMUM_LOGGED = 4096
#: What walking one step costs besides its expressions, in fuel.
WALKING_FUEL = 50
#: What the expressions of a single step may compute at most, wherever they run (about 30 s).
MAXIMUM_STEP_FUEL = ACTIVATION_FUEL * 150


@dataclass(frozen=True, slots=True)
class Advance:
    state: State
    commands: list[Command]
    records: list[StepRecord]
    #: False when the fuel did not even suffice for the first transition.
    progressed: bool


def begin(
    program: Program, *, input: Json, execution: Mapping[str, Json], now: int, budget: int = 10_000
) -> State:
    """The state of a new execution; the first `advance` with `Resume` starts it.

    `execution` becomes `$workflow` beside the definition: `id` and `trigger`. `now` is epoch milliseconds.
    """
    return State(
        engine=ENGINE,
        execution={**execution, "started": now},
        context=dict(program.variables),
        input=input,
        todo=[Todo("begin")],
        budget=budget,
        now=now,
    )


def advance(program: Program, state: State, event: Event, meter: Meter, *, patient: bool = False) -> Advance:
    """Carry the execution as far as it goes without the world.

    With `patient` a single transition that exceeds the whole of `meter` fails its step instead of yielding.
    """
    return _Walk(program, state.copy(), meter, patient).run(event)


class _Walk:
    def __init__(self, program: Program, state: State, meter: Meter, patient: bool) -> None:
        self.program = program
        self.state = state
        self.meter = meter
        self.patient = patient
        self.commands: list[Command] = []
        self.records: dict[str, StepRecord] = {}
        self.progressed = False

    def run(self, event: Event) -> Advance:
        self.state.now = event.now
        self._take(event)
        while self.state.todo:
            todo = self.state.todo[0]
            try:
                commit = self._prepare(todo)
            except FuelExhausted:
                if self.progressed or not self.patient:
                    self.commands.append(Yield())
                    break
                commit = self._failing(todo, step_too_costly())
            except Fault as fault:
                commit = self._failing(todo, fault)
            except ExpressionError as error:
                commit = self._failing(todo, Fault("expression", 400, "Expression failed", error.message))
            del self.state.todo[0]
            commit()
            self.progressed = True
        return Advance(self.state, self.commands, list(self.records.values()), self.progressed)

    def _take(self, event: Event) -> None:
        """Turn the world's answer into a transition that is due. Answers nobody waits for are ignored."""
        match event:
            case Resume():
                pass
            case Completed(occurrence=occurrence) if occurrence in self.state.pending:
                frame = self.state.pending.pop(occurrence)
                self.state.todo.append(Todo("leave", frame, event.output, event.shaped))
            case Failed(occurrence=occurrence) if occurrence in self.state.pending:
                frame = self.state.pending.pop(occurrence)
                self.state.todo.append(Todo("fault", frame, event.error))
            case Cancelled():
                self._cancel()
            case _:
                pass

    def _prepare(self, todo: Todo) -> Commit:
        self._charge()
        match todo.do:
            case "begin":
                return self._begin()
            case "enter":
                return self._enter(self.state.frames[todo.frame])
            case "iterate":
                frame = self.state.frames[todo.frame]
                loop = self.program.steps[frame.pointer].work
                assert isinstance(loop, For)
                return self._iterate(replace(frame, at=frame.at + 1), loop, todo.value)
            case "leave":
                return self._leave(self.state.frames[todo.frame], todo)
            case "fault":
                return self._failing(todo, Fault.from_json(_object(todo.value)))
            case "finish":
                return self._finish(todo.value)

    def _charge(self) -> None:
        """Walking costs too: a long loop of plain steps must not hold an activation either."""
        if self.meter.fuel is not None and self.meter.spent + WALKING_FUEL > self.meter.fuel:
            raise FuelExhausted
        self.meter.spent += WALKING_FUEL

    # The workflow itself

    def _begin(self) -> Commit:
        flow, raw = self.program.flow, self.state.input
        refuse_problems(flow.input_schema, raw, "The input of the workflow")
        scope = scopes.build(self.program, self.state, None, _names(flow.input_from))
        value = raw if flow.input_from is None else evaluate(flow.input_from, raw, scope, self.meter)

        def commit() -> None:
            root = self.state.add_frame(parent=None, kind="block", pointer=ROOT, value=value)
            self.state.todo.append(Todo("enter", root.id))

        return commit

    def _finish(self, raw: Json) -> Commit:
        flow = self.program.flow
        scope = {**scopes.build(self.program, self.state, None, _names(flow.output_as)), "output": raw}
        output = raw if flow.output_as is None else evaluate(flow.output_as, raw, scope, self.meter)
        refuse_problems(flow.output_schema, output, "The output of the workflow")
        checked(output, "The output of the workflow")

        def commit() -> None:
            self.state.progress = 100
            self._close(Finish(ExecutionStatus.COMPLETED, output=output))

        return commit

    def _close(self, finish: Finish) -> None:
        self.state.frames.clear()
        self.state.todo.clear()
        self.state.pending.clear()
        self.commands.append(finish)

    def _cancel(self) -> None:
        for frame in list(self.state.frames.values()):
            if frame.kind == "step":
                self._record(frame, StepStatus.CANCELLED)
        self._close(Finish(ExecutionStatus.CANCELLED))

    # Entering a step

    def _enter(self, block_frame: Frame) -> Commit:
        block = self.program.blocks[block_frame.pointer]
        if block_frame.at >= len(block.steps):
            return lambda: self._leave_block(block_frame, block_frame.value)
        step = block.steps[block_frame.at]
        if self.state.occurrences >= self.state.budget:
            raise Fault(
                "runtime",
                500,
                "Step budget exceeded",
                f"More than {self.state.budget} steps were entered; check the loop or the backward jump that"
                f" leads to '{step.name}', or ask for a higher limit",
                instance=step.pointer,
            )
        raw = block_frame.value
        frame = Frame(
            id=self.state.next_frame,
            parent=block_frame.id,
            kind="step",
            pointer=step.pointer,
            raw=raw,
            value=raw,
            visit=self.state.visits.get(step.pointer, 0) + 1,
            position=self.state.occurrences + 1,
            started=self.state.now,
        )
        if step.condition is not None:
            scope = self._scope(frame, step.condition.names)
            if step.condition.evaluate(raw, scope, self.meter) in (None, False):
                return lambda: self._skip(frame, block_frame, step)
        refuse_problems(step.flow.input_schema, raw, f"The input of step '{step.name}'")
        if step.flow.input_from is not None:
            scope = self._scope(frame, step.flow.input_from.names)
            frame = replace(frame, value=evaluate(step.flow.input_from, raw, scope, self.meter))
        work = self._work(step, frame)

        def commit() -> None:
            self._admit(frame)
            self._mark_progress(block_frame, block, frame)
            work()

        return commit

    def _admit(self, frame: Frame) -> None:
        self.state.frames[frame.id] = frame
        self.state.next_frame += 1
        self.state.visits[frame.pointer] = frame.visit
        self.state.occurrences += 1

    def _skip(self, frame: Frame, block_frame: Frame, step: Step) -> None:
        self._admit(frame)
        self._record(frame, StepStatus.SKIPPED)
        del self.state.frames[frame.id]
        self._goto(block_frame, block_frame.at + 1, frame.raw)

    def _work(self, step: Step, frame: Frame) -> Commit:
        """Evaluate what the step needs to begin, and say what beginning it changes."""
        match step.work:
            case Set(values):
                scope = self._scope(frame, values.names)
                output = checked(evaluate(values, frame.value, scope, self.meter), f"step '{step.name}'")
                return lambda: self._output(frame, output)
            case Switch(cases):
                for case in cases:
                    if case.when is None or case.when.evaluate(
                        frame.value, self._scope(frame, case.when.names), self.meter
                    ) not in (None, False):
                        chosen = case.then
                        return lambda: self._output(frame, frame.value, then=chosen)
                return lambda: self._output(frame, frame.value)
            case Do(pointer):

                def open_body() -> None:
                    self._record(frame, StepStatus.RUNNING)
                    self._open_block(frame, pointer, frame.value)

                return open_body
            case For() as loop:
                items = loop.items.evaluate(frame.value, self._scope(frame, loop.items.names), self.meter)
                if not isinstance(items, list):
                    raise Fault(
                        "expression",
                        400,
                        "Nothing to loop over",
                        f"`for.in` of step '{step.name}' must give a list, but gave {_kind(items)}",
                    )
                first = self._iterate(replace(frame, items=items), loop, frame.value)

                def begin_loop() -> None:
                    self._record(frame, StepStatus.RUNNING)
                    first()

                return begin_loop
            case Wait(duration):
                until = self.state.now + self._milliseconds(duration, frame, step)
                return lambda: self._wait(frame, step, until)
            case Call() as call:
                command = self._call(frame, step, call)
                return lambda: self._dispatch(frame, command)

    def _milliseconds(self, duration: timedelta | Expression, frame: Frame, step: Step) -> int:
        if isinstance(duration, Expression):
            value = duration.evaluate(frame.value, self._scope(frame, duration.names), self.meter)
            try:
                duration = parse(value)
            except InvalidDuration as error:
                raise Fault(
                    "expression", 400, "Not a duration", f"`wait` of step '{step.name}': {error}"
                ) from error
        return duration // timedelta(milliseconds=1)

    def _call(self, frame: Frame, step: Step, call: Call) -> CallAction:
        scope = self._scope(frame, call.arguments.names)
        arguments = checked(
            call.arguments.evaluate(frame.value, scope, self.meter), f"`with` of step '{step.name}'"
        )
        pinned = call.pinned
        if pinned.action == HTTP_REQUEST:
            arguments = _with_uri_variables(arguments, frame.value)
        shaping = None
        if pinned.lane is Lane.ACTIVITY and (
            step.flow.output_as is not None or step.flow.export_as is not None
        ):
            names = _names(step.flow.output_as) | _names(step.flow.export_as)
            shaping = Shaping(step.pointer, self._scope(frame, names - {"output"}))
        return CallAction(
            occurrence=occurrence_name(frame.pointer, frame.visit),
            name=step.name,
            action=pinned.action,
            version=pinned.version,
            lane=pinned.lane,
            effect=pinned.effect,
            timeout_ms=int(pinned.timeout.total_seconds() * 1000),
            arguments=arguments,
            shaping=shaping,
        )

    def _dispatch(self, frame: Frame, command: CallAction) -> None:
        self.state.pending[command.occurrence] = frame.id
        status = StepStatus.WAITING if command.lane is Lane.TASK else StepStatus.RUNNING
        self._record(frame, status, input=command.arguments)
        self.commands.append(command)

    def _wait(self, frame: Frame, step: Step, until: int) -> None:
        occurrence = occurrence_name(frame.pointer, frame.visit)
        self.state.pending[occurrence] = frame.id
        self._record(frame, StepStatus.WAITING)
        self.commands.append(Sleep(occurrence, step.name, until))

    def _open_block(self, frame: Frame, pointer: str, value: Json) -> None:
        inner = self.state.add_frame(parent=frame.id, kind="block", pointer=pointer, value=value)
        self.state.todo.append(Todo("enter", inner.id))

    # Loops

    def _iterate(self, frame: Frame, loop: For, value: Json) -> Commit:
        """The next round of a loop: its body with `value`, or the end of the loop with it."""
        items = frame.items
        assert isinstance(items, list)
        over = frame.at >= len(items)
        if not over and loop.condition is not None:
            scope = self._scope(frame, loop.condition.names)
            over = loop.condition.evaluate(value, scope, self.meter) in (None, False)

        def commit() -> None:
            self.state.frames[frame.id] = frame
            if over:
                self._output(frame, value)
            else:
                self._mark_loop(frame, len(items))
                self._open_block(frame, loop.block, value)

        return commit

    # Leaving a step

    def _output(self, frame: Frame, raw: Json, *, then: str | None = None) -> None:
        """The step's own work is done; shaping its output is a transition of its own."""
        self.state.todo.append(Todo("leave", frame.id, raw, then=then))

    def _leave(self, frame: Frame, todo: Todo) -> Commit:
        step = self.program.steps[frame.pointer]
        if todo.shaped is not None:
            shaped = Shaped.from_json(todo.shaped)
        else:
            names = _names(step.flow.output_as) | _names(step.flow.export_as)
            shaped = shape(step, todo.value, self._scope(frame, names - {"output"}), self.meter)
        then = todo.then or step.then
        return lambda: self._leave_with(frame, step, shaped, then)

    def _leave_with(self, frame: Frame, step: Step, shaped: Shaped, then: str) -> None:
        if shaped.exports:
            self.state.context = shaped.export
        if step.name in self.program.remembered:
            self.state.steps[step.name] = shaped.output
        self._record(frame, StepStatus.COMPLETED, output=_logged(step, shaped.output))
        assert frame.parent is not None
        block_frame = self.state.frames[frame.parent]
        del self.state.frames[frame.id]
        match then:
            case "continue":
                self._goto(block_frame, block_frame.at + 1, shaped.output)
            case "exit":
                self._leave_block(block_frame, shaped.output)
            case "end":
                self._end(shaped.output, self.state.frames.get(block_frame.id))
            case name:
                index = self.program.blocks[block_frame.pointer].index[name]
                self._goto(block_frame, index, shaped.output)

    def _goto(self, block_frame: Frame, index: int, value: Json) -> None:
        self.state.change(block_frame, at=index, value=value)
        self.state.todo.append(Todo("enter", block_frame.id))

    def _leave_block(self, block_frame: Frame, output: Json) -> None:
        del self.state.frames[block_frame.id]
        if block_frame.parent is None:
            self.state.todo.append(Todo("finish", value=output))
            return
        owner = self.state.frames[block_frame.parent]
        self.state.todo.append(Todo("leave" if owner.items is None else "iterate", owner.id, output))

    def _end(self, output: Json, inner: Frame | None) -> None:
        """`then: end`: every enclosing step is done, and the workflow finishes with this output."""
        while inner is not None:
            if inner.kind == "step":
                self._record(inner, StepStatus.COMPLETED, output=output)
            parent = inner.parent
            del self.state.frames[inner.id]
            inner = None if parent is None else self.state.frames[parent]
        self.state.todo.append(Todo("finish", value=output))

    # Faults

    def _failing(self, todo: Todo, fault: Fault) -> Commit:
        frame = self.state.frames.get(todo.frame)
        if todo.do == "enter" and frame is not None:
            step = self.program.blocks[frame.pointer].steps[frame.at]
            return lambda: self._fail(self._stillborn(frame, step), fault.at(step.pointer))
        return lambda: self._fail(frame, fault.at(frame.pointer if frame is not None else "/"))

    def _stillborn(self, block_frame: Frame, step: Step) -> Frame:
        """A step that failed while it was being entered is still an occurrence in the log."""
        frame = Frame(
            id=self.state.next_frame,
            parent=block_frame.id,
            kind="step",
            pointer=step.pointer,
            visit=self.state.visits.get(step.pointer, 0) + 1,
            position=self.state.occurrences + 1,
            started=self.state.now,
        )
        self._admit(frame)
        return frame

    def _fail(self, frame: Frame | None, fault: Fault) -> None:
        error = fault.as_json()
        while frame is not None:
            if frame.kind == "step":
                self._record(frame, StepStatus.FAILED, error=error)
            frame = None if frame.parent is None else self.state.frames.get(frame.parent)
        self._close(Finish(ExecutionStatus.FAILED, error=error))

    # Reporting

    def _scope(self, frame: Frame, names: frozenset[str]) -> dict[str, Json]:
        return scopes.build(self.program, self.state, frame, names)

    def _record(
        self,
        frame: Frame,
        status: StepStatus,
        *,
        input: Json = None,
        output: Json = None,
        error: dict[str, Json] | None = None,
    ) -> None:
        step = self.program.steps[frame.pointer]
        occurrence = occurrence_name(frame.pointer, frame.visit)
        earlier = self.records.pop(occurrence, None)
        self.records[occurrence] = StepRecord(
            occurrence=occurrence,
            pointer=frame.pointer,
            name=step.name,
            kind=step.kind,
            action=step.work.pinned.action if isinstance(step.work, Call) else None,
            visit=frame.visit,
            position=frame.position,
            status=status,
            started=frame.started,
            completed=None if status in (StepStatus.RUNNING, StepStatus.WAITING) else self.state.now,
            input=input if input is not None or earlier is None else earlier.input,
            output=output,
            error=error,
        )

    def _mark_progress(self, block_frame: Frame, block: Block, frame: Frame) -> None:
        if block_frame.parent is None:
            self.state.current_step = block_frame.at
            self.state.progress = max(self.state.progress, 100 * block_frame.at // len(block.steps))

    def _mark_loop(self, frame: Frame, rounds: int) -> None:
        assert frame.parent is not None
        outer = self.state.frames[frame.parent]
        if outer.parent is None:
            total = len(self.program.blocks[outer.pointer].steps)
            done = (100 * outer.at + 100 * frame.at // rounds) // total
            self.state.progress = max(self.state.progress, done)


def _names(part: object) -> frozenset[str]:
    names: frozenset[str] = getattr(part, "names", frozenset())
    return names


def _with_uri_variables(arguments: Json, input: Json) -> Json:
    """`{name}` in the endpoint of an HTTP call reads a top-level field of the step's input."""
    assert isinstance(arguments, dict)
    endpoint = arguments.get("endpoint")
    template = endpoint.get("uri") if isinstance(endpoint, dict) else endpoint
    if not isinstance(template, str) or not isinstance(input, dict):
        return arguments
    variables = {name: input[name] for name in uris.names(template) if name in input}
    return {**arguments, "variables": variables} if variables else arguments


def _logged(step: Step, output: Json) -> Json:
    """Outputs of calls are durable; those of other steps can be computed again, so only small ones are logged."""
    if isinstance(step.work, Call) or measure(output, MAXIMUM_LOGGED) <= MAXIMUM_LOGGED:
        return output
    return None


def _object(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _kind(value: Json) -> str:
    names = {type(None): "null", bool: "a boolean", dict: "an object", str: "a string"}
    return names.get(type(value), "a number")


def step_too_costly() -> Fault:
    return Fault(
        "runtime",
        500,
        "Step too costly",
        "The expressions of this one step need more computing than a step may use; split it into several",
    )
