"""The second line of a box and the notes below it: what a step does, in a handful of words."""

from collections.abc import Mapping
from typing import Any

from domain.definitions import phrases
from domain.definitions.outline import Step, at
from domain.definitions.phrases import counted, expression, visible


def detail(step: Step, use: Mapping[str, Any]) -> str:
    body = step.body
    match step.kind:
        case "call":
            return _call(body)
        case "set":
            values = body["set"]
            return (
                visible(", ".join(map(str, values)), 60)
                if isinstance(values, Mapping)
                else expression(values, 60)
            )
        case "switch":
            return counted(len(cases(body)), "case")
        case "wait":
            return phrases.duration(body["wait"])
        case "listen":
            return _listen(body["listen"])
        case "emit":
            return phrases.event(at(body, "emit", "event"))
        case "raise":
            return _raise(at(body, "raise", "error"), use)
        case "run":
            target = at(body, "run", "workflow")
            return (
                visible(next(iter(body["run"]), ""), 40)
                if target is None and isinstance(body["run"], Mapping)
                else phrases.children(target)
            )
        case "for":
            return f"each {visible(at(body, 'for', 'each') or 'item', 30)} in {expression(at(body, 'for', 'in'), 50)}"
        case "fork":
            branches = len(step.lists["branches"])
            return (
                f"the first of {branches}"
                if at(body, "fork", "compete") is True
                else f"all {branches} at once"
            )
        case "try":
            return _retry(body.get("catch"), use)
        case "do":
            return counted(len(step.lists["do"]), "step")
    return "no known keyword"


def notes(step: Step, use: Mapping[str, Any]) -> tuple[str, ...]:
    """What else is said of the step: its condition, its time limit, a `while`."""
    found = []
    if "if" in step.body:
        found.append(f"if {expression(step.body['if'], 60)}")
    if step.kind == "for" and "while" in step.body:
        found.append(f"while {expression(step.body['while'], 60)}")
    limit = phrases.timeout(step.body, use)
    if limit is not None:
        found.append(f"at most {limit}")
    return tuple(found)


def cases(body: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The cases of a switch by name, in order."""
    entries = body.get("switch")
    if not isinstance(entries, list):
        return []
    return [
        (name, case)
        for entry in entries
        if isinstance(entry, Mapping)
        for name, case in entry.items()
        if isinstance(case, Mapping)
    ]


def undoing(step: Step) -> str | None:
    """What a step's `metadata.compensate` calls."""
    call = step.part("metadata", "compensate", "call")
    return None if call is None else visible(call, 60)


def _call(body: Mapping[str, Any]) -> str:
    given = at(body, "with")
    if body["call"] == "http":
        endpoint = at(given, "endpoint")
        address = at(endpoint, "uri") if isinstance(endpoint, Mapping) else endpoint
        return visible(f"{str(at(given, 'method') or 'get').upper()} {address or ''}", 60)
    if body["call"] == "openapi":
        return visible(f"openapi {at(given, 'operationId') or ''}", 60)
    return visible(body["call"], 60)


def _listen(listen: Any) -> str:
    types = phrases.events(listen)
    if at(listen, "to", "all") is not None:
        return "all of " + phrases.listed(types, most=3)
    return phrases.listed(types, "or", most=3) or "any event"


def _raise(error: Any, use: Mapping[str, Any]) -> str:
    if isinstance(error, str):
        error = at(use, "errors", error) or {"title": error}
    type = str(at(error, "type") or "").rstrip("/").rpartition("/")[2]
    told = at(error, "title") or type
    return visible(f"{at(error, 'status') or ''} {told}", 60)


def _retry(catch: Any, use: Mapping[str, Any]) -> str:
    policy = phrases.retries(catch, use)
    if policy is None:
        return "" if at(catch, "do") else "errors are passed over"
    count = phrases.retry_count(policy)
    return "tries again" if count is None else f"tries again up to {counted(count, 'time')}"
