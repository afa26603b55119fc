"""JSON Schemas of stored definitions: compiled offline, evaluated within a counted budget.

The validator is native code that cannot be interrupted and fetches references unless told otherwise. So a
schema is read here first (`schema_shape`), every evaluation is counted before it is handed over
(`schema_cost`), and problems are told in our own words (`schema_problems`).
"""

from dataclasses import dataclass

import jsonschema_rs

from . import schema_problems
from .schema_cost import TooCostly, count_steps
from .schema_problems import SchemaProblem
from .schema_shape import Plan, SchemaRefused, read_shape
from .values import MAX_DEPTH, Json, ValueRefused, check_value, is_deeper, measure

MAX_SCHEMA_BYTES = 131_072
MAX_VALUE_BYTES = 262_144
MAX_STEPS = 100_000
# Native code builds every problem before it returns the first, so a full list is asked for small work only.
LISTED_STEPS = 2_000
LISTED_BYTES = 16_384
MAX_PROBLEMS = 50

_PATTERNS = jsonschema_rs.RegexOptions(size_limit=1_048_576, dfa_size_limit=1_048_576)


@dataclass(frozen=True, slots=True)
class Schema:
    """A compiled schema."""

    validator: jsonschema_rs.Validator
    plan: Plan

    def problems(self, value: Json) -> list[SchemaProblem]:
        """Return everything that is wrong with a value, at most 50 problems; an empty list means valid.

        A value that is too large or too costly to check gets one problem saying so. Of a large value only
        the first problem is told.
        """
        size = measure(value, MAX_VALUE_BYTES)
        if size > MAX_VALUE_BYTES:
            return [SchemaProblem("", f"the value is larger than {MAX_VALUE_BYTES} bytes of JSON", None)]
        if is_deeper(value, MAX_DEPTH):
            return [SchemaProblem("", f"the value is nested deeper than {MAX_DEPTH} levels", None)]
        try:
            steps = count_steps(self.plan, value, MAX_STEPS)
        except TooCostly:
            return [SchemaProblem("", "the value takes too many steps to check against its schema", _SMALLER)]
        try:
            if self.validator.is_valid(value):
                return []
            if steps <= LISTED_STEPS and size <= LISTED_BYTES:
                errors = list(self.validator.iter_errors(value))
                return schema_problems.tell(errors, MAX_PROBLEMS)
            self.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return schema_problems.tell([error], MAX_PROBLEMS)
        return []


_SMALLER = "send fewer items, or simplify the schema"


def compile_schema(schema: Json) -> Schema:
    """Return a compiled schema.

    Raises SchemaRefused, with a JSON pointer into the schema, for what is no JSON Schema, for references
    outside the document, for expressions that are not linear, and for constructions without a bound on
    what evaluating them costs.
    """
    try:
        document = check_value(schema, max_bytes=MAX_SCHEMA_BYTES, max_depth=60)
    except ValueRefused as refusal:
        raise SchemaRefused(refusal.message, refusal.pointer) from None
    plan = read_shape(document)
    assert isinstance(document, bool | dict)
    try:
        validator = jsonschema_rs.validator_for(
            document,
            offline=True,
            validate_formats=True,
            formats={"regex": _any_text},
            pattern_options=_PATTERNS,
            mask="the value",
        )
    except jsonschema_rs.ValidationError as error:
        pointer = schema_problems.pointer_of(error.instance_path)
        raise SchemaRefused(
            f"this is not valid JSON Schema: {schema_problems.sentence(error)}", pointer
        ) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise SchemaRefused(f"the schema cannot be compiled: {str(error)[:200]}", "") from None
    return Schema(validator, plan)


def _any_text(_text: str) -> bool:
    """Stand in for the format `regex`, whose check would compile expressions found in data."""
    return True


__all__ = ["Schema", "SchemaProblem", "SchemaRefused", "compile_schema"]
