"""From the stored form to the program: every expression, template and schema is compiled once."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from domain import uris
from domain.actions import Effect, Lane
from domain.definitions import durations
from domain.definitions.expressions import (
    Json,
    compile_template,
    is_expression,
)
from domain.definitions.model import PROTOCOLS, SECRETS
from domain.definitions.pointers import join

from .flow import expression, flow, shape
from .parts import (
    ROOT,
    Block,
    Call,
    Case,
    Do,
    For,
    Listen,
    PinnedAction,
    Program,
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
    loader = _Loader({name: _pinned(call) for name, call in compiled["calls"].items()})
    loader.block(ROOT, document["do"])
    return Program(
        flow=flow(document),
        document=document,
        variables=compiled.get("variables", {}),
        blocks=loader.blocks,
        steps=loader.steps,
        remembered=remembered([document, compiled["calls"]], {step.name for step in loader.steps.values()}),
    )


class _Loader:
    def __init__(self, calls: Mapping[str, PinnedAction]) -> None:
        self.calls = calls
        self.blocks: dict[str, Block] = {}
        self.steps: dict[str, Step] = {}

    def block(self, pointer: str, entries: list[dict[str, Any]]) -> str:
        steps = tuple(
            self._step(join(pointer, index, name), name, definition)
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
            condition=None if condition is None else expression(condition),
            flow=flow(definition),
            then=definition.get("then", "continue"),
            work=work,
            definition=definition,
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
            case {"wait": duration}:
                return "wait", _wait(duration)
            case {"listen": {"to": {"one": {"with": {"type": type}}}} as listen}:
                return "listen", Listen(type, listen.get("read", "data"))
            case {"call": name}:
                return "call", _call(name, self.calls[name], definition.get("with", {}))
        raise ValueError(f"{pointer}: no keyword of this engine in {sorted(definition)}")

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


def _call(name: str, pinned: PinnedAction, given: Mapping[str, Any]) -> Call:
    """The step's own arguments win over those of the configured action."""
    arguments = {**pinned.defaults, **given}
    variables = frozenset[str]()
    if pinned.action == PROTOCOLS["http"]:
        endpoint = arguments.get("endpoint")
        written = endpoint.get("uri") if isinstance(endpoint, dict) else endpoint
        variables = uris.names(written) if isinstance(written, str) else variables
    withhold = SECRETS if pinned.lane is Lane.ACTIVITY else frozenset[str]()
    return Call(name, pinned, compile_template(arguments, mixed=True, withhold=withhold), variables)


def _pinned(call: Mapping[str, Any]) -> PinnedAction:
    return PinnedAction(
        action=call["action"],
        version=call["version"],
        lane=Lane(call["lane"]),
        effect=Effect(call["effect"]),
        timeout=timedelta(milliseconds=call["timeout_ms"]),
        defaults=call.get("with", {}),
    )
