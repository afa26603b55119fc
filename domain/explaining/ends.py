"""How an execution ended, why, and what can be done about it."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.faults import REFUSED_HERE
from domain.definitions.phrases import counted, visible
from domain.executions import ExecutionStatus

from .facts import Act, Explanation, Facts
from .moments import span, when
from .places import number_of, quoted, way_to

#: By the last word of the error's type: what it means, and what helps.
_MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "communication": ("The other side did not do what it was asked", "Find out there what was wrong"),
    "timeout": ("It took longer than it was given", "See whether it can be quicker, or give it more time"),
    "authentication": ("The other side did not know who was asking", "Set the secret it uses anew"),
    "authorization": ("The other side did not allow it", "Have it allowed there, or use other credentials"),
    "validation": (
        "What it was given does not fit what it needs",
        "Compare the step's input with what it needs",
    ),
    "expression": ("An expression has no value for this data", "Try it against this very step, and mend it"),
    "configuration": ("It is not set up as it needs to be", "Mend what the message names"),
    "runtime": ("It could not be carried out", "See what the message says"),
}


def ended(facts: Facts) -> Explanation:
    at = facts.completed_at or facts.now
    moment = when(at, facts.now, facts.zone)
    lasted = span(at - (facts.started_at or facts.created_at))
    match facts.status:
        case ExecutionStatus.COMPLETED:
            return Explanation(
                f"It completed {moment}, after {lasted}.", _beside(facts), at, ("rerun", "start")
            )
        case ExecutionStatus.CANCELLED:
            return Explanation(
                f"It was cancelled {moment}.", (*_undone(facts), *_beside(facts)), at, ("rerun", "start")
            )
        case ExecutionStatus.TERMINATED:
            told = f"It was ended from outside {moment}: {visible(facts.error_message or 'no reason was given', 300)}."
            return Explanation(_full(told), ("Nothing was undone.", *_beside(facts)), at, ("rerun", "start"))
    return _failed(facts, moment)


def _failed(facts: Facts, moment: str) -> Explanation:
    error = facts.error or {}
    pointer = str(error.get("instance") or "")
    way = way_to(facts.definition, pointer.removesuffix("/metadata/compensate"))
    where = f" at {quoted(way[-1].name)} ({number_of(facts.definition, way[0].pointer)})" if way else ""
    word = "ran out of time" if facts.status is ExecutionStatus.TIMED_OUT else "failed"
    title, detail = (
        visible(error.get("title") or "Failed", 120),
        visible(error.get("detail") or "", 300).rstrip("."),
    )
    headline = _full(f"It {word}{where} {moment}: {title}{f' ({detail})' if detail else ''}")
    kind = str(error.get("type", "")).rstrip("/").rpartition("/")[2]
    meaning, mend = _MEANINGS.get(
        kind, ("The workflow itself says that this is an error", "Do what it asks for")
    )
    if pointer == "/input":
        meaning, mend = (
            "What it was started with does not fit its input schema",
            "Start it with an input that fits",
        )
    if error.get("title") == REFUSED_HERE:
        meaning, mend = (
            "The platform itself did not let the call through",
            "Mend what the message names",
        )
    more = [f"{meaning}{_status(error)}. {mend}."]
    acts: tuple[Act, ...] = ("rerun", "start")
    if error.get("title") == "Outcome unknown":
        more = [
            "Nobody knows whether it happened: the worker was lost while it was under way. Look at the receiver."
        ]
        acts = ("look_up", *acts)
    more += _undone(facts)
    if way and not facts.undone:
        more.append(
            f"A rerun from {quoted(way[-1].name)} answers the steps before it from the log and repeats it and what"
            " follows."
        )
    return Explanation(headline, (*more, *_beside(facts)), facts.completed_at, acts)


def _status(error: Mapping[str, Any]) -> str:
    status = error.get("status")
    return f" (status {status})" if isinstance(status, int) else ""


def _undone(facts: Facts) -> list[str]:
    if not facts.undone:
        return []
    return [
        f"What {counted(facts.undone, 'step')} had done was undone; a rerun has to begin at or before these."
    ]


def _beside(facts: Facts) -> tuple[str, ...]:
    told = []
    if facts.rerun_from is not None:
        told.append(f"It repeated another execution from {quoted(facts.rerun_from)} on.")
    if facts.reruns:
        told.append(
            f"{counted(facts.reruns, 'rerun')} of it {'was' if facts.reruns == 1 else 'were'} started."
        )
    return tuple(told)


def _full(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
