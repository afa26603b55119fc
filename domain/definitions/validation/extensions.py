"""`use.extensions`: steps put around others."""

from typing import Any, Final

from domain.definitions.model import EXTENDABLE, MAX_COMPONENTS, STEP_SCOPE
from domain.definitions.pointers import join
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.validation.steps import Steps

_EXTENSION: Final = frozenset({"extend", "when", "before", "after"})


def check_extensions(report: Report, expressions: Expressions, steps: Steps, value: Any) -> None:
    """A list of extensions, each under its name."""
    at = "/use/extensions"
    if not isinstance(value, list):
        message = f"`use.extensions` must be a list, not {kind(value)}."
        report.add(at, "wrong_type", message, "Write `- name: {extend: …}` for each.")
        return
    if len(value) > MAX_COMPONENTS:
        report.add(at, "too_many", f"There are at most {MAX_COMPONENTS} entries in `use.extensions`.")
        return
    seen: set[str] = set()
    for index, entry in enumerate(value):
        if not isinstance(entry, dict) or len(entry) != 1:
            message = "An extension is an object with its name as the only key."
            report.add(join(at, index), "bad_extension", message, "Write `- name: {extend: …}`.")
            continue
        [(name, body)] = entry.items()
        place = join(at, index, name)
        if name in seen:
            message = f"There are two extensions called `{shown(name)}`."
            report.add(place, "duplicate_name", message, "Rename one of them.")
        seen.add(name)
        extension = report.object(place, body, "An extension")
        if extension is not None:
            _check_extension(report, expressions, steps, place, extension)


def _check_extension(
    report: Report, expressions: Expressions, steps: Steps, pointer: str, extension: dict[str, Any]
) -> None:
    report.unknown_fields(pointer, extension, _EXTENSION, "An extension")
    extended = extension.get("extend")
    if "extend" not in extension:
        message = "An extension says in `extend` which steps it is put around."
        report.add(pointer, "missing_field", message, "For example `extend: call`, or `extend: all`.")
    elif not isinstance(extended, str) or extended not in EXTENDABLE:
        hint = report.did_you_mean(extended, EXTENDABLE) if isinstance(extended, str) else None
        message = "`extend` names a sort of step."
        known = f"It is one of {', '.join(sorted(EXTENDABLE))}."
        report.add(join(pointer, "extend"), "bad_value", message, hint or known)
    if "when" in extension:
        expressions.expression(join(pointer, "when"), extension["when"], STEP_SCOPE, "`when`")
    lists = [name for name in ("before", "after") if name in extension]
    for name in lists:
        steps.check_list(join(pointer, name), extension[name])
    if not lists:
        message = "This extension has neither `before` nor `after`: it does nothing."
        report.add(pointer, "unused", message, "Give it a list of steps, or remove it.", severity="warning")
