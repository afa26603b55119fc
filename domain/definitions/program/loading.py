"""From the stored form to the program: every expression, template and schema is compiled once."""

from collections.abc import Mapping
from typing import Any

from domain.actions import Lane
from domain.definitions import durations
from domain.definitions.expressions import (
    Json,
    compile_template,
    is_expression,
)
from domain.definitions.model import PROTOCOLS, SECRETS
from domain.definitions.pointers import join

from . import listening, running
from .authentications import uri_variables, with_authentications
from .components import Components
from .extensions import Extensions, extensions
from .flow import expression, flow, shape
from .functions import Function
from .library import Kept, Surroundings, library
from .parts import (
    ROOT,
    Block,
    Call,
    Case,
    Do,
    For,
    PinnedAction,
    Program,
    Role,
    Set,
    Step,
    Switch,
    Wait,
    Work,
)
from .remembering import remembered


def load_program(compiled: Mapping[str, Any]) -> Program:
    """Compile what publishing stored; it was validated then, so an error here is a fault of ours."""
    document = compiled["document"]
    surroundings, kept = library(compiled)
    loader = _Loader(document["document"]["name"], surroundings, kept)
    loader.extend(document.get("use") or {})
    loader.block(ROOT, document["do"])
    loader.functions()
    return Program(
        flow=flow(document),
        document=document,
        variables=compiled.get("variables", {}),
        blocks=loader.blocks,
        steps=loader.steps,
        remembered=remembered([document, compiled["calls"]], loader.own_steps()),
        timeout=loader.components.timeout(document),
        has_forks=any(block.role == "branch" for block in loader.blocks.values()),
    )


class _Loader:
    def __init__(self, name: str, surroundings: Surroundings, kept: Mapping[str, Kept]) -> None:
        self.name = name
        self.surroundings = surroundings
        self.kept = kept
        #: Functions that are called, and whether their steps are loaded.
        self.called: dict[str, bool] = {}
        self.blocks: dict[str, Block] = {}
        self.steps: dict[str, Step] = {}
        self.components = Components({})
        self.authentications: Mapping[str, Any] = {}
        self.extensions = Extensions()
        self.extending = False

    def extend(self, use: Mapping[str, Any]) -> None:
        """What the document keeps for all its steps. Extensions do not stand around their own steps."""
        self.components = Components(use)
        self.authentications = use.get("authentications") or {}
        self.extending = True
        self.extensions = extensions(use, self.block)
        self.extending = False

    def block(self, pointer: str, entries: list[dict[str, Any]], role: Role = "steps") -> str:
        steps = tuple(
            self._step(join(pointer, *([] if role == "branch" else [index]), name), name, definition)
            for index, entry in enumerate(entries)
            for name, definition in entry.items()
        )
        self.blocks[pointer] = Block(pointer, steps, {step.name: i for i, step in enumerate(steps)}, role)
        return pointer

    def _step(self, pointer: str, name: str, definition: dict[str, Any]) -> Step:
        kind, work = self._work(pointer, definition)
        condition = definition.get("if")
        step = Step(
            name=name,
            pointer=pointer,
            kind=kind,
            condition=None if condition is None else expression(condition),
            flow=flow(definition),
            then=definition.get("then", "continue"),
            work=work,
            definition=definition,
            timeout=self.components.timeout(definition),
            compensation=self._compensation(definition),
            extensions=self.extensions.around(kind),
            extends=self.extending,
        )
        self.steps[pointer] = step
        return step

    def _work(self, pointer: str, definition: dict[str, Any]) -> tuple[str, Work]:
        match definition:
            case {"set": values}:
                return "set", Set(shape(values))
            case {"switch": cases}:
                named = (entry for case in cases for entry in case.items())
                return "switch", Switch(tuple(_case(name, case) for name, case in named))
            case {"for": loop, "do": body}:
                return "for", self._for(pointer, loop, definition.get("while"), body)
            case {"do": body}:
                return "do", Do(self.block(join(pointer, "do"), body))
            case {"fork": fork}:
                return "fork", self.components.fork(pointer, fork, self.block)
            case {"try": _}:
                return "try", self.components.trying(pointer, definition, self.block)
            case {"raise": raising}:
                return "raise", self.components.raising(raising)
            case {"wait": duration}:
                return "wait", _wait(duration)
            case {"listen": _}:
                steps = (definition.get("foreach") or {}).get("do")
                inner = None if steps is None else self.block(join(pointer, "foreach", "do"), steps)
                return "listen", listening.listen(definition, inner)
            case {"emit": _}:
                return "emit", listening.emit(definition, self.name)
            case {"run": {"workflow": _} as process}:
                return "run", running.run(process)
            case {"call": name}:
                return "call", self._call(name, definition.get("with"))
        raise ValueError(f"{pointer}: no keyword of this engine in {sorted(definition)}")

    def _compensation(self, definition: Mapping[str, Any]) -> Call | None:
        undo = (definition.get("metadata") or {}).get("compensate")
        if undo is None:
            return None
        pinned = self.surroundings.calls[undo["call"]]
        return _call(undo["call"], pinned, undo.get("with") or {}, self.authentications)

    def _call(self, name: str, given: dict[str, Any] | None) -> Call | Function:
        place = self.surroundings.functions.get(name)
        if place is None:
            return _call(name, self.surroundings.calls[name], given or {}, self.authentications)
        self.called.setdefault(place, False)
        return Function(name, place, None if given is None else compile_template(given, mixed=True))

    def own_steps(self) -> dict[str, str]:
        """The names that `$steps` knows, by pointers: functions and extensions keep theirs to themselves."""
        return {pointer: step.name for pointer, step in self.steps.items() if pointer.startswith(f"{ROOT}/")}

    def functions(self) -> None:
        """The steps of every function that is called, by the document or by another function.

        Extensions stand around its call, not around its steps: an extension may itself call it.
        """
        self.extensions = Extensions()
        while place := next((place for place, is_loaded in self.called.items() if not is_loaded), None):
            self.called[place] = True
            function = self.kept[place]
            self.surroundings = function.surroundings
            step = self._step(place, function.name, dict(function.definition))
            self.blocks[place] = Block(place, (step,), {step.name: 0})

    def _for(self, pointer: str, loop: dict[str, Any], condition: str | None, body: list[Any]) -> For:
        return For(
            each=loop.get("each", "item"),
            at=loop.get("at", "index"),
            items=expression(loop["in"]),
            condition=None if condition is None else expression(condition),
            block=self.block(join(pointer, "do"), body),
        )


def _case(name: str, case: Mapping[str, Any]) -> Case:
    when = case.get("when")
    return Case(name, None if when is None else expression(when), case["then"])


def _wait(duration: Json) -> Wait:
    if isinstance(duration, str) and is_expression(duration):
        return Wait(expression(duration))
    return Wait(durations.parse(duration))


def _call(
    name: str, pinned: PinnedAction, given: Mapping[str, Any], authentications: Mapping[str, Any]
) -> Call:
    """The step's own arguments win over those of the configured action."""
    arguments = {**pinned.defaults, **given}
    variables = frozenset[str]()
    if pinned.action in PROTOCOLS.values():
        arguments = with_authentications(arguments, authentications)
        variables = uri_variables(arguments)
    withhold = SECRETS if pinned.lane is Lane.ACTIVITY else frozenset[str]()
    return Call(name, pinned, compile_template(arguments, mixed=True, withhold=withhold), variables)
