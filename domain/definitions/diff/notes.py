"""What a change means to executions, beyond the letters that differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.definitions import phrases
from domain.definitions.outline import Step, at
from domain.definitions.phrases import expression, visible


def step_notes(
    old: Step, new: Step, uses: tuple[Any, Any], calls: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Iterator[str]:
    """`uses` are the reusable parts of both definitions, `calls` what their calls are pinned to."""
    if old.kind != new.kind:
        yield f"It is a `{new.kind}` now, no `{old.kind}` any more."
    yield from _pinned(old, new, calls)
    if old.then != new.then:
        yield f"It leads to {_where(new.then)} instead of {_where(old.then)}."
    before, after = (
        phrases.timeout(step.body, use or {}) for step, use in zip((old, new), uses, strict=True)
    )
    if before != after:
        yield (
            "It may take as long as it likes."
            if after is None
            else f"It may take at most {after}."
            if before is None
            else (f"It may take at most {after} instead of {before}.")
        )
    condition = new.body.get("if")
    if old.body.get("if") != condition:
        yield (
            "It always happens now." if condition is None else f"It happens only if {expression(condition)}."
        )
    undo, undid = (step.part("metadata", "compensate", "call") for step in (new, old))
    if undo != undid:
        yield "It can no longer be undone." if undo is None else f"It is undone by {visible(undo, 60)}."
    if new.kind == old.kind == "try":
        yield from _retries(old, new, uses)
    if new.kind == old.kind == "fork" and bool(old.part("fork", "compete")) != bool(
        new.part("fork", "compete")
    ):
        yield (
            "The first branch to be done wins." if new.part("fork", "compete") else "All branches count now."
        )


def input_notes(before: Any, after: Any) -> Iterator[str]:
    """Who starts the workflow must send more, or may send less."""
    old, new = (_required(document) for document in (before, after))
    if added := sorted(new - old):
        yield f"Starts must bring {phrases.listed([f'`{each}`' for each in added])} now; those that do not are refused."
    if gone := sorted(old - new):
        yield f"Starts need not bring {phrases.listed([f'`{each}`' for each in gone])} any more."


def _pinned(old: Step, new: Step, calls: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Iterator[str]:
    if old.kind != "call" or new.kind != "call":
        return
    before, after = (
        at(pins.get(str(step.body["call"])), "action") and pins[str(step.body["call"])]
        for pins, step in zip(calls, (old, new), strict=True)
    )
    if not before or not after:
        return
    if before["action"] != after["action"]:
        yield f"It calls {visible(after['action'], 60)} instead of {visible(before['action'], 60)}."
    elif before["version"] != after["version"]:
        yield f"It calls {visible(after['action'], 60)} {after['version']} instead of {before['version']}."
    if before.get("effect") != after.get("effect") and after.get("effect") == "irreversible":
        yield "What it does cannot be repeated safely any more: it gets one attempt."
    if before.get("with") != after.get("with") and before["action"] == after["action"]:
        yield "The configured action behind it has other arguments."


def _retries(old: Step, new: Step, uses: tuple[Any, Any]) -> Iterator[str]:
    before, after = (
        phrases.retries(step.body.get("catch"), use or {}) for step, use in zip((old, new), uses, strict=True)
    )
    if before == after:
        return
    if after is None:
        yield "It is not tried again any more."
    else:
        count = phrases.retry_count(after)
        yield (
            "It is tried again without a limit of its own."
            if count is None
            else f"It is tried again up to {phrases.counted(count, 'time')}."
        )


def _required(document: Any) -> set[str]:
    required = at(document, "input", "schema", "document", "required")
    return {visible(each, 60) for each in required} if isinstance(required, list) else set()


def _where(then: str) -> str:
    known = {"continue": "the next step", "exit": "the end of its list", "end": "the end of the workflow"}
    return known.get(then, f"“{visible(then, 80)}”")
