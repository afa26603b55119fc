"""Names of steps and where they lead: `then` and the cases of a `switch`."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.definitions.model import DIRECTIVES, MAX_NAME_LENGTH, MAX_POINTER_BYTES
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, shown

Named = tuple[str, str, Any]  # pointer, name and definition of a step


def check_then(report: Report, pointer: str, value: Any, names: Mapping[str, int]) -> None:
    """`then` is a directive or the name of a step in the same list; `names` is empty where nothing follows."""
    target = report.text(pointer, value, "`then`")
    if target is None or target in DIRECTIVES or target in names:
        return
    if not names:
        message = f"`then` leads to `{shown(target)}`, but no step follows this one: it stands for itself."
        how = "Write `continue`, `exit` or `end`; put steps in a row into a `do`."
        report.add(pointer, "unknown_target", message, how)
        return
    hint = report.did_you_mean(target, [*names, *DIRECTIVES])
    hint = hint or "Name a step of the same list, or `continue`, `exit` or `end`."
    report.add(
        pointer, "unknown_target", f"`then` leads to `{shown(target)}`, which is no step of this list.", hint
    )


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
