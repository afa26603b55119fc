"""Compiles the parts that steps and the document share: expressions, shapes, and the data flow made of them."""

from collections.abc import Mapping
from typing import Any

from domain.definitions.expressions import (
    Expression,
    Json,
    compile_expression,
    compile_template,
    strip_expression,
)
from domain.definitions.schemas import Schema, compile_schema

from .parts import Flow
from .shapes import Shape


def flow(definition: Mapping[str, Any]) -> Flow:
    """The data flow of a step or of the document; they are written alike."""
    taken, given, kept = (definition.get(part) or {} for part in ("input", "output", "export"))
    output_as = shape(given["as"]) if "as" in given else None
    export_as = shape(kept["as"]) if "as" in kept else None
    leaving = [part.names for part in (output_as, export_as) if part is not None]
    return Flow(
        input_schema=_schema(taken),
        input_from=shape(taken["from"]) if "from" in taken else None,
        output_as=output_as,
        output_schema=_schema(given),
        export_as=export_as,
        export_schema=_schema(kept),
        leaving_names=frozenset().union(*leaving) - {"output"},
    )


def _schema(part: Mapping[str, Any]) -> Schema | None:
    return compile_schema(part["schema"]["document"]) if "schema" in part else None


def expression(source: str) -> Expression:
    return compile_expression(strip_expression(source))


def shape(value: Json) -> Shape:
    """`from`, `as` and `set` take an expression (with or without `${}`) or a template."""
    return expression(value) if isinstance(value, str) else compile_template(value)
