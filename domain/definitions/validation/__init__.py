"""Validation answers every problem of a definition: where, what, and how to mend it. It never raises."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from domain.actions import Catalogue
from domain.definitions.model import (
    MAX_DEFINITION_BYTES,
    MAX_JSON_DEPTH,
    MAX_STEPS,
    NOT_YET,
    WORKFLOW_SCOPE,
)
from domain.definitions.validation.calls import Calls, Resolved
from domain.definitions.validation.components import Components
from domain.definitions.validation.data import check_data
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.functions import Elsewhere, Functions
from domain.definitions.validation.header import check_root
from domain.definitions.validation.parameters import (
    check_action_expressions,
    check_actions,
    check_variables,
)
from domain.definitions.validation.report import Report, shown
from domain.definitions.validation.schedule import check_schedule
from domain.definitions.validation.scheduling import check_inputs
from domain.definitions.validation.steps import Steps, count_steps
from domain.definitions.validation.timeouts import check_timeout
from domain.definitions.validation.triggers import check_triggers
from domain.definitions.validation.unused import check_unused
from domain.definitions.validation.use import check_use, lists_of_use
from domain.definitions.values import ValueRefused, check_value
from domain.errors import Problem

__all__ = ["Checked", "Elsewhere", "Resolved", "check", "validate"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What validation found, and the parts as plain JSON; `calls` resolves what a sound definition calls."""

    problems: list[Problem]
    definition: dict[str, Any]
    actions: Any
    variables: Any
    calls: Calls
    triggers: Any = None

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]


def validate(
    definition: Any,
    *,
    triggers: Any = None,
    actions: Any = None,
    variables: Any = None,
    catalogue: Catalogue,
    secrets: Collection[str] | None = None,
) -> list[Problem]:
    """Return every problem.

    Pointers lead into the definition, or begin with /triggers, /actions or /variables. The first 200 problems
    are told. A `severity` of "warning" does not hinder publishing. `secrets` are the names that are set, if known.
    """
    return check(
        definition,
        triggers=triggers,
        actions=actions,
        variables=variables,
        catalogue=catalogue,
        secrets=secrets,
    ).problems


def check(
    definition: Any,
    *,
    triggers: Any = None,
    actions: Any = None,
    variables: Any = None,
    catalogue: Catalogue,
    secrets: Collection[str] | None = None,
    functions: Elsewhere | None = None,
) -> Checked:
    """`validate`, keeping what publishing goes on with; `functions` are those that were fetched for it."""
    report = Report()
    given = {"": definition, "/triggers": triggers, "/actions": actions, "/variables": variables}
    parts = {at: _plain(report, at, value) for at, value in given.items()}
    definition, actions, variables = parts[""], parts["/actions"], parts["/variables"]
    if report.problems:
        return Checked(report.problems, {}, None, None, Calls(catalogue, {}))
    if not isinstance(definition, dict):
        report.object("", definition, "A definition")
        definition = {}
        return Checked(report.problems, definition, actions, variables, Calls(catalogue, {}))
    calls = _check_all(report, definition, parts, catalogue, secrets, functions or Elsewhere(None))
    return Checked(report.problems, definition, actions, variables, calls, parts["/triggers"])


def _check_all(
    report: Report,
    definition: Mapping[str, Any],
    parts: Mapping[str, Any],
    catalogue: Catalogue,
    secrets: Collection[str] | None,
    elsewhere: Elsewhere,
) -> Calls:
    def judge(function: Mapping[str, Any], elsewhere: Elsewhere) -> list[Problem]:
        """A function from elsewhere knows nothing of this definition: it is judged as one of its own."""
        alone = {"do": [{"function": function}]}
        return check(alone, catalogue=catalogue, secrets=(), functions=elsewhere).problems

    names = count_steps(definition.get("do"))
    expressions = Expressions(report, names)
    components = Components(definition)
    check_root(report, definition)
    document = {part: definition[part] for part in ("input", "output") if part in definition}
    check_data(report, expressions, "", document, WORKFLOW_SCOPE)
    if "timeout" in definition:
        timeout = definition["timeout"]
        check_timeout(report, expressions, components, "/timeout", timeout, WORKFLOW_SCOPE)
        if "timeout" in NOT_YET:
            report.unsupported("/timeout", "`timeout`")
    if "schedule" in definition:
        check_schedule(report, expressions, definition["schedule"], parts["/triggers"])
    configured = check_actions(report, parts["/actions"], catalogue, definition)
    calls = Calls(catalogue, configured, Functions(definition, elsewhere, judge))
    steps = Steps(report, expressions, calls, components)
    check_action_expressions(report, parts["/actions"], expressions, components, calls)
    if names.total() + sum(count_steps(list).total() for list in lists_of_use(definition)) > MAX_STEPS:
        message = f"A definition has at most {MAX_STEPS} steps."
        report.add("/do", "too_many_steps", message, "Split it into several workflows.")
    else:
        if "do" in definition:
            steps.check_list("/do", definition["do"])
        if "use" in definition:
            check_use(report, expressions, components, steps, calls.functions, definition["use"])
    check_triggers(report, parts["/triggers"])
    check_inputs(report, definition, parts["/triggers"])
    check_variables(report, parts["/variables"])
    _check_secrets(report, expressions, secrets)
    check_unused(report, expressions, components, definition, parts["/actions"])
    return calls


def _check_secrets(report: Report, expressions: Expressions, known: Collection[str] | None) -> None:
    """A warning only: a secret may well be set after the definition is published."""
    for name, pointer in expressions.secrets.items():
        if known is not None and name not in known:
            message = f"Secret `{shown(name)}` is not set; steps that read it fail until it is."
            hint = report.did_you_mean(name, sorted(known)) or f"Set it: PUT /v1/secrets/{shown(name)}."
            report.add(pointer, "unknown_secret", message, hint, severity="warning")


def _plain(report: Report, pointer: str, value: Any) -> Any:
    """A bounded copy in plain JSON; whatever is none, or too large, is told and not looked at further."""
    try:
        return check_value(value, max_bytes=MAX_DEFINITION_BYTES, max_depth=MAX_JSON_DEPTH)
    except ValueRefused as refusal:
        sentence = refusal.message[0].upper() + refusal.message[1:] + "."
        code = "bad_value"
        if "larger than" in refusal.message:
            sentence, code = f"This is larger than {MAX_DEFINITION_BYTES // 1024} KB.", "definition_too_large"
        elif "deeper than" in refusal.message:
            code = "too_deep"
        report.add(pointer + refusal.pointer[:1000], code, sentence)
        return None
