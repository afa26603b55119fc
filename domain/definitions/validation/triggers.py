"""What starts a workflow: the list of triggers beside its definition."""

import re
from collections.abc import Iterable
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.expressions import ExpressionError, compile_expression, strip_expression
from domain.definitions.model import MAX_EXPRESSION_BYTES
from domain.definitions.pointers import join
from domain.definitions.validation.entries import entries
from domain.definitions.validation.event_triggers import check_event_trigger
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.validation.scheduling import check_scheduled
from domain.executions import TriggerType
from domain.webhooks.configuration import (
    METHODS,
    TOLERANCE_SECONDS,
    BodyKind,
    Challenge,
    SchemeName,
    copyable_seconds,
)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)
_PRINTABLE: Final = re.compile(r"[ -~]{0,100}", re.ASCII)
_TRIGGER_FIELDS: Final = frozenset({"type", "name", "configuration", "is_active"})
_WEBHOOK_FIELDS: Final = frozenset(
    {
        "scheme",
        "signature",
        "methods",
        "body",
        "event_id",
        "tolerance",
        "deduplicate_within",
        "challenge",
        "wait",
    }
)
_SIGNATURE_FIELDS: Final = frozenset(
    {"header", "algorithm", "encoding", "prefix", "timestamp_header", "signs"}
)
#: What is said of schemes that prove little.
_WEAK: Final = {
    SchemeName.BEARER: "A bearer token proves who sends, but not that the body is untouched, and a request that "
    "was seen once can be sent again.",
    SchemeName.BASIC: "A password proves who sends, but not that the body is untouched, and a request that was "
    "seen once can be sent again.",
    SchemeName.URL: "Whoever has seen the address once, in a log perhaps, can start this workflow.",
}

#: Their signatures cover the body. `hmac` may sign a moment too, GitHub does not.
_SIGNING: Final = frozenset({SchemeName.STANDARD, SchemeName.STRIPE, SchemeName.GITHUB, SchemeName.HMAC})


def check_triggers(report: Report, triggers: Any) -> None:
    """A list of `{type, name?, configuration?, is_active?}`; a trigger without a name is called by its type."""
    names: set[str] = set()
    for at, trigger in entries(report, "/triggers", triggers, "Triggers"):
        report.unknown_fields(at, trigger, _TRIGGER_FIELDS, "A trigger")
        written = trigger.get("type")
        _check_type(report, at, written)
        if "name" in trigger or isinstance(written, str):
            _check_name(report, at, trigger.get("name", written), names)
        given = trigger.get("configuration", {})
        configuration = report.object(join(at, "configuration"), given, "`configuration`")
        if configuration is not None and written == TriggerType.WEBHOOK:
            check_webhook(report, join(at, "configuration"), configuration)
        if configuration is not None and written == TriggerType.EVENT:
            check_event_trigger(report, join(at, "configuration"), configuration)
        if configuration is not None and written == TriggerType.SCHEDULE:
            check_scheduled(report, join(at, "configuration"), configuration)
        if not isinstance(trigger.get("is_active", True), bool):
            report.add(join(at, "is_active"), "wrong_type", "`is_active` is true or false.")


def _check_type(report: Report, at: str, written: Any) -> None:
    types = [each.value for each in TriggerType]
    if written not in types:
        hint = report.did_you_mean(written, types) if isinstance(written, str) else None
        message = f"A trigger needs a `type`: one of {', '.join(types)}."
        report.add(join(at, "type"), "unknown_trigger", message, hint)


def _check_name(report: Report, at: str, name: Any, names: set[str]) -> None:
    if report.text(join(at, "name"), name, "`name`") is None:
        return
    if not _NAME.fullmatch(name):
        hint = "Begin with a letter or digit; then letters, digits, `.`, `_` and `-`, at most 63."
        report.add(join(at, "name"), "bad_name", f"`{shown(name)}` cannot be the name of a trigger.", hint)
    elif name in names:
        message = f"There are two triggers called `{name}`."
        report.add(join(at, "name"), "duplicate_name", message, "Give each a `name` of its own.")
    names.add(name)


