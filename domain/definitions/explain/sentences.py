"""One sentence for each kind of step, and what is said of every step besides."""

from collections.abc import Mapping
from typing import Any

from domain.definitions import phrases
from domain.definitions.graph.details import cases
from domain.definitions.meanings import APPROVE, Meanings
from domain.definitions.outline import Step, at
from domain.definitions.phrases import counted, listed, visible

from .branching import switch
from .conditions import condition, mixed, named
from .people import asking
from .waiting import listen


class Telling:
    """`titles` are what actions are called in the catalogue, `use` the definition's reusable parts."""

    def __init__(self, use: Mapping[str, Any], meanings: Meanings, titles: Mapping[str, str]) -> None:
        self.use = use
        self.meanings = meanings
        self.titles = titles

    def sentence(self, step: Step, index: int, count: int, *, follows: bool) -> str:
        """`index` of `count` steps; `follows` says whether the step before leads here by itself."""
        words = [self._main(step)]
        if "if" in step.body:
            words = [f"only if {condition(step.body['if'])}: {words[0]}"]
        place = self._place(step, index, count, follows=follows)
        first = f"{place}{words[0]}"
        return " ".join([_capital(first), *self._besides(step)])

    def caught(self, step: Step) -> str:
        """What leads into the steps of a `catch`."""
        catch = step.body.get("catch")
        admitted = phrases.admitted(catch)
        told = "If that fails" if admitted is None else f"If that fails with {admitted}"
        policy = phrases.retries(catch, self.use)
        if policy is not None:
            count = phrases.retry_count(policy)
            told += " for good" if count is None else f" even after {_retries(count)}"
        return told + ":"

    def _place(self, step: Step, index: int, count: int, *, follows: bool) -> str:
        if not follows or step.pointer.split("/")[-3] == "branches":
            return ""
        if index == 0:
            return "first, " if count > 1 else ""
        return "finally, " if index == count - 1 and step.kind != "switch" and count > 2 else "then "

    def _main(self, step: Step) -> str:
        name = f"“{visible(step.name, 80)}”"
        body = step.body
        match step.kind:
            case "call":
                return f"{name} {self._call(body)}."
            case "set":
                values = body["set"]
                what = (
                    listed([visible(each, 40) for each in values])
                    if isinstance(values, Mapping)
                    else "new data"
                )
                return f"{name} puts together {what or 'nothing'}."
            case "switch":
                return switch(step, name)
            case "wait":
                return f"{name} waits {_for_duration(body['wait'])}."
            case "listen":
                return listen(step, name)
            case "emit":
                return f"{name} tells the organization's other workflows: {phrases.event(at(body, 'emit', 'event'))}."
            case "raise":
                return f"{name} stops with the error {self._error(at(body, 'raise', 'error'))}."
            case "run":
                return f"{name} {_run(body['run'])}."
            case "for":
                return f"{name}: {self._loop(step)}"
            case "fork":
                both = f"{name}: all of this"
                if at(body, "fork", "compete") is True:
                    return (
                        f"{both} begins at the same time; the first to be done counts, the rest is stopped."
                    )
                return f"{both} happens at the same time, and goes on when everything is done."
            case "try":
                return f"{name}: the following may go wrong.{self._caught_without_steps(step)}"
            case "do":
                return f"{name}, step by step:"
        return f"{name} does nothing this version knows."

    def _call(self, body: Mapping[str, Any]) -> str:
        given, call = at(body, "with"), visible(body["call"], 80)
        meaning = self.meanings.of(body["call"])
        if meaning.asks_somebody:
            to = "decide" if meaning.action == APPROVE else "fill in a form"
            return asking(meaning.arguments(given), to=to)
        protocol = call.partition("@")[0].partition(":")[0]
        if protocol == "http":
            endpoint = at(given, "endpoint")
            address = at(endpoint, "uri") if isinstance(endpoint, Mapping) else endpoint
            method = str(at(given, "method") or "get").upper()
            verb = {"GET": "asks", "HEAD": "asks"}.get(method, "sends data to")
            return f"{verb} {mixed(address or 'an address')} ({visible(method, 10)})"
        if protocol == "openapi":
            return f"uses another service ({visible(at(given, 'operationId') or 'its API', 60)})"
        title = self.titles.get(meaning.action)
        return f"runs {call}" if title is None else f"carries out “{title}”"

    def _loop(self, step: Step) -> str:
        each = visible(at(step.body, "for", "each") or "item", 40)
        told = f"for each {each} in {_data(at(step.body, 'for', 'in'))}, one after another"
        if "while" in step.body:
            told += f", as long as {condition(step.body['while'])}"
        return told + ":"

    def _caught_without_steps(self, step: Step) -> str:
        """Retries always, and what a `catch` without steps of its own means."""
        catch = step.body.get("catch")
        policy = phrases.retries(catch, self.use)
        told = "" if policy is None else f" If it does, it is tried again{_policy(policy)}."
        if not step.lists.get("catch"):
            admitted = phrases.admitted(catch)
            what = "Any failure" if admitted is None else f"A failure with {admitted}"
            told += f" {what} is passed over{_then(at(catch, 'then'))}."
        return told

    def _error(self, error: Any) -> str:
        if isinstance(error, str):
            error = at(self.use, "errors", error) or {"title": error}
        title = visible(at(error, "title") or at(error, "type") or "of its own", 80)
        status = at(error, "status")
        return f"“{title}”" if status is None else f"“{title}” ({visible(status, 10)})"

    def _besides(self, step: Step) -> list[str]:
        told = []
        limit = phrases.timeout(step.body, self.use)
        if limit is not None:
            told.append(f"This may take at most {limit}.")
        undo = step.part("metadata", "compensate", "call")
        if undo is not None:
            told.append(f"Should the workflow fail later, this is undone by {visible(undo, 60)}.")
        match step.then:
            case "continue":
                pass
            case "exit":
                told.append("What follows in this list is left out.")
            case "end":
                told.append("With that, the workflow ends.")
            case name if step.kind != "raise":
                told.append(f"It goes on with “{visible(name, 80)}”.")
        return told


