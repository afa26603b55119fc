"""What `approve` and `ask` ask of whom, until when, and what happens then."""

from typing import Any

from domain.definitions import phrases
from domain.definitions.outline import at
from domain.definitions.phrases import listed, visible

from .conditions import mixed


def asking(given: Any, *, to: str) -> str:
    """Without the full stop: “asks reviewer to decide: “Pay?” (within 3 days), …”."""
    title = at(given, "title")
    asked = f": “{mixed(title)}”" if isinstance(title, str) else ""
    told = f"asks {_who(given)} to {to}{asked}"
    due = at(given, "due")
    if due is not None:
        told += f" (within {phrases.duration(due)})"
    return told + "".join(f", {each}" for each in _rules(given))


def _who(given: Any) -> str:
    named = _named(at(given, "assignees") or at(given, "candidates"))
    quorum = at(given, "quorum")
    if isinstance(quorum, int) and quorum > 1:
        return f"{quorum} different people" + (f" among {listed(named, 'and')}" if named else "")
    return listed(named, "or") if named else "somebody"


def _named(people: Any) -> list[str]:
    if not isinstance(people, list):
        return []
    return [_name(str(each)) for each in people]


def _name(candidate: str) -> str:
    kind, _, name = candidate.partition(":")
    return "a client by mail" if kind == "client" else visible(name or candidate, 60)


def _rules(given: Any) -> list[str]:
    told = []
    four_eyes = at(given, "four_eyes")
    kept_away = four_eyes if isinstance(four_eyes, list) else [four_eyes]
    if True in kept_away:
        told.append("but not whoever started the workflow")
    named = [f"“{visible(each, 60)}”" for each in kept_away if isinstance(each, str)]
    if named and isinstance(four_eyes, list):
        told.append(f"but nobody who decided {listed(named, 'or')}")
    escalation = at(given, "escalate")
    if escalation is not None:
        after = at(escalation, "after")
        when = "when it is due" if after is None else f"after {phrases.duration(after)}"
        told.append(f"and {when} {listed(_named(at(escalation, 'to')), 'and') or 'others'} as well")
    ending = at(given, "on_overdue")
    if ending == "fail":
        told.append("and fails when nobody does in time")
    elif ending == "reject":
        told.append("and takes no answer in time for a rejection")
    return told
