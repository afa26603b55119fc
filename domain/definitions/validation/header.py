"""The document around the steps: header, evaluation, and what the DSL allows beside `do`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.model import DOCUMENT_FIELDS, DSL_VERSION, ROOT_FIELDS
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, shown

DNS_LABEL: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", re.ASCII)
_BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
#: A number of a pre-release has no leading zero.
_EARLY = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
SEMVER: Final = re.compile(
    rf"(?:0|[1-9]\d{{0,8}})(?:\.(?:0|[1-9]\d{{0,8}})){{2}}(?:-{_EARLY}(?:\.{_EARLY})*)?(?:\+{_BUILD})?",
    re.ASCII,
)
_DSL = re.compile(r"1\.0\.(?:0|[1-9]\d{0,3})", re.ASCII)
_BESIDE: Final = frozenset({"triggers", "actions", "variables"})


def check_root(report: Report, definition: Mapping[str, Any]) -> None:
    """Fields beside `do`, `input` and `output`, whose contents others check."""
    for part in _BESIDE & definition.keys():
        message = f"`{part}` stand beside the definition of a workflow, not in it."
        report.add(join("", part), "misplaced", message, f"Move `{part}` out of the definition.")
    inside = {name: value for name, value in definition.items() if name not in _BESIDE}
    report.unknown_fields("", inside, ROOT_FIELDS, "A definition")
    if "do" not in definition:
        report.add(
            "", "missing_field", "A definition needs its steps in `do`.", "Add `do` with a list of steps."
        )
    if "document" in definition:
        _check_document(report, definition["document"])
    if "evaluate" in definition:
        _check_evaluate(report, definition["evaluate"])


def _check_document(report: Report, value: Any) -> None:
    document = report.object("/document", value, "`document`")
    if document is None:
        return
    report.unknown_fields("/document", document, DOCUMENT_FIELDS, "`document`")
    forms = (
        (
            "dsl",
            _DSL,
            "dsl_version",
            f"a version of the DSL that is supported: 1.0.x, newest `{DSL_VERSION}`",
        ),
        ("namespace", DNS_LABEL, "bad_name", "1 to 63 letters, digits and hyphens, no hyphen at its ends"),
        ("name", DNS_LABEL, "bad_name", "1 to 63 letters, digits and hyphens, no hyphen at its ends"),
        ("version", SEMVER, "bad_version", "a semantic version such as `1.0.0`"),
    )
    for field, form, code, wanted in forms:
        if field not in document:
            continue
        at = join("/document", field)
        written = document[field]
        if not isinstance(written, str):
            report.add(at, "wrong_type", f"`{field}` must be a text.", f"Write it in quotes; it is {wanted}.")
        elif len(written) > 200 or not form.fullmatch(written):
            report.add(at, code, f"`{shown(written)}` is not {wanted}.", "Leave it out to have it filled in.")
    for field in ("title", "summary"):
        if field in document:
            report.text(join("/document", field), document[field], f"`{field}`")
    for field in ("tags", "metadata"):
        if field in document:
            report.object(join("/document", field), document[field], f"`{field}`")


def _check_evaluate(report: Report, value: Any) -> None:
    evaluate = report.object("/evaluate", value, "`evaluate`")
    if evaluate is None:
        return
    report.unknown_fields("/evaluate", evaluate, {"language", "mode"}, "`evaluate`")
    if evaluate.get("language", "jq") != "jq":
        message = "The only expression language is `jq`."
        report.add("/evaluate/language", "not_supported", message, "Write `language: jq` or leave it out.")
    mode = evaluate.get("mode", "strict")
    if mode == "loose":
        message = (
            "`evaluate.mode: loose` is refused: it would take data that looks like an expression for one."
        )
        report.add("/evaluate/mode", "refused", message, "Use `strict` and write expressions as `${ … }`.")
    elif mode != "strict":
        report.add("/evaluate/mode", "bad_value", "`mode` is `strict`.", "Leave it out.")
