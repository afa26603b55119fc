"""An execution told in plain English: what it waits for, until when and what happens then, or why it ended.

For people who decide about work and never read a definition. Names are quoted as people wrote them.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.definitions.phrases import listed, visible
from domain.executions import ExecutionStatus

from .ends import ended
from .facts import Act, Explanation, Facts, LoggedStep, OpenTask
from .moments import span, when
from .places import number_of, quoted
from .waits import waiting

__all__ = ["Act", "Explanation", "Facts", "LoggedStep", "OpenTask", "explained", "span", "when"]

#: An execution that has not begun by then waits for somebody.
_SOON = timedelta(minutes=1)


def explained(facts: Facts) -> Explanation:
    """What can be said of it now."""
    if facts.status.is_terminal:
        return ended(facts)
    told = _open(facts)
    more = list(told.more)
    if facts.stalled_since is not None:
        since = when(facts.stalled_since, facts.now, facts.zone)
        more.append(
            f"Since {since} the engine fails to carry it on; it goes on by itself once the platform's operators have"
            " mended that."
        )
    if facts.cancel_requested_at is not None:
        more.append("It was asked to end, and is ending.")
    if facts.rerun_from is not None:
        more.append(f"It repeats another execution from {quoted(facts.rerun_from)} on.")
    return replace(told, more=tuple(more))


def _open(facts: Facts) -> Explanation:
    on = facts.waiting_on
    match facts.status:
        case ExecutionStatus.QUEUED:
            return _queued(facts)
        case ExecutionStatus.PAUSED:
            return _paused(facts, on or {})
    if on:
        return _with_others(facts, waiting(facts, on))
    running = [step for step in facts.steps if step.status == "running"]
    if not running:
        return Explanation("It is running.", acts=("cancel",))
    # Inside composite steps the innermost says most.
    inner = max(running, key=lambda step: len(step.pointer))
    if inner.retry_at is not None:
        return _tried_again(facts, inner)
    place = number_of(facts.definition, inner.pointer)
    since = "" if inner.started_at is None else f", for {span(facts.now - inner.started_at)}"
    again = () if inner.attempt == 1 else (f"This is its attempt {inner.attempt}.",)
    return Explanation(
        f"It is at {quoted(inner.name)}{f' ({place})' if place else ''}{since}.", again, acts=("cancel",)
    )


def _tried_again(facts: Facts, step: LoggedStep) -> Explanation:
    """The engine does it by itself, within seconds, as long as only the way was blocked."""
    assert step.retry_at is not None
    left = step.retry_at - facts.now
    soon = f"in {span(left)}" if left >= timedelta(seconds=1) else "now"
    why = f": {visible(step.failure, 120)}" if step.failure else ""
    return Explanation(
        f"{quoted(step.name)} did not succeed and is tried again {soon}.",
        (f"Its attempt {step.attempt} failed{why}.",),
        step.retry_at,
        ("cancel",),
    )


def _queued(facts: Facts) -> Explanation:
    waited = facts.now - facts.created_at
    if waited < _SOON:
        return Explanation("It is accepted and begins at once.", acts=("cancel",))
    told = f"It was accepted {span(waited)} ago and has not begun: no worker has taken it yet."
    return Explanation(told, ("It begins by itself as soon as one does; nothing is lost.",), acts=("cancel",))


def _paused(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    following = [quoted(each["step"]) for each in on.get("next", ()) if each.get("step")]
    then = f" It would go on with {listed(following)}." if following else ""
    more: tuple[str, ...] = ()
    if on.get("meanwhile"):
        beside = waiting(facts, on["meanwhile"])
        more = (f"Meanwhile: {beside.headline}",)
    return Explanation(
        f"Somebody paused it; it holds still until it is resumed.{then}", more, acts=("resume", "cancel")
    )


def _with_others(facts: Facts, told: Explanation) -> Explanation:
    """Of several waits side by side, a row shows the most telling one."""
    on = facts.waiting_on or {}
    others = [
        step for step in facts.steps if step.status == "waiting" and step.occurrence != on.get("occurrence")
    ]
    composite = {"do", "for", "fork", "try"}
    names = list(dict.fromkeys(quoted(step.name) for step in others if step.kind not in composite))
    if not names:
        return told
    word = "waits" if len(names) == 1 else "wait"
    return replace(told, more=(*told.more, f"Beside it {listed(names)} {word} too."))