def leads_on(step: Step) -> bool:
    """Whether the next step in the list is ever the next one to happen."""
    if step.kind == "switch":
        told = cases(step.body)
        is_complete = any("when" not in case for _, case in told)
        ways = [case.get("then", "continue") for _, case in told] + ([] if is_complete else [step.then])
        return "continue" in ways
    return step.kind != "raise" and (step.then == "continue" or "if" in step.body)


def _run(run: Any) -> str:
    target = at(run, "workflow")
    if target is None:
        return "runs a program, which is refused here"
    if at(run, "await") is False:
        return f"starts the workflow {phrases.children(target)} and does not wait for it"
    return f"starts the workflow {phrases.children(target)} and waits for its result"


def _policy(policy: Mapping[str, Any]) -> str:
    count = phrases.retry_count(policy)
    told = "" if count is None else ", once" if count == 1 else f", up to {count} times"
    if "delay" in policy:
        told += f", {phrases.duration(policy['delay'])} later"
        backoff = at(policy, "backoff")
        if isinstance(backoff, Mapping) and ("exponential" in backoff or "linear" in backoff):
            told += " and each time after a longer pause"
    return told


def _retries(count: int) -> str:
    return "1 retry" if count == 1 else f"{count} retries"


def _then(then: Any) -> str:
    if then in (None, "continue"):
        return ""
    if then == "end":
        return ", and the workflow ends"
    return (
        ", and what follows is left out" if then == "exit" else f", and it goes on with “{visible(then, 80)}”"
    )


def _data(value: Any) -> str:
    return counted(len(value), "value") if isinstance(value, list) else named(value)


def _for_duration(value: Any) -> str:
    told = phrases.duration(value)
    return f"as long as {told} says" if told.startswith("`") else told


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
