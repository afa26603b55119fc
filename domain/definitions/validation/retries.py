"""Retry policies: when to try again, after which delay, and how often."""

from typing import Any, Final

from domain.definitions import durations
from domain.definitions.pointers import join
from domain.definitions.validation.components import Components
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, kind
from domain.definitions.validation.timeouts import check_duration

_FIELDS: Final = frozenset({"when", "exceptWhen", "delay", "backoff", "limit", "jitter"})
_BACKOFFS: Final = ("constant", "linear", "exponential")


def check_retry(
    report: Report, expressions: Expressions, components: Components, pointer: str, value: Any, names: Names
) -> None:
    """`retry` of a `catch`: written here, or the name of a policy in `use.retries`."""
    if isinstance(value, str):
        components.refer(report, "retries", pointer, value, names)
    elif isinstance(value, dict):
        check_policy(report, expressions, pointer, value, names)
    else:
        message = f"`retry` must be an object or the name of a policy in `use.retries`, not {kind(value)}."
        report.add(pointer, "wrong_type", message, "For example `retry: {limit: {attempt: {count: 3}}}`.")


def check_policy(
    report: Report, expressions: Expressions, pointer: str, policy: dict[str, Any], names: Names
) -> None:
    """A policy; `names` include the variable of the error."""
    report.unknown_fields(pointer, policy, _FIELDS, "A retry policy")
    for field in ("when", "exceptWhen"):
        if field in policy:
            expressions.expression(join(pointer, field), policy[field], names, f"`{field}`")
    if "delay" in policy:
        check_duration(report, expressions, join(pointer, "delay"), policy["delay"], names, "`delay`")
    if "backoff" in policy:
        _check_backoff(report, join(pointer, "backoff"), policy["backoff"])
    if "limit" in policy:
        _check_limit(report, expressions, join(pointer, "limit"), policy["limit"], names)
    if "jitter" in policy:
        _check_jitter(report, expressions, join(pointer, "jitter"), policy["jitter"], names)


def _check_backoff(report: Report, pointer: str, value: Any) -> None:
    backoff = report.object(pointer, value, "`backoff`")
    if backoff is None:
        return
    report.unknown_fields(pointer, backoff, _BACKOFFS, "`backoff`")
    chosen = [name for name in _BACKOFFS if name in backoff]
    if len(chosen) != 1:
        message = "`backoff` names one way to grow: `constant`, `linear` or `exponential`."
        code = "several_choices" if chosen else "missing_field"
        report.add(pointer, code, message, "For example `backoff: {exponential: {}}`.")
    for name in chosen:
        report.object(join(pointer, name), backoff[name], f"`{name}`")


def _check_limit(report: Report, expressions: Expressions, pointer: str, value: Any, names: Names) -> None:
    limit = report.object(pointer, value, "`limit`")
    if limit is None:
        return
    report.unknown_fields(pointer, limit, {"attempt", "duration"}, "`limit`")
    if "duration" in limit:
        at = join(pointer, "duration")
        check_duration(report, expressions, at, limit["duration"], names, "`duration`", allow_zero=False)
    if "attempt" not in limit:
        return
    pointer = join(pointer, "attempt")
    attempt = report.object(pointer, limit["attempt"], "`attempt`")
    if attempt is None:
        return
    report.unknown_fields(pointer, attempt, {"count", "duration"}, "`attempt`")
    if "duration" in attempt:
        at = join(pointer, "duration")
        check_duration(report, expressions, at, attempt["duration"], names, "`duration`", allow_zero=False)
    count = attempt.get("count", 0)
    if isinstance(count, bool) or not isinstance(count, int | float) or count % 1:
        message = "`count` must be a whole number."
        report.add(join(pointer, "count"), "wrong_type", message, "It counts the retries, for example 3.")
    elif count < 0:
        report.add(join(pointer, "count"), "bad_value", "`count` cannot be negative.", "0 means no retry.")


def _check_jitter(report: Report, expressions: Expressions, pointer: str, value: Any, names: Names) -> None:
    jitter = report.object(pointer, value, "`jitter`")
    if jitter is None:
        return
    report.unknown_fields(pointer, jitter, {"from", "to"}, "`jitter`")
    for field in ("from", "to"):
        if field in jitter:
            check_duration(report, expressions, join(pointer, field), jitter[field], names, f"`{field}`")
        else:
            message = f"`jitter` needs `{field}`."
            report.add(pointer, "missing_field", message, "For example `jitter: {from: PT0S, to: PT5S}`.")
    least, most = (_known(jitter.get(field)) for field in ("from", "to"))
    if least is not None and most is not None and least > most:
        report.add(pointer, "bad_range", "`from` is longer than `to`.", "Exchange them.")


def _known(value: Any) -> Any:
    try:
        return durations.parse(value)
    except durations.InvalidDuration:
        return None
