"""What stands beside a definition: its configured actions and its variables."""

import re
from collections.abc import Mapping
from typing import Any, Final

from domain.actions import Catalogue
from domain.definitions.model import PROTOCOLS, SECRETS, STEP_SCOPE, UNSUPPORTED_PROTOCOLS
from domain.definitions.pointers import join
from domain.definitions.schemas import compile_schema
from domain.definitions.validation.arguments import check_arguments
from domain.definitions.validation.authentications import check_call_authentications
from domain.definitions.validation.calls import Calls, Resolved, takes_secrets
from domain.definitions.validation.components import Components
from domain.definitions.validation.data import check_schema
from domain.definitions.validation.entries import MAX_ENTRIES, entries
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.report import Report, kind, shown

_ACTION_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_ACTION_FIELDS: Final = frozenset({"name", "uses", "with"})
_VARIABLE_FIELDS: Final = frozenset({"schema", "default", "description"})


def check_actions(
    report: Report, actions: Any, catalogue: Catalogue, definition: Mapping[str, Any]
) -> dict[str, Resolved | None]:
    """A list of `{name, uses, with?}`; returns what each name stands for, None where that is not clear."""
    configured: dict[str, Resolved | None] = {}
    functions = _functions(definition)
    lookup = Calls(catalogue, {})
    for at, action in entries(report, "/actions", actions, "Actions"):
        report.unknown_fields(at, action, _ACTION_FIELDS, "An action")
        name = action.get("name")
        if not isinstance(name, str) or not _ACTION_NAME.fullmatch(name):
            hint = "Begin with a letter; then letters, digits, `.`, `_` and `-`, at most 63."
            report.add(join(at, "name"), "bad_name", "An action needs a name.", hint)
            name = None
        elif name in PROTOCOLS or name in UNSUPPORTED_PROTOCOLS:
            message = f"`{name}` is a call of the DSL itself."
            report.add(join(at, "name"), "reserved_name", message, "Choose another name.")
        elif name in configured:
            message = f"There are two actions called `{name}`."
            report.add(join(at, "name"), "duplicate_name", message, "Rename one of them.")
        elif name in functions:
            message = f"`{name}` is an action here and a function in `use.functions`."
            report.add(join(at, "name"), "said_twice", message, "Keep one of them.")
        resolved = _check_action(report, at, action, lookup)
        if name is not None:
            configured[name] = None if name in configured else resolved
    return configured


def _check_action(report: Report, at: str, action: dict[str, Any], lookup: Calls) -> Resolved | None:
    given = action.get("with", {})
    if not isinstance(given, dict):
        report.add(
            join(at, "with"), "wrong_type", f"`with` must be an object of arguments, not {kind(given)}."
        )
        given = {}
    if not isinstance(action.get("uses"), str):
        message = "An action says in `uses` which action of the catalogue it configures."
        report.add(join(at, "uses"), "missing_field", message, "For example `uses: email.send`.")
        return None
    reference = PROTOCOLS.get(action["uses"], action["uses"])
    spec = lookup.find(report, join(at, "uses"), reference, {})
    if spec is None:
        return None
    check_arguments(report, join(at, "with"), given, Resolved(spec, {}), complete=False)
    return Resolved(spec, given)


def check_action_expressions(
    report: Report, actions: Any, expressions: Expressions, components: Components, lookup: Calls
) -> None:
    """Arguments of configured actions may be expressions; they read what every step can read."""
    for index, action in enumerate(actions if isinstance(actions, list) else ()):
        if isinstance(action, dict) and isinstance(action.get("with"), dict):
            resolved = lookup.configured.get(action["name"]) if isinstance(action.get("name"), str) else None
            readable = (
                STEP_SCOPE | SECRETS if resolved is None or takes_secrets(resolved.spec) else STEP_SCOPE
            )
            at = join("/actions", index, "with")
            expressions.template(at, action["with"], readable, mixed=True)
            if resolved is not None:
                check_call_authentications(
                    report, expressions, components, at, action["with"], resolved.spec, STEP_SCOPE
                )


def check_variables(report: Report, variables: Any) -> None:
    """An object of `name: {schema?, default, description?}`."""
    if variables is None:
        return
    declared = report.object("/variables", variables, "Variables")
    if declared is None:
        return
    if len(declared) > MAX_ENTRIES:
        report.add("/variables", "too_many", f"There are at most {MAX_ENTRIES} variables.")
        return
    for name, value in declared.items():
        at = join("/variables", name)
        if not _VARIABLE.fullmatch(name):
            message = f"`{shown(name)}` cannot be the name of a variable."
            report.add(at, "bad_name", message, "Use letters, digits and underscores; at most 63.")
        variable = report.object(at, value, "A variable")
        if variable is not None:
            _check_variable(report, at, name, variable)


def _check_variable(report: Report, at: str, name: str, variable: dict[str, Any]) -> None:
    report.unknown_fields(at, variable, _VARIABLE_FIELDS, "A variable")
    if "description" in variable:
        report.text(join(at, "description"), variable["description"], "`description`")
    if "default" not in variable:
        message = f"Variable `{shown(name)}` has no value."
        report.add(
            at, "missing_field", message, "Give it a `default`; `null` is one, if its schema allows it."
        )
    if (
        "schema" in variable
        and check_schema(report, join(at, "schema"), variable["schema"])
        and "default" in variable
    ):
        for problem in compile_schema(variable["schema"]).problems(variable["default"])[:5]:
            place = join(at, "default") + problem.pointer
            report.add(
                place, "bad_default", f"The default does not fit the variable's schema: {problem.message}"
            )


def _functions(definition: Mapping[str, Any]) -> frozenset[str]:
    use = definition.get("use")
    functions = use.get("functions") if isinstance(use, dict) else None
    return frozenset(functions) if isinstance(functions, dict) else frozenset()
