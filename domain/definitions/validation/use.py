"""`use`: the components of a definition that steps refer to by name."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.definitions.model import MAX_COMPONENTS, NOT_YET, STEP_SCOPE
from domain.definitions.pointers import join
from domain.definitions.validation.authentications import check_authentication
from domain.definitions.validation.components import Components
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.extensions import check_extensions
from domain.definitions.validation.faulting import check_error
from domain.definitions.validation.functions import Functions, check_catalogs, check_functions
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.validation.retries import check_policy
from domain.definitions.validation.steps import Steps
from domain.definitions.validation.timeouts import check_limit
from domain.secrets import MAX_SECRETS, is_name

_PARTS: Final = frozenset(
    {"authentications", "catalogs", "errors", "extensions", "functions", "retries", "secrets", "timeouts"}
)


def check_use(
    report: Report,
    expressions: Expressions,
    components: Components,
    steps: Steps,
    functions: Functions,
    value: Any,
) -> None:
    """Every part of `use`; called after the steps, whose scopes decide what components can read."""
    use = report.object("/use", value, "`use`")
    if use is None:
        return
    report.unknown_fields("/use", use, _PARTS, "`use`")
    for at, name, error in _named(report, use, "errors", "An error"):
        check_error(report, expressions, at, error, components.names("errors", name))
    for at, name, limit in _named(report, use, "timeouts", "A timeout"):
        check_limit(report, expressions, at, limit, components.names("timeouts", name))
    for at, name, policy in _named(report, use, "retries", "A retry policy"):
        readable = components.names("retries", name, STEP_SCOPE | {"error"})
        check_policy(report, expressions, at, policy, readable)
    for at, _, function in _named(report, use, "functions", "A function"):
        steps.check_step(at, function, STEP_SCOPE, {})
    check_functions(report, functions)
    if "catalogs" in use:
        check_catalogs(report, use["catalogs"])
    if "secrets" in use:
        _check_secrets(report, use["secrets"])
    if "extensions" in use:
        check_extensions(report, expressions, steps, use["extensions"])
    for at, name, policy in _named(report, use, "authentications", "An authentication"):
        check_authentication(report, expressions, at, policy, components.names("authentications", name))
    for part in use:
        if f"use.{part}" in NOT_YET:
            report.unsupported(join("/use", part), f"`use.{part}`")


def _named(
    report: Report, use: Mapping[str, Any], part: str, what: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The components of one part: their places, names and contents."""
    if part not in use:
        return
    at = join("/use", part)
    declared = report.object(at, use[part], f"`use.{part}`")
    if declared is None:
        return
    if len(declared) > MAX_COMPONENTS:
        report.add(at, "too_many", f"There are at most {MAX_COMPONENTS} entries in `use.{part}`.")
        return
    for name, value in declared.items():
        component = report.object(join(at, name), value, what)
        if component is not None:
            yield join(at, name), name, component


def _check_secrets(report: Report, value: Any) -> None:
    at = "/use/secrets"
    if not isinstance(value, list):
        report.add(at, "wrong_type", f"`use.secrets` must be a list of names, not {kind(value)}.")
        return
    if len(value) > MAX_SECRETS:
        report.add(at, "too_many", f"There are at most {MAX_SECRETS} secrets.")
        return
    seen: set[str] = set()
    for index, name in enumerate(value):
        place = join(at, index)
        if report.text(place, name, "The name of a secret") is None:
            continue
        if not is_name(name):
            message = f"`{shown(name)}` cannot be the name of a secret."
            hint = "Use letters, digits and underscores, and begin with no digit; at most 64."
            report.add(place, "bad_name", message, hint)
        elif name in seen:
            message = f"Secret `{name}` is declared twice."
            report.add(place, "duplicate_name", message, "Remove one of them.", severity="warning")
        seen.add(name)


def lists_of_use(definition: Mapping[str, Any]) -> Iterator[Any]:
    """The lists of steps in `use`, each to be counted; a function is a list of one."""
    use = definition.get("use")
    if not isinstance(use, dict):
        return
    extensions = use.get("extensions")
    for entry in extensions if isinstance(extensions, list) else ():
        for body in entry.values() if isinstance(entry, dict) else ():
            if isinstance(body, dict):
                yield from (body.get("before"), body.get("after"))
    functions = use.get("functions")
    if isinstance(functions, dict):
        yield from ([{name: body}] for name, body in functions.items())
