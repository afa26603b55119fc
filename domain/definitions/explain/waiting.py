"""What a `listen` waits for."""

from typing import Any

from domain.definitions import phrases
from domain.definitions.expressions import strip_expression
from domain.definitions.outline import Step, at
from domain.definitions.phrases import listed

from .conditions import condition


def listen(step: Step, name: str) -> str:
    to = at(step.body, "listen", "to")
    types = [_event(each) for each in phrases.events(step.body["listen"])]
    if at(to, "all") is not None:
        told = f"{name} waits until all of these have happened: {listed(types)}"
    elif at(to, "one") is not None or len(types) == 1:
        told = f"{name} waits for {listed(types)}"
    else:
        told = f"{name} waits for {listed(types, 'or') or 'any event'}"
    told += _until(at(to, "until"))
    return told + ("; for each event:" if step.lists.get("foreach") else ".")


def _event(type: str) -> str:
    return type if type.startswith("any event") else f"the event {type}"


def _until(until: Any) -> str:
    if until is None:
        return ""
    if not isinstance(until, str):
        types = [_event(each) for each in phrases.events({"to": until})]
        return f", again and again until {listed(types, 'or')} happens"
    if strip_expression(until).strip() == "false":
        return ", again and again"
    return f", again and again until {condition(until)}"