def check_webhook(report: Report, at: str, given: dict[str, Any]) -> None:
    """The `configuration` of a webhook."""
    report.unknown_fields(at, given, _WEBHOOK_FIELDS, "The configuration of a webhook")
    if "scheme" not in given:
        message = "A webhook says in `scheme` how its sender proves itself."
        report.add(at, "missing_field", message, f"One of {', '.join(SchemeName)}.")
    scheme = _one_of(report, at, given, "scheme", SchemeName)
    if scheme in _WEAK:
        report.add(
            join(at, "scheme"),
            "weak_scheme",
            _WEAK[SchemeName(scheme)],
            "Use a signature if the sender can make one: standard-webhooks, stripe, github or hmac.",
            severity="warning",
        )
    _check_signature(report, at, given, scheme)
    if scheme == SchemeName.GITHUB and not _id_in_body(given):
        report.add(
            join(at, "scheme"),
            "replayable",
            "GitHub signs neither a time nor the id of the delivery: a request that was seen once can be sent again.",
            "Where the body has an id of its own, name it in `event_id` as an `expression`.",
            severity="warning",
        )
    methods = given.get("methods", ["POST"])
    if not isinstance(methods, list) or not methods or any(each not in METHODS for each in methods):
        report.add(join(at, "methods"), "bad_value", f"`methods` is a list of some of {', '.join(METHODS)}.")
    _one_of(report, at, given, "body", BodyKind)
    if _one_of(report, at, given, "challenge", Challenge) == Challenge.HUB and "GET" not in methods:
        message = "The handshake `hub` arrives as GET."
        report.add(join(at, "methods"), "bad_value", message, "Add GET to `methods`.")
    _check_event_id(report, at, given, scheme)
    tolerance = _check_duration(report, at, given, "tolerance", 1, 3_600)
    window = _check_duration(report, at, given, "deduplicate_within", 0, 86_400)
    if window is not None and "event_id" not in given and _needs_window(given, scheme):
        _check_window(report, at, window, int(TOLERANCE_SECONDS if tolerance is None else tolerance))
    _check_duration(report, at, given, "wait", 0, 30)


def _check_signature(report: Report, at: str, given: dict[str, Any], scheme: str | None) -> None:
    at = join(at, "signature")
    if scheme != SchemeName.HMAC:
        if "signature" in given and scheme is not None:
            report.add(at, "said_twice", f"The scheme `{scheme}` knows how it signs.", "Remove `signature`.")
        return
    how = report.object(at, given.get("signature"), "`signature` of the scheme `hmac`")
    if how is None:
        return
    report.unknown_fields(at, how, _SIGNATURE_FIELDS, "A signature")
    if how.get("algorithm") == "sha1":
        report.add(join(at, "algorithm"), "refused", "SHA-1 is broken and refused.", "Use sha256 or sha512.")
    else:
        _one_of(report, at, how, "algorithm", ("sha256", "sha512"))
    _one_of(report, at, how, "encoding", ("hex", "base64"))
    for name in ("header", "timestamp_header"):
        if (name == "header" or name in how) and not _is_header(how.get(name)):
            report.add(join(at, name), "bad_value", f"`{name}` is the name of a header.")
    for name in ("prefix", "signs"):
        if name in how and not (isinstance(how[name], str) and _PRINTABLE.fullmatch(how[name])):
            message = f"`{name}` is a text of at most 100 visible ASCII characters."
            report.add(join(at, name), "bad_value", message)
    _check_signed(report, at, how, _id_in_body(given))


def _check_signed(report: Report, at: str, how: dict[str, Any], id_in_body: bool) -> None:
    signs, timestamped = how.get("signs"), "timestamp_header" in how
    if isinstance(signs, str) and "{body}" not in signs:
        report.add(join(at, "signs"), "unsafe", "A signature that leaves out {body} proves nothing about it.")
    if isinstance(signs, str) and timestamped != ("{timestamp}" in signs):
        message = (
            "`timestamp_header` and {timestamp} in `signs` belong together: an unsigned time proves nothing."
        )
        report.add(join(at, "signs"), "unsafe", message, "For example `{timestamp}.{body}`.")
    if not timestamped and not id_in_body:
        report.add(
            at,
            "replayable",
            "Without a signed time, a request that was seen once can be sent again.",
            "Name a `timestamp_header` if the sender signs one, or an `event_id` with an `expression`.",
            severity="warning",
        )


