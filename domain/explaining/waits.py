"""What an execution waits for, until when, and what happens then."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.definitions.phrases import listed, visible

from .facts import Explanation, Facts, OpenTask
from .moments import when
from .places import catcher, follows, gives_up_at, pointer_of, quoted


def waiting(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    """For a row that says `waiting_on`."""
    match on.get("kind"):
        case "task":
            return _task(facts, on)
        case "timer":
            return _timer(facts, on)
        case "event":
            return _event(facts, on)
        case "execution":
            return _execution(facts, on)
        case "compensation":
            return Explanation(
                "It has not succeeded, and is undoing what its steps did, the latest first.",
                ("Cancelling it now would end it at once and leave the rest undone.",),
            )
    return Explanation("It waits.")


def _task(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    step = str(on.get("step"))
    task = next((each for each in facts.tasks if each.occurrence == on.get("occurrence")), None)
    if task is None:
        return Explanation(
            f"{quoted(step)} waits for somebody to decide {quoted(on.get('title'))}.", acts=("decide",)
        )
    who, pointer = people(task.candidates, facts.clients, task.quorum), pointer_of(task.occurrence)
    began = _began(facts, task.occurrence)
    escalates = task.escalate_at if task.escalated_at is None else None
    # That it is overdue goes without saying where others are asked at that very moment.
    due = None if task.due_at == escalates and task.on_overdue == "keep" else task.due_at
    stops = [
        (escalates, _escalation(facts, task)),
        (due, _overdue(facts, task, pointer)),
        (gives_up_at(facts.definition, pointer, began), _given_up(facts, pointer)),
    ]
    coming = sorted(((at, then) for at, then in stops if at is not None), key=lambda each: each[0])
    told = f"{quoted(step)} waits for {who}"
    until = None
    more: list[str] = []
    if coming:
        until = coming[0][0]
        together = [then for at, then in coming if at == until]
        word = "waited" if until < facts.now else "waits"
        told = f"{quoted(step)} {word} for {who} until {_when(facts, until)}; then {' and '.join(together)}"
        more += [f"{_capital(_when(facts, at))}, {then}." for at, then in coming if at != until]
    else:
        more.append(f"There is no deadline; once it is decided, {follows(facts.definition, pointer)}.")
    if task.escalated_at is not None:
        asked = people(task.escalate_to, facts.clients, 1)
        more.insert(
            0, f"Nobody had answered by {_when(facts, task.escalated_at)}, so {asked} was asked as well."
        )
    if task.claimed_by is not None:
        more.append(f"{visible(task.claimed_by, 80)} has claimed it.")
    return Explanation(told + ".", tuple(more), until, ("decide", "cancel"))


def _escalation(facts: Facts, task: OpenTask) -> str:
    return f"it goes to {people(task.escalate_to, facts.clients, 1)} as well"


def _overdue(facts: Facts, task: OpenTask, pointer: str) -> str:
    match task.on_overdue:
        case "fail":
            return _given_up(facts, pointer)
        case "reject":
            return "it counts as rejected"
    return "it is overdue, and stays open"


def _given_up(facts: Facts, pointer: str) -> str:
    caught = catcher(facts.definition, pointer)
    if caught is None:
        return "the step fails because its time is over, and the execution with it"
    return f"the step fails because its time is over, which {quoted(caught)} deals with"


def people(candidates: Sequence[str], clients: Mapping[str, str], quorum: int) -> str:
    """`a reviewer or ada@example.com`; nobody named: whoever may decide tasks."""
    who = listed([_person(each, clients) for each in candidates], "or") or "anybody who may decide tasks"
    return who if quorum == 1 else f"{quorum} different people among {who}"


def _person(candidate: str, clients: Mapping[str, str]) -> str:
    kind, _, name = candidate.partition(":")
    match kind:
        case "role" if name == "owner":
            return "the owner"
        case "role":
            role = visible(name, 60)
            return f"{'an' if role[:1].lower() in 'aeiou' else 'a'} {role}"
        case "client":
            return f"the client {visible(clients[name], 80)}" if name in clients else "the client"
    return visible(name or candidate, 80)


def _timer(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    step, pointer = quoted(on.get("step")), pointer_of(on.get("occurrence"))
    until = _moment(on.get("until"))
    if "!retry" in str(on.get("occurrence")):
        at = "" if until is None else f" {_when(facts, until)}"
        return Explanation(f"{step} did not succeed and is tried again{at}.", until=until, acts=("cancel",))
    if until is None:
        return Explanation(f"{step} waits for some time.", acts=("cancel",))
    told = f"{step} waits until {_when(facts, until)}; then {follows(facts.definition, pointer)}."
    return Explanation(told, until=until, acts=("cancel",))


def _event(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    step, pointer = quoted(on.get("step")), pointer_of(on.get("occurrence"))
    types = on.get("types") or ([on["type"]] if on.get("type") else [])
    what = listed([f"the event {visible(each, 80)}" for each in types], "or") or "any event"
    until = gives_up_at(facts.definition, pointer, _began(facts, on.get("occurrence")))
    then = follows(facts.definition, pointer)
    if until is None:
        return Explanation(
            f"{step} waits for {what}; then {then}.", ("There is no deadline.",), None, ("signal", "cancel")
        )
    told = f"{step} waits for {what} until {_when(facts, until)}; then {_given_up(facts, pointer)}."
    return Explanation(told, (f"When it arrives in time, {then}.",), until, ("signal", "cancel"))


def _execution(facts: Facts, on: Mapping[str, Any]) -> Explanation:
    step, pointer = quoted(on.get("step")), pointer_of(on.get("occurrence"))
    state = "" if facts.child_status is None else f", which is {facts.child_status.replace('_', ' ')}"
    until = gives_up_at(facts.definition, pointer, _began(facts, on.get("occurrence")))
    child = f"{visible(on.get('workflow'), 80)} (execution {on.get('execution_id')})"
    told = f"{step} waits for the workflow {child}{state}"
    if until is None:
        return Explanation(f"{told}; then {follows(facts.definition, pointer)}.", acts=("cancel",))
    return Explanation(
        f"{told}, until {_when(facts, until)}; then {_given_up(facts, pointer)}.",
        until=until,
        acts=("cancel",),
    )


def _began(facts: Facts, occurrence: object) -> datetime | None:
    return next((step.started_at for step in facts.steps if step.occurrence == occurrence), None)


def _when(facts: Facts, moment: datetime) -> str:
    return when(moment, facts.now, facts.zone)


def _moment(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
