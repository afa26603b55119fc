"""Reading a schema before it is compiled: what it applies where, and whether that has a bound."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any
from urllib.parse import unquote

import re2

from .values import Json

MAX_SUBSCHEMAS = 3_000
MAX_CHAIN = 60
MAX_TOGETHER = 5_000
MAX_PATTERN = 1_000
MAX_PROGRAM = 1_500
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
)
_HERE = ("not", "if", "then", "else")
_HERE_LISTS = ("allOf", "anyOf", "oneOf")
_HERE_MAPS = ("dependentSchemas", "dependencies")
_MEMBERS = ("additionalProperties", "unevaluatedProperties")
_ITEMS = ("items", "contains", "additionalItems", "unevaluatedItems")
_UNBOUNDED = ("$dynamicRef", "$recursiveRef")


class SchemaRefused(Exception):
    """A schema that cannot be used: `message` says why, `pointer` where in the schema."""

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message, pointer)
        self.message = message
        self.pointer = pointer

    def __str__(self) -> str:
        return f"{self.message} (at {self.pointer or 'the top'})"


class Plan:
    """What one subschema applies to a value, and to what is in it; costs are in steps."""

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.here: list[Plan] = []
        self.repeats = False
        self.properties: dict[str, Plan] = {}
        self.members: list[Plan] = []
        self.names: Plan | None = None
        self.first_items: list[Plan] = []
        self.items: list[Plan] = []
        self.cost = 1
        self.text_cost = 0
        self.name_cost = 0
        self.unique = False

    def leaf(self) -> bool:
        """Return whether counting needs nothing but the fixed cost."""
        inner = self.here or self.properties or self.members or self.names or self.first_items or self.items
        return not (inner or self.text_cost or self.name_cost or self.unique)


def read_shape(document: Json) -> Plan:
    """Return the plan of a schema; raises SchemaRefused."""
    reader = _Reader(document)
    plan = reader.plan(document, "")
    reader.finish()
    _bound(reader.plans)
    return plan


class _Reader:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.known: dict[int, Plan] = {}
        self.plans: list[Plan] = []
        self.references: list[tuple[Plan, str]] = []
        self.anchors: dict[str, tuple[Any, str]] = {}

    def plan(self, schema: Any, pointer: str) -> Plan:
        if isinstance(schema, dict) and id(schema) in self.known:
            return self.known[id(schema)]
        plan = Plan(pointer)
        self.plans.append(plan)
        if len(self.plans) > MAX_SUBSCHEMAS:
            raise SchemaRefused(f"the schema has more than {MAX_SUBSCHEMAS} parts", pointer)
        if isinstance(schema, bool):
            return plan
        if not isinstance(schema, dict):
            raise SchemaRefused("a schema is an object or a boolean", pointer)
        self.known[id(schema)] = plan
        self.check(schema, plan)
        self.apply_here(schema, plan)
        self.apply_inside(schema, plan)
        return plan

    def check(self, schema: dict[str, Any], plan: Plan) -> None:
        pointer = plan.pointer
        for keyword in _UNBOUNDED:
            if keyword in schema:
                raise SchemaRefused(
                    f"{keyword} is not supported, as its cost has no bound; use $ref", f"{pointer}/{keyword}"
                )
        if pointer and isinstance(schema.get("$id"), str):
            message = "$id is supported at the top only; refer to parts with $ref: #/$defs/…"
            raise SchemaRefused(message, f"{pointer}/$id")
        dialect = schema.get("$schema")
        if dialect is not None and str(dialect).rstrip("#") not in _DIALECTS:
            raise SchemaRefused(f"this dialect is not supported; use {_DIALECTS[0]}", f"{pointer}/$schema")
        _check_types(schema.get("type"), pointer)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                self.anchors[schema[keyword]] = (schema, pointer)
        options = schema.get("enum")
        plan.cost += len(options) >> 2 if isinstance(options, list) else 0
        plan.unique = schema.get("uniqueItems") is True
        plan.text_cost += 1 if "format" in schema or "contentMediaType" in schema else 0
        if isinstance(schema.get("pattern"), str):
            plan.text_cost += program_size(schema["pattern"], f"{pointer}/pattern")

    def apply_here(self, schema: dict[str, Any], plan: Plan) -> None:
        for keyword in _HERE:
            if keyword in schema:
                plan.here.append(self.plan(schema[keyword], f"{plan.pointer}/{keyword}"))
        for keyword in _HERE_LISTS:
            plan.here += [part for _, part in self.each(schema, keyword, plan)]
        for keyword in _HERE_MAPS:
            plan.here += [part for _, part in self.named(schema, keyword, plan)]
        plan.repeats = "unevaluatedProperties" in schema or "unevaluatedItems" in schema
        if "$ref" in schema:
            self.references.append((plan, str(schema["$ref"])))

    def apply_inside(self, schema: dict[str, Any], plan: Plan) -> None:
        plan.properties = dict(self.named(schema, "properties", plan))
        for pattern, part in self.named(schema, "patternProperties", plan):
            plan.name_cost += program_size(pattern, part.pointer)
            plan.members.append(part)
        for keyword in _MEMBERS:
            if keyword in schema:
                plan.members.append(self.plan(schema[keyword], f"{plan.pointer}/{keyword}"))
        if "propertyNames" in schema:
            plan.names = self.plan(schema["propertyNames"], f"{plan.pointer}/propertyNames")
        plan.first_items = [part for _, part in self.each(schema, "prefixItems", plan)]
        if isinstance(schema.get("items"), list):
            plan.first_items += [part for _, part in self.each(schema, "items", plan)]
        for keyword in _ITEMS:
            if keyword in schema and not isinstance(schema[keyword], list):
                plan.items.append(self.plan(schema[keyword], f"{plan.pointer}/{keyword}"))
        for keyword in ("$defs", "definitions"):
            for _ in self.named(schema, keyword, plan):
                pass

    def each(self, schema: dict[str, Any], keyword: str, plan: Plan) -> Iterator[tuple[int, Plan]]:
        parts = schema.get(keyword, [])
        if not isinstance(parts, list):
            raise SchemaRefused(f"{keyword} is a list of schemas", f"{plan.pointer}/{keyword}")
        for place, part in enumerate(parts):
            yield place, self.plan(part, f"{plan.pointer}/{keyword}/{place}")

    def named(self, schema: dict[str, Any], keyword: str, plan: Plan) -> Iterator[tuple[str, Plan]]:
        parts = schema.get(keyword, {})
        if not isinstance(parts, dict):
            raise SchemaRefused(f"{keyword} is an object of schemas", f"{plan.pointer}/{keyword}")
        for name, part in parts.items():
            if keyword == "dependencies" and isinstance(part, list):
                continue
            yield name, self.plan(part, f"{plan.pointer}/{keyword}/{_escaped(name)}")

    def finish(self) -> None:
        """Follow the references; what they point to may contain further ones."""
        while self.references:
            plan, reference = self.references.pop()
            target, pointer = self.resolve(reference, f"{plan.pointer}/$ref")
            plan.here.append(self.plan(target, pointer))

    def resolve(self, reference: str, at: str) -> tuple[Any, str]:
        if not reference.startswith("#"):
            raise SchemaRefused(
                f"{reference[:100]} is outside of the schema and is never fetched; copy it under $defs and "
                "refer to #/$defs/…",
                at,
            )
        fragment = unquote(reference[1:])
        if fragment in self.anchors:
            return self.anchors[fragment]
        target: Any = self.document
        for part in fragment.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and int(name[:9]) < len(target):
                target = target[int(name)]
            else:
                raise SchemaRefused(f"{reference[:100]} refers to nothing in this schema", at)
        if fragment and not fragment.startswith("/"):
            raise SchemaRefused(f"{reference[:100]} refers to nothing in this schema", at)
        return target, fragment


def program_size(pattern: str, pointer: str) -> int:
    """Return how large the program of a regular expression is; raises SchemaRefused for unsuitable ones."""
    if len(pattern) > MAX_PATTERN:
        raise SchemaRefused(f"the regular expression is longer than {MAX_PATTERN} characters", pointer)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1_048_576
    try:
        size = int(re2.compile(pattern, options).programsize)
    except re2.error as problem:
        reason = problem.args[0].decode("utf-8", "replace") if problem.args else "it is not valid"
        raise SchemaRefused(
            f"the regular expression cannot be used: {reason[:100]} "
            "(look-around and back references are not linear)",
            pointer,
        ) from None
    if size > MAX_PROGRAM:
        raise SchemaRefused("the regular expression is too large; use smaller repetitions", pointer)
    return size


def _check_types(types: Any, pointer: str) -> None:
    for name in types if isinstance(types, list) else [types]:
        if isinstance(name, str) and name not in _TYPES:
            close = get_close_matches(name, _TYPES, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(_TYPES)}"
            raise SchemaRefused(f"{name[:50]} is not a type; {hint}", f"{pointer}/type")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _bound(plans: list[Plan]) -> None:
    """Refuse schemas that apply too much to one and the same value, or refer to themselves there."""
    weights: dict[int, int] = {}
    for plan in plans:
        _weigh(plan, weights, 0)


def _weigh(plan: Plan, weights: dict[int, int], depth: int) -> int:
    known = weights.get(id(plan))
    if known == 0:
        raise SchemaRefused("the schema refers to itself without going into the value", plan.pointer)
    if known is not None:
        return known
    if depth > MAX_CHAIN:
        raise SchemaRefused(f"more than {MAX_CHAIN} schemas refer to each other in a row", plan.pointer)
    weights[id(plan)] = 0
    below = sum(_weigh(part, weights, depth + 1) for part in plan.here)
    weight = 1 + (2 * below if plan.repeats else below)
    if weight > MAX_TOGETHER:
        raise SchemaRefused(
            f"more than {MAX_TOGETHER} schemas apply to one value; "
            "combinations of $ref and allOf or anyOf multiply",
            plan.pointer,
        )
    weights[id(plan)] = weight
    return weight
