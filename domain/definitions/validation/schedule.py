"""`schedule`: what starts the workflow by itself; publishing makes a trigger of it."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.pointers import join
from domain.definitions.validation.event_triggers import check_on
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.report import Report, shown
from domain.definitions.validation.scheduling import check_ways

_WAYS: Final = ("every", "cron", "after", "on")
#: The name of the trigger that publishing makes of `schedule`.
SCHEDULED: Final = "schedule"
_READINGS: Final = ("data", "envelope", "raw")


def check_schedule(report: Report, expressions: Expressions, value: Any, triggers: Any) -> None:
    """One of `every`, `cron`, `after`, `on`; the same must not be said by a trigger as well."""
    schedule = report.object("/schedule", value, "`schedule`")
    if schedule is None:
        return
    report.unknown_fields("/schedule", schedule, {*_WAYS, "read"}, "`schedule`")
    chosen = [way for way in _WAYS if way in schedule]
    if not chosen:
        message = "`schedule` does not say when: it needs `every`, `cron`, `after` or `on`."
        report.add("/schedule", "missing_field", message, 'For example `cron: "0 9 * * 1"`.')
    elif len(chosen) > 1:
        told = " and ".join(f"`{way}`" for way in chosen)
        message = f"`schedule` says {told}; it takes one of them."
        report.add("/schedule", "several_choices", message, "Keep one, and make the others triggers.")
    check_ways(report, "/schedule", schedule)
    if "on" in schedule:
        check_on(report, expressions, "/schedule/on", schedule["on"])
    if "read" in schedule:
        _check_read(report, schedule)
    _check_triggers(report, schedule, triggers)


def _check_read(report: Report, schedule: Mapping[str, Any]) -> None:
    at, read = "/schedule/read", schedule["read"]
    if read not in _READINGS:
        message = f"`read` says how events are read: {', '.join(_READINGS)}."
        named = f"`{shown(read)}` is none of them." if isinstance(read, str) else None
        report.add(at, "bad_reading", message, named)
    if "on" not in schedule:
        message = "`read` says how events are read, but this schedule waits for none."
        report.add(at, "misplaced", message, "Remove it, or say in `on` which events start the workflow.")


def _check_triggers(report: Report, schedule: Mapping[str, Any], triggers: Any) -> None:
    said = "event" if "on" in schedule else "schedule"
    for index, trigger in enumerate(triggers if isinstance(triggers, list) else ()):
        if not isinstance(trigger, dict):
            continue
        if trigger.get("type") == said:
            message = "The definition says in `schedule` already what starts the workflow."
            report.add(join("/triggers", index), "said_twice", message, "Keep one of them.")
        elif trigger.get("name", trigger.get("type")) == SCHEDULED:
            message = f"`{SCHEDULED}` is the name of the trigger that `schedule` of the definition becomes."
            report.add(
                join(join("/triggers", index), "name"), "duplicate_name", message, "Give it another name."
            )
