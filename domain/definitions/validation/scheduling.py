"""Triggers of type `schedule`: when they are due, and how they take lateness and overlap."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from domain.definitions import durations
from domain.definitions.expressions import is_expression
from domain.definitions.pointers import join
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.validation.cron import check_cron
from domain.definitions.validation.report import Report, kind, shown
from domain.executions import TriggerType
from domain.schedules.plan import LONGEST_CATCH_UP, LONGEST_JITTER, SHORTEST, WAYS, BadPlan, Overlap, moment
from domain.schedules.walls import UnknownZone, zone

_FIELDS: Final = frozenset(
    {*WAYS, "time_zone", "overlap", "catch_up", "jitter", "start_at", "end_at", "input"}
)
#: `after` begins when the execution before has ended: it can neither overlap nor be late for the next.
_NOT_AFTER: Final = ("overlap", "catch_up")


def check_scheduled(report: Report, at: str, given: Mapping[str, Any]) -> None:
    """The `configuration` of a schedule."""
    report.unknown_fields(at, given, _FIELDS, "The configuration of a schedule")
    said = [way for way in WAYS if way in given]
    if not said:
        message = "A schedule says when it is due: it needs `cron`, `every` or `after`."
        report.add(at, "missing_field", message, 'For example `cron: "0 9 * * 1"`.')
    elif len(said) > 1:
        told = " and ".join(f"`{way}`" for way in said)
        report.add(at, "several_choices", f"The schedule says {told}; it takes one of them.", "Keep one.")
    check_ways(report, at, given)
    if "time_zone" in given:
        _check_zone(report, join(at, "time_zone"), given["time_zone"])
    _check_overlap(report, at, given)
    _check_span(report, at, given, "catch_up", LONGEST_CATCH_UP, "30 days")
    _check_span(report, at, given, "jitter", LONGEST_JITTER, "one hour")
    _check_moments(report, at, given)


def check_ways(report: Report, at: str, given: Mapping[str, Any]) -> None:
    """Those of `cron`, `every` and `after` that are there."""
    if "cron" in given:
        check_cron(report, join(at, "cron"), given["cron"])
    for way in ("every", "after"):
        if way in given:
            _check_rhythm(report, join(at, way), given[way], way)


def check_inputs(report: Report, definition: Mapping[str, Any], triggers: Any) -> None:
    """What schedules start the workflow with fits its `input.schema`; there is nobody who could be asked for more."""
    section = definition.get("input")
    schema = section.get("schema") if isinstance(section, dict) else None
    if not isinstance(schema, dict) or "document" not in schema:
        return
    scheduled = [
        (join(join("/triggers", index), "configuration"), trigger["configuration"].get("input", {}))
        for index, trigger in enumerate(triggers if isinstance(triggers, list) else ())
        if isinstance(trigger, dict)
        and trigger.get("type") == TriggerType.SCHEDULE
        and isinstance(trigger.get("configuration"), dict)
    ]
    written = definition.get("schedule")
    if isinstance(written, dict) and "on" not in written:
        scheduled.append(("/schedule", {}))
    if not scheduled:
        return
    try:
        compiled = compile_schema(schema["document"])
    except SchemaRefused:
        return  # told where the schema stands
    for at, value in scheduled[:10]:
        for problem in compiled.problems(value)[:5]:
            message = f"What it starts with does not fit `input.schema`: {problem.message}."
            report.add(
                at,
                "bad_input",
                message,
                "Give it as `input` of a trigger, or make it optional in the schema.",
            )


def _check_rhythm(report: Report, at: str, value: Any, way: str) -> None:
    if isinstance(value, str) and is_expression(value):
        message = (
            f"`{way}` is read when the workflow is published: there is nothing an expression could read."
        )
        report.add(at, "static_text", message, "Write a duration, for example `3 days`.")
        return
    try:
        span = durations.parse(value)
    except durations.InvalidDuration as refusal:
        report.add(at, "bad_duration", refusal.message)
        return
    if span < SHORTEST:
        message = "Nothing starts by itself more often than once a minute."
        report.add(at, "too_often", message, f"Write `{way}: 1 minute` or longer.")


def _check_zone(report: Report, at: str, name: Any) -> None:
    text = report.text(at, name, "`time_zone`")
    if text is None:
        return
    try:
        zone(text)
    except UnknownZone:
        hint = report.did_you_mean(text, _zones(text[:1].upper()))
        report.add(
            at,
            "unknown_time_zone",
            f"There is no time zone `{shown(text)}`.",
            hint or "Use a name of the IANA database such as Europe/London, or UTC.",
        )


@cache
def _zones(initial: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in available_timezones() if name.startswith(initial)))


def _check_overlap(report: Report, at: str, given: Mapping[str, Any]) -> None:
    if "after" in given:
        for name in _NOT_AFTER:
            if name in given:
                message = f"`{name}` says nothing beside `after`, which waits for the execution before."
                report.add(join(at, name), "misplaced", message, "Leave it out.")
    value = given.get("overlap", Overlap.SKIP)
    if not isinstance(value, str) or value not in tuple(Overlap):
        what = f"`{shown(value)}`" if isinstance(value, str) else kind(value)
        hint = report.did_you_mean(value, tuple(Overlap)) if isinstance(value, str) else None
        report.add(
            join(at, "overlap"), "bad_value", f"`overlap` is one of {', '.join(Overlap)}, not {what}.", hint
        )


def _check_span(
    report: Report, at: str, given: Mapping[str, Any], name: str, most: timedelta, told: str
) -> None:
    if name not in given:
        return
    try:
        span = durations.parse(given[name])
    except durations.InvalidDuration as refusal:
        report.add(join(at, name), "bad_duration", refusal.message)
        return
    if span > most:
        report.add(join(at, name), "bad_duration", f"`{name}` is at most {told}.")


def _check_moments(report: Report, at: str, given: Mapping[str, Any]) -> None:
    read: dict[str, datetime] = {}
    for name in ("start_at", "end_at"):
        if name in given:
            try:
                read[name] = moment(given[name])
            except BadPlan as refusal:
                report.add(join(at, name), "bad_time", refusal.message)
    if len(read) == 2 and read["end_at"] <= read["start_at"]:
        report.add(join(at, "end_at"), "bad_range", "The schedule would end before it begins.")
