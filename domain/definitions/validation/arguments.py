"""Arguments of a call as far as they are known before it runs: expressions may become anything."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs

from domain.actions import ActionSpec, Effect
from domain.definitions import durations
from domain.definitions.model import PROTOCOLS, REFUSED_FILE
from domain.definitions.pointers import join
from domain.definitions.schema_problems import sentence
from domain.definitions.validation.calls import Resolved
from domain.definitions.validation.certainty import (
    is_certain,
    is_open,
    leaves,
    path_of,
    value_at,
    wanted_types,
)
from domain.definitions.validation.data import check_schema
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.values import canonical, quote

_EXTRA = frozenset({"additionalProperties", "unevaluatedProperties"})
_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def check_arguments(
    report: Report, pointer: str, given: Mapping[str, Any], resolved: Resolved, *, complete: bool = True
) -> None:
    """`given` at `pointer` against the action's schema; what its configuration adds was judged there.

    With `complete`, arguments the action demands must be given here or by the configuration.
    """
    spec = resolved.spec
    merged = {**resolved.arguments, **given}
    for whole in _validator(spec).iter_errors(merged):
        for error in leaves(whole) if is_certain(whole, merged) else ():
            path = path_of(error)
            if (path and path[0] not in given) or not is_certain(error, merged):
                continue
            if spec.name in PROTOCOLS.values() and "authentication" in path:
                continue  # told by `authentications`, which knows more about them than their schema
            rule = error.kind.name
            if rule in _EXTRA:
                # What the configuration gives too much was told there.
                unexpected = [name for name in error.kind.unexpected if path or name in given]
                _tell_unknown(report, join(pointer, *path), unexpected, spec, top=not path)
            elif path or complete or rule != "required":
                _tell(report, join(pointer, *path), error, value_at(merged, path), spec)
    _check_formats(report, pointer, given, spec)
    _check_addresses(report, pointer, given, spec)


def check_repeatable(report: Report, pointer: str, given: Mapping[str, Any], resolved: Resolved) -> None:
    """Tell when a lost worker would leave a person to find out whether something happened."""
    spec = resolved.spec
    if spec.effect is not Effect.IRREVERSIBLE:
        return
    keys = [name for name in _properties(spec) if "idempot" in name.lower()]
    if any(name in given or name in resolved.arguments for name in keys):
        return
    report.add(
        pointer,
        "irreversible",
        f"`{spec.name}` cannot be repeated safely: if a worker is lost, the step ends as `unknown`.",
        f"Give it `{keys[0]}`." if keys else "Put a step behind it that looks up whether it happened.",
        severity="warning",
    )


def check_bounded(report: Report, pointer: str, resolved: Resolved) -> None:
    """For a step without `timeout`: tell when nobody would hear of an irreversible call that hangs."""
    if resolved.spec.effect is Effect.IRREVERSIBLE:
        message = f"`{resolved.spec.name}` is irreversible, and this step does not say how long it may take."
        hint = "Give it `timeout: {after: …}` and catch the timeout, so that somebody looks into it."
        report.add(pointer, "unbounded", message, hint, severity="warning")


def _tell_unknown(report: Report, pointer: str, names: list[str], spec: ActionSpec, *, top: bool) -> None:
    known = sorted(_properties(spec)) if top else []
    for name in names:
        hint = report.did_you_mean(name, known) or (f"It takes {', '.join(known)}." if known else None)
        report.add(
            join(pointer, name), "unknown_argument", f"`{spec.name}` takes no `{shown(name)}` here.", hint
        )


def _tell(report: Report, pointer: str, error: Any, value: Any, spec: ActionSpec) -> None:
    rule = error.kind.name
    if rule == "required":
        name = error.kind.property
        message = f"`{spec.name}` needs `{name}` here."
        report.add(pointer, "missing_argument", message, f"Add `{name}`, for example as an expression.")
    elif wanted := wanted_types(error, rule):
        words = [_WORDS.get(each, each) for each in dict.fromkeys(wanted)]
        told = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
        message = f"`{spec.name}` takes {told} here, not {kind(value)}."
        report.add(pointer, "wrong_argument_type", message, "Write the value or one expression `${ … }`.")
    elif rule == "enum":
        options = [quote(option) for option in error.kind.options[:20]]
        hint = (
            report.did_you_mean(value, [o for o in error.kind.options if isinstance(o, str)])
            if isinstance(value, str)
            else None
        )
        report.add(pointer, "bad_argument", f"`{spec.name}` takes one of {', '.join(options)} here.", hint)
    else:
        report.add(pointer, "bad_argument", f"`{spec.name}` cannot take this: {sentence(error)[:200]}.")


def _check_formats(report: Report, pointer: str, given: Mapping[str, Any], spec: ActionSpec) -> None:
    """Arguments that their action's schema declares as `format: duration` or `format: json-schema`."""
    for name, schema in _properties(spec).items():
        form = schema.get("format") if isinstance(schema, Mapping) else None
        value = given.get(name)
        if value is None or is_open(value):
            continue
        if form == "duration" and isinstance(value, str | dict):
            try:
                durations.parse(value)
            except durations.InvalidDuration as refusal:
                report.add(join(pointer, name), "bad_duration", str(refusal))
        elif form == "json-schema" and isinstance(value, dict):
            check_schema(report, join(pointer, name), value)


def _check_addresses(report: Report, pointer: str, given: Mapping[str, Any], spec: ActionSpec) -> None:
    """Endpoints are addresses of the web; the guarded client judges hosts when it connects."""
    if "endpoint" in _properties(spec):
        _check_address(report, join(pointer, "endpoint"), given.get("endpoint"))
    if spec.name == PROTOCOLS["openapi"] and isinstance(given.get("document"), dict):
        _check_address(report, join(pointer, "document", "endpoint"), given["document"].get("endpoint"))


def _check_address(report: Report, at: str, endpoint: Any) -> None:
    if isinstance(endpoint, dict):
        endpoint, at = endpoint.get("uri"), join(at, "uri")
    if not isinstance(endpoint, str) or endpoint.lstrip().startswith(("${", "{")):
        return
    try:
        scheme = urlsplit(endpoint.strip()).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme == "file":
        report.refused(at, "A `file:` address", REFUSED_FILE)
    elif scheme not in ("http", "https"):
        report.add(
            at, "bad_address", "An endpoint begins with https:// or http://.", "Write the whole address."
        )


def _properties(spec: ActionSpec) -> Mapping[str, Any]:
    properties = spec.input.get("properties")
    return properties if isinstance(properties, Mapping) else {}


class _Same:
    """A spec as the key of a cache: writing its schema out for every call would cost more than the checking."""

    __slots__ = ("spec",)

    def __init__(self, spec: ActionSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.spec is other.spec


def _validator(spec: ActionSpec) -> Any:
    return _validator_of(_Same(spec))


@lru_cache(maxsize=256)
def _validator_of(key: _Same) -> Any:
    spec = key.spec
    return _compiled(spec.name, spec.version, canonical(dict(spec.input)))


@lru_cache(maxsize=256)
def _compiled(name: str, version: str, schema: bytes) -> Any:
    # Schemas of actions come from developers, not from tenants: they need no guard against hostile ones.
    return jsonschema_rs.validator_for(schema.decode(), mask="the value")
