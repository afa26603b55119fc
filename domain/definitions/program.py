"""The compiled form of one version, ready to interpret: blocks of steps with their expressions compiled once."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any, Final, TypeAlias

from domain.actions import Effect, Lane
from domain.definitions import durations
from domain.definitions.expressions import (
    Expression,
    Json,
    Template,
    compile_expression,
    compile_template,
    is_expression,
    strip_expression,
)
from domain.definitions.schemas import Schema, compile_schema

#: Where the first block of every document stands.
ROOT: Final = "/do"
#: The semantics a new execution is started with; fixed in its state for life.
ENGINE: Final = 1

Shape: TypeAlias = Expression | Template


@dataclass(frozen=True, slots=True)
class PinnedAction:
    """The exact action a `call` means for every execution of this version."""

    action: str
    version: str
    lane: Lane
    effect: Effect
    timeout: timedelta
    defaults: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Set:
    values: Shape


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    when: Expression | None
    then: str


@dataclass(frozen=True, slots=True)
class Switch:
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class For:
    each: str
    at: str
    items: Expression
    condition: Expression | None
    block: str


@dataclass(frozen=True, slots=True)
class Do:
    block: str


@dataclass(frozen=True, slots=True)
class Wait:
    duration: timedelta | Expression


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    pinned: PinnedAction
    arguments: Template


Work: TypeAlias = Set | Switch | For | Do | Wait | Call


@dataclass(frozen=True, slots=True)
class Flow:
    """How data enters and leaves a step or the whole workflow."""

    input_schema: Schema | None
    input_from: Shape | None
    output_as: Shape | None
    output_schema: Schema | None
    export_as: Shape | None
    export_schema: Schema | None


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    pointer: str
    kind: str
    condition: Expression | None
    flow: Flow
    then: str
    work: Work
    definition: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Block:
    """A list of steps; `then` resolves names only within it."""

    pointer: str
    steps: tuple[Step, ...]
    index: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Program:
    flow: Flow
    document: Mapping[str, Json]
    variables: Mapping[str, Json]
    blocks: Mapping[str, Block]
    steps: Mapping[str, Step]
    #: Steps whose latest output some expression reads through `$steps`; only these are kept.
    remembered: frozenset[str]


class Programs:
    """Programs by the hash of their compiled form; bounded, so that many tenants cannot fill the memory."""

    def __init__(self, capacity: int = 512) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._loaded: OrderedDict[str, Program] = OrderedDict()

    def get(self, sha256: str) -> Program | None:
        with self._lock:
            program = self._loaded.get(sha256)
            if program is not None:
                self._loaded.move_to_end(sha256)
            return program

    def load(self, sha256: str, compiled: Mapping[str, Any]) -> Program:
        program = self.get(sha256)
        if program is None:
            program = load_program(compiled)
            with self._lock:
                self._loaded[sha256] = program
                while len(self._loaded) > self._capacity:
                    self._loaded.popitem(last=False)
        return program


def load_program(compiled: Mapping[str, Any]) -> Program:
    """Compile what publishing stored; it was validated then, so an error here is a fault of ours."""
    document = compiled["document"]
    loader = _Loader({name: _pinned(call) for name, call in compiled["calls"].items()})
    loader.block(ROOT, document["do"])
    return Program(
        flow=_flow(document),
        document=document,
        variables=compiled.get("variables", {}),
        blocks=loader.blocks,
        steps=loader.steps,
        remembered=_remembered(document, frozenset(step.name for step in loader.steps.values())),
    )


class _Loader:
    def __init__(self, calls: Mapping[str, PinnedAction]) -> None:
        self.calls = calls
        self.blocks: dict[str, Block] = {}
        self.steps: dict[str, Step] = {}

    def block(self, pointer: str, entries: list[dict[str, Any]]) -> str:
        steps = tuple(
            self._step(f"{pointer}/{index}/{escape(name)}", name, definition)
            for index, entry in enumerate(entries)
            for name, definition in entry.items()
        )
        self.blocks[pointer] = Block(pointer, steps, {step.name: i for i, step in enumerate(steps)})
        return pointer

    def _step(self, pointer: str, name: str, definition: dict[str, Any]) -> Step:
        kind, work = self._work(pointer, definition)
        condition = definition.get("if")
        step = Step(
            name=name,
            pointer=pointer,
            kind=kind,
            condition=None if condition is None else _expression(condition),
            flow=_flow(definition),
            then=definition.get("then", "continue"),
            work=work,
            definition=definition,
        )
        self.steps[pointer] = step
        return step

    def _work(self, pointer: str, definition: dict[str, Any]) -> tuple[str, Work]:
        match definition:
            case {"set": values}:
                return "set", Set(_shape(values))
            case {"switch": cases}:
                return "switch", Switch(
                    tuple(_case(name, case) for one in cases for name, case in one.items())
                )
            case {"for": loop, "do": body}:
                condition = definition.get("while")
                return "for", For(
                    each=loop.get("each", "item"),
                    at=loop.get("at", "index"),
                    items=_expression(loop["in"]),
                    condition=None if condition is None else _expression(condition),
                    block=self.block(f"{pointer}/do", body),
                )
            case {"do": body}:
                return "do", Do(self.block(f"{pointer}/do", body))
            case {"wait": duration}:
                if isinstance(duration, str) and is_expression(duration):
                    return "wait", Wait(_expression(duration))
                return "wait", Wait(durations.parse(duration))
            case {"call": name}:
                pinned = self.calls[name]
                arguments = {**pinned.defaults, **definition.get("with", {})}
                return "call", Call(name, pinned, compile_template(arguments, mixed=True))
        raise ValueError(f"{pointer}: no keyword of this engine in {sorted(definition)}")


def escape(name: str) -> str:
    """A name as one token of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _pinned(call: Mapping[str, Any]) -> PinnedAction:
    return PinnedAction(
        action=call["action"],
        version=call["version"],
        lane=Lane(call["lane"]),
        effect=Effect(call["effect"]),
        timeout=timedelta(milliseconds=call["timeout_ms"]),
        defaults=call.get("with", {}),
    )


def _case(name: str, case: Mapping[str, Any]) -> Case:
    when = case.get("when")
    return Case(name, None if when is None else _expression(when), case["then"])


def _flow(definition: Mapping[str, Any]) -> Flow:
    """The data flow of a step or of the document; they are written alike."""
    taken, given, kept = (definition.get(part) or {} for part in ("input", "output", "export"))
    return Flow(
        input_schema=_schema(taken),
        input_from=_shape(taken["from"]) if "from" in taken else None,
        output_as=_shape(given["as"]) if "as" in given else None,
        output_schema=_schema(given),
        export_as=_shape(kept["as"]) if "as" in kept else None,
        export_schema=_schema(kept),
    )


def _schema(part: Mapping[str, Any]) -> Schema | None:
    return compile_schema(part["schema"]["document"]) if "schema" in part else None


def _expression(source: str) -> Expression:
    return compile_expression(strip_expression(source))


def _shape(value: Json) -> Shape:
    """`from`, `as` and `set` take an expression (with or without `${}`) or a template."""
    return _expression(value) if isinstance(value, str) else compile_template(value)


def _remembered(document: Json, names: frozenset[str]) -> frozenset[str]:
    texts = [text for text in _strings(document) if "$steps" in text]
    return frozenset(name for name in names if any(name in text for text in texts))


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)


#: One cache per process: a version is compiled once for the API, the workflows and the activities together.
PROGRAMS: Final = Programs()
