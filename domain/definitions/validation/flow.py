"""Where steps lead: names in `then`, and steps that nothing leads to."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.definitions.model import DIRECTIVES, MAX_NAME_LENGTH, MAX_POINTER_BYTES
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, shown

Named = tuple[str, str, Any]  # pointer, name and definition of a step


def check_then(
    report: Report, pointer: str, value: Any, names: Mapping[str, int], own: str | None = None
) -> None:
    """`then` is a directive or the name of a step in the same list."""
    target = report.text(pointer, value, "`then`")
    if target is None or target in DIRECTIVES or target in names:
        return
    hint = report.did_you_mean(target, [*names, *DIRECTIVES])
    hint = hint or "Name a step of the same list, or `continue`, `exit` or `end`."
    report.add(
        pointer, "unknown_target", f"`then` leads to `{shown(target)}`, which is no step of this list.", hint
    )


def check_reachable(report: Report, steps: Sequence[Named], names: Mapping[str, int]) -> None:
    """Every step of a list must be led to from its first."""
    reached: set[int] = set()
    waiting = [0] if steps else []
    while waiting:
        index = waiting.pop()
        if index in reached or index >= len(steps):
            continue
        reached.add(index)
        waiting.extend(_following(index, steps[index][2], names))
    for index, (pointer, name, _) in enumerate(steps):
        # Of a row of unreachable steps only the first is told: mending it mends the others.
        if index not in reached and index - 1 in reached:
            report.add(
                pointer,
                "unreachable_step",
                f"Nothing leads to step `{shown(name)}`: the step before it always goes elsewhere.",
                f"Let some `then` name `{shown(name)}`, move it, or remove it.",
            )


def _following(index: int, step: Any, names: Mapping[str, int]) -> list[int]:
    if not isinstance(step, dict):
        return [index + 1]
    targets = [step.get("then", "continue")]
    cases = step.get("switch")
    if isinstance(cases, list):
        bodies = [body for case in cases if isinstance(case, dict) for body in case.values()]
        bodies = [body for body in bodies if isinstance(body, dict)]
        if any("when" not in body for body in bodies):
            targets.clear()
        targets.extend(body.get("then") for body in bodies)
    following = [names[target] for target in targets if isinstance(target, str) and target in names]
    known = (*DIRECTIVES, *names)
    # A skipped step goes on with the next one; so does, for this purpose, a target that is wrong anyway.
    if "if" in step or any(target == "continue" or target not in known for target in targets):
        following.append(index + 1)
    return following


def check_name(report: Report, pointer: str, name: str) -> None:
    """A step's name appears in pointers, logs and `then`."""
    if name in DIRECTIVES:
        message = f"A step cannot be called `{name}`, because that word says where to go in `then`."
        report.add(pointer, "reserved_name", message, "Choose another name.")
    elif not name.strip() or not name.isprintable():
        report.add(
            pointer, "bad_name", "A step needs a name of printable characters.", "For example `sendWelcome`."
        )
    elif len(name) > MAX_NAME_LENGTH:
        report.add(pointer, "bad_name", f"A name has at most {MAX_NAME_LENGTH} characters.", "Shorten it.")
    elif len(pointer.encode()) > MAX_POINTER_BYTES:
        message = "The names of the steps around this one are too long together."
        report.add(pointer, "bad_name", message, "Shorten them or nest less.")


def name_index(steps: Sequence[Named]) -> dict[str, int]:
    """The first position of each name."""
    index: dict[str, int] = {}
    for position, (_, name, _) in enumerate(steps):
        index.setdefault(name, position)
    return index


def check_cases(report: Report, pointer: str, cases: list[Any]) -> None:
    """At most one default, and it comes last: the cases after it could never be chosen."""
    default: str | None = None
    for index, case in enumerate(cases):
        if not isinstance(case, dict) or len(case) != 1:
            continue
        [(name, body)] = case.items()
        if default is not None:
            again = isinstance(body, dict) and "when" not in body
            report.add(
                join(pointer, index, name),
                "two_defaults" if again else "unreachable_case",
                f"Case `{shown(name)}` can never be chosen: `{shown(default)}` before it always matches.",
                "Keep one case without `when`, and make it the last.",
            )
        elif isinstance(body, dict) and "when" not in body:
            default = name
