"""A value that fits a schema, the same one every time: what a call answers when nobody has said it."""

from collections.abc import Mapping
from typing import Any, Final

_DEPTH: Final = 12
_SAYING_NOTHING: Final = frozenset({"title", "description", "$comment"})
_FORMATS: Final = {
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "duration": "P1D",
}


class NoSample(Exception):
    """The schema says too little to make a value of it."""


def sample(schema: Any) -> Any:
    """Raises NoSample where the schema allows anything, or demands what cannot be made up."""
    if not isinstance(schema, Mapping):
        raise NoSample
    return _sample(schema, schema, 0)


def _sample(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if depth > _DEPTH or not isinstance(schema, Mapping):
        raise NoSample
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("examples", "enum"):
        if isinstance(schema.get(word), list) and schema[word]:
            return schema[word][0]
    if isinstance(reference := schema.get("$ref"), str):
        return _sample(_found(reference, root), root, depth + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return _first(schema[word], root, depth)
    return _typed(schema, root, depth)


def _first(choices: list[Any], root: Mapping[str, Any], depth: int) -> Any:
    """Null where that is allowed: nothing is less surprising than nothing."""
    if any(isinstance(each, Mapping) and each.get("type") == "null" for each in choices):
        return None
    for each in choices:
        try:
            return _sample(each, root, depth + 1)
        except NoSample:
            continue
    raise NoSample


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    type = schema.get("type")
    match type[0] if isinstance(type, list) and type else type:
        case "object":
            return _object(schema, root, depth)
        case "array":
            count = schema.get("minItems", 0)
            many = count if isinstance(count, int) and count <= 20 else 20
            return [_sample(schema.get("items"), root, depth + 1) for _ in range(many)]
        case "string":
            return _text(schema)
        case "integer" | "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            more = 1 if "exclusiveMinimum" in schema else 0
            return low + more if isinstance(low, int | float) and not isinstance(low, bool) else 0
        case "boolean":
            return True
        case "null":
            return None
    if depth and not schema.keys() - _SAYING_NOTHING:
        return None  # any value will do; of all a call answers, it alone asks nobody a question
    raise NoSample


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    fields = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(fields, Mapping) or not isinstance(required, list):
        raise NoSample
    made = {}
    for name in dict.fromkeys([*fields, *(each for each in required if isinstance(each, str))]):
        try:
            made[name] = _sample(fields.get(name), root, depth + 1)
        except NoSample:
            if name in required:
                raise
    if not fields and depth == 0 and schema.get("additionalProperties", True) is not False:
        raise NoSample
    return made


def _text(schema: Mapping[str, Any]) -> str:
    if "pattern" in schema:
        raise NoSample
    format = schema.get("format")
    text = _FORMATS.get(format, "text") if isinstance(format, str) else "text"
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
    if not isinstance(least, int) or not isinstance(most, int) or least > 1000:
        raise NoSample
    return text.ljust(least, "x")[: max(most, 0)]


def _found(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        if not isinstance(found, Mapping):
            raise NoSample
        found = found.get(part.replace("~1", "/").replace("~0", "~"))
    return found
