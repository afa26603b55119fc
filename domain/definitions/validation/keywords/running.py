"""`run`: another workflow of the organization; other processes are refused."""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.model import REFUSED_PROCESSES
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.certainty import is_open
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.header import DNS_LABEL, SEMVER
from domain.definitions.validation.report import Report, kind, shown

from .step import Step

LATEST: Final = "latest"
_PROCESSES: Final = ("workflow", *REFUSED_PROCESSES)
_FORMS: Final = (
    ("namespace", DNS_LABEL, "1 to 63 letters, digits and hyphens, as in its `document.namespace`"),
    ("name", DNS_LABEL, "1 to 63 letters, digits and hyphens, as in its `document.name`"),
    ("version", SEMVER, "a version such as `1.0.0`, as in its `document.version`, or `latest`"),
)


def check_run(report: Report, expressions: Expressions, calls: Calls, step: Step) -> Names:
    at = step.at("run")
    process = report.object(at, step.body["run"], "`run`")
    if process is None:
        return step.names
    report.unknown_fields(at, process, {*_PROCESSES, "await", "return"}, "`run`")
    refused = [word for word in REFUSED_PROCESSES if word in process]
    for word in refused:
        report.refused(join(at, word), f"`run: {word}`", REFUSED_PROCESSES[word])
    if "await" in process and not isinstance(process["await"], bool):
        message = f"`await` is true or false, not {kind(process['await'])}."
        report.add(join(at, "await"), "wrong_type", message, "Write it without quotes.")
    if "return" in process:
        _check_return(report, join(at, "return"), process["return"], is_workflow="workflow" in process)
    if "workflow" in process:
        if refused:
            message = "`run` runs one thing: a workflow."
            report.add(at, "several_processes", message, f"Remove `{refused[0]}`.")
        _check_workflow(report, expressions, step, join(at, "workflow"), process["workflow"])
    elif not refused:
        hint = "Write `workflow: {namespace: …, name: …, version: latest}`."
        report.add(at, "missing_field", "`run` does not say which workflow.", hint)
    return step.names


def _check_workflow(report: Report, expressions: Expressions, step: Step, at: str, value: Any) -> None:
    workflow = report.object(at, value, "`workflow`")
    if workflow is None:
        return
    report.unknown_fields(at, workflow, {"namespace", "name", "version", "input"}, "`workflow`")
    for field, form, wanted in _FORMS:
        if field not in workflow:
            hint = f"Add `{field}`: {wanted}."
            report.add(at, "missing_field", f"`run.workflow` needs `{field}`.", hint)
            continue
        _check_word(report, join(at, field), field, workflow, form, wanted)
    expressions.template(at, workflow, step.names, mixed=False)


def _check_word(
    report: Report, at: str, field: str, workflow: Mapping[str, Any], form: Any, wanted: str
) -> None:
    text = report.text(at, workflow[field], f"`{field}`")
    if text is None or is_open(text) or (field == "version" and text == LATEST):
        return
    if len(text) > 200 or not form.fullmatch(text):
        code = "bad_version" if field == "version" else "bad_name"
        report.add(at, code, f"`{shown(text)}` cannot be the `{field}` of a workflow.", f"Write {wanted}.")


def _check_return(report: Report, at: str, value: Any, *, is_workflow: bool) -> None:
    known = ("stdout", "stderr", "code", "all", "none")
    if value not in known:
        hint = report.did_you_mean(value, known) if isinstance(value, str) else None
        report.add(at, "bad_value", f"`return` is one of {', '.join(known)}.", hint)
    elif is_workflow:
        message = "`return` chooses among the outputs of a process; a workflow has one output."
        report.add(at, "not_for_workflows", message, "Remove `return`.", severity="warning")