def _check_event_id(report: Report, at: str, given: dict[str, Any], scheme: str | None) -> None:
    if "event_id" not in given:
        return
    at = join(at, "event_id")
    place = report.object(at, given["event_id"], "`event_id`")
    if place is None:
        return
    if place.keys() not in ({"header"}, {"expression"}):
        message = "`event_id` names one place: a `header`, or an `expression` over the body."
        report.add(at, "bad_value", message, 'For example {"header": "X-Request-Id"}.')
    elif "header" in place:
        if not _is_header(place["header"]):
            report.add(join(at, "header"), "bad_value", "`header` is the name of a header.")
        elif scheme in _SIGNING and not (
            scheme == SchemeName.STANDARD and place["header"].lower() == "webhook-id"
        ):
            report.add(
                join(at, "header"),
                "replayable",
                "This header is not signed: a request that was seen once starts again under another id.",
                "Leave `event_id` out where the scheme knows the id, or read it from the body: `expression`.",
                severity="warning",
            )
    else:
        _check_expression(report, join(at, "expression"), place["expression"])


def _id_in_body(given: dict[str, Any]) -> bool:
    """An id in the signed body cannot be exchanged, so a copy of the request is recognised."""
    place = given.get("event_id")
    return isinstance(place, dict) and "expression" in place


def _needs_window(given: dict[str, Any], scheme: str | None) -> bool:
    """Whether a moment is signed, and an event may come without an id: Standard Webhooks always has one."""
    how = given.get("signature")
    timestamped = isinstance(how, dict) and "timestamp_header" in how
    return scheme == SchemeName.STRIPE or (scheme == SchemeName.HMAC and timestamped)


def _check_window(report: Report, at: str, window: float, tolerance: int) -> None:
    least = copyable_seconds(tolerance)
    if window < least:
        report.add(
            join(at, "deduplicate_within"),
            "too_short",
            f"Counts as {least} seconds: so long a copied request is believed.",
            "Make `tolerance` shorter, or name an `event_id` where equal bodies are different events.",
            severity="warning",
        )


def _check_expression(report: Report, at: str, source: Any) -> None:
    if not isinstance(source, str) or len(source.encode(errors="replace")) > MAX_EXPRESSION_BYTES:
        message = f"`expression` is jq over the body, at most {MAX_EXPRESSION_BYTES} bytes."
        report.add(at, "bad_value", message, "For example `.id`.")
        return
    try:
        expression = compile_expression(strip_expression(source.strip()))
    except ExpressionError as error:
        report.add(at, "bad_expression", error.message)
        return
    if expression.names:
        strange = ", ".join(f"${name}" for name in sorted(expression.names)[:5])
        report.add(at, "bad_expression", f"Only the body can be read here, not {shown(strange)}.")


def _check_duration(
    report: Report, at: str, given: dict[str, Any], name: str, least: int, most: int
) -> float | None:
    """The seconds when they are given and within the limits."""
    if name not in given:
        return None
    try:
        seconds = durations.parse(given[name]).total_seconds()
    except durations.InvalidDuration as error:
        report.add(join(at, name), "bad_duration", error.message)
        return None
    if not least <= seconds <= most:
        report.add(join(at, name), "bad_duration", f"`{name}` is between {least} and {most} seconds.")
        return None
    return seconds


def _one_of(report: Report, at: str, given: dict[str, Any], name: str, options: Iterable[str]) -> str | None:
    """The value when it is one of the options; None when it is absent, or wrong and told."""
    if name not in given:
        return None
    value, known = given[name], [str(option) for option in options]
    if isinstance(value, str) and value in known:
        return value
    hint = report.did_you_mean(value, known) if isinstance(value, str) else None
    what = f"`{shown(value)}`" if isinstance(value, str) else kind(value)
    report.add(join(at, name), "bad_value", f"`{name}` is one of {', '.join(known)}, not {what}.", hint)
    return None


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and _HEADER.fullmatch(value) is not None
