"""How data enters and leaves a step or the workflow: `input`, `output`, `export` and their schemas."""

from collections.abc import Mapping
from typing import Any

from domain.definitions.model import OUTPUT_SCOPE, REFUSED_FILE
from domain.definitions.pointers import join
from domain.definitions.schemas import SchemaRefused, compile_schema
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.report import Report, shown

_PARTS = (("input", "from", frozenset[str]()), ("output", "as", OUTPUT_SCOPE), ("export", "as", OUTPUT_SCOPE))


def check_data(
    report: Report, expressions: Expressions, pointer: str, holder: Mapping[str, Any], names: Names
) -> None:
    """The three parts of a step, or of the document."""
    for part, field, more in _PARTS:
        if part not in holder:
            continue
        at = join(pointer, part)
        body = report.object(at, holder[part], f"`{part}`")
        if body is None:
            continue
        report.unknown_fields(at, body, {"schema", field}, f"`{part}`")
        if field in body:
            expressions.shape(join(at, field), body[field], names | more, f"`{part}.{field}`")
        if "schema" in body:
            check_schema_holder(report, join(at, "schema"), body["schema"])


def check_schema_holder(report: Report, pointer: str, value: Any) -> None:
    """`schema: {format, document}` as the DSL writes it."""
    holder = report.object(pointer, value, "`schema`")
    if holder is None:
        return
    if "resource" in holder:
        if "file:" in str(holder["resource"])[:2000].lower():
            report.refused(join(pointer, "resource"), "A `file:` address", REFUSED_FILE)
        else:
            report.unsupported(
                join(pointer, "resource"), "A schema kept elsewhere", "Write it in `schema.document`."
            )
    report.unknown_fields(pointer, holder, {"format", "document", "resource"}, "`schema`")
    form = holder.get("format", "json")
    if not isinstance(form, str) or form.partition(":")[0] != "json":
        named = shown(form) if isinstance(form, str) else "this"
        report.add(
            join(pointer, "format"),
            "not_supported",
            f"Schema format `{named}` is not supported.",
            "Use `json`.",
        )
    if "document" in holder:
        check_schema(report, join(pointer, "document"), holder["document"])
    elif "resource" not in holder:
        report.add(
            pointer,
            "missing_field",
            "`schema` needs its JSON Schema in `document`.",
            "Write schema: {document: {type: object, …}}.",
        )


def check_schema(report: Report, pointer: str, schema: Any) -> bool:
    """True when the JSON Schema can be used."""
    try:
        compile_schema(schema)
    except SchemaRefused as refusal:
        report.add(
            pointer + refusal.pointer, "bad_schema", f"This JSON Schema cannot be used: {refusal.message}"
        )
        return False
    return True
