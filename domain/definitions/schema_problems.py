"""What a validator found, in sentences for the person who sent the value."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import jsonschema_rs

from .values import quote


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One thing wrong with a value: where (JSON pointer), what, and how to mend it if that is known."""

    pointer: str
    message: str
    suggestion: str | None
    #: The keyword of the schema where sentences for others than its author need it: "pattern".
    keyword: str = field(default="", compare=False)


def tell(errors: list[jsonschema_rs.ValidationError], most: int) -> list[SchemaProblem]:
    """Return problems for errors, without repetitions and at most so many."""
    problems: dict[SchemaProblem, None] = {}
    for error in errors:
        for best in _closest(error, 0):
            problems[_problem(best)] = None
        if len(problems) >= most:
            break
    return list(problems)[:most]


def pointer_of(path: list[str | int]) -> str:
    """Return a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def sentence(error: jsonschema_rs.ValidationError) -> str:
    """Return what is wrong, in one sentence."""
    return _problem(_closest(error, 0)[0]).message


def _closest(error: jsonschema_rs.ValidationError, depth: int) -> list[jsonschema_rs.ValidationError]:
    """Return, of the alternatives a value fits none of, the errors of the one it comes closest to."""
    branches = error.kind.as_dict().get("context")
    if error.kind.name not in ("anyOf", "oneOf") or not isinstance(branches, list) or depth > 8:
        return [error]
    candidates = [branch for branch in branches if branch]
    if not candidates:
        return [error]
    at = len(error.instance_path)
    plain = [branch for branch in candidates if not _other_type(branch, at)]
    if len(plain) != 1 and len(candidates) > 1:
        deeper = [branch for branch in plain if max(len(inner.instance_path) for inner in branch) > at]
        plain = deeper if len(deeper) == 1 else []
    if not plain:
        return [error]
    return [best for inner in plain[0] for best in _closest(inner, depth + 1)]


def _other_type(branch: list[jsonschema_rs.ValidationError], at: int) -> bool:
    """Return whether a branch is for another kind of value: another type, or another constant in a member."""
    return any(
        (inner.kind.name == "type" and len(inner.instance_path) == at)
        or (inner.kind.name == "const" and len(inner.instance_path) <= at + 1)
        for inner in branch
    )


_LIMITS = {
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be greater than {limit}",
    "exclusiveMaximum": "must be less than {limit}",
    "minLength": "must have at least {limit} characters",
    "maxLength": "must have at most {limit} characters",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "minProperties": "must have at least {limit} members",
    "maxProperties": "must have at most {limit} members",
    "multipleOf": "must be a multiple of {multiple_of}",
    "pattern": "must match the regular expression {pattern}",
    "format": "is not a valid {format}",
    "uniqueItems": "must not have an item twice",
    "contains": "has no item of the kind it must contain",
    "not": "is a value that is not allowed",
    "falseSchema": "is not allowed here",
    "anyOf": "fits none of the alternatives",
    "oneOfNotValid": "fits none of the alternatives",
    "oneOfMultipleValid": "fits several alternatives of which exactly one must fit",
    "contentEncoding": "is not encoded as {content_encoding}",
    "contentMediaType": "is not of the type {content_media_type}",
    "additionalItems": "must have at most {limit} items",
    "unevaluatedItems": "has items that are not expected here",
}


#: Formats whose name says little to whoever fills in a form.
_FORMATS = {"uri": "web address, such as https://example.org"}


def _problem(error: jsonschema_rs.ValidationError) -> SchemaProblem:
    facts = error.kind.as_dict()
    pointer = pointer_of(error.instance_path)
    name = type(error.kind).__name__
    name = name[0].lower() + name[1:]
    if name == "required":
        return SchemaProblem(
            pointer, f"{_text(facts['property'])} is missing", f"add {_text(facts['property'])}"
        )
    if name in ("additionalProperties", "unevaluatedProperties"):
        unexpected = ", ".join(_text(member) for member in facts["unexpected"][:5])
        return SchemaProblem(pointer, f"{unexpected} is not expected here", "remove it or correct its name")
    if name == "enum":
        return _one_of(pointer, facts["options"], error.instance)
    if name == "constant":
        return SchemaProblem(pointer, f"must be {_text(facts['expected_value'])}", None)
    if name == "propertyNames":
        return _member_name(pointer, facts["error"])
    if name == "falseSchema" and _forbids_names(error):
        return SchemaProblem(pointer, "must have no members", "remove them")
    if name == "type":
        return SchemaProblem(pointer, f"must be of type {' or '.join(facts['types'])}", None)
    if name in _LIMITS:
        shown = {key: _text(fact).strip('"') for key, fact in facts.items() if key != "context"}
        if "format" in shown:
            shown["format"] = _FORMATS.get(shown["format"], shown["format"])
        return SchemaProblem(pointer, _LIMITS[name].format(**shown), None, name)
    return SchemaProblem(pointer, error.message[:200], None)


def _forbids_names(error: jsonschema_rs.ValidationError) -> bool:
    """`propertyNames: false`, and no member that is itself called so."""
    return error.schema_path[-1:] == ["propertyNames"] != error.instance_path[-1:]


def _member_name(pointer: str, error: jsonschema_rs.ValidationError) -> SchemaProblem:
    """At the object, since no pointer leads to a name."""
    why = _problem(_closest(error, 0)[0])
    return SchemaProblem(
        pointer,
        f"the member name {_text(error.instance)} {why.message}",
        why.suggestion or "rename or remove it",
    )


def _one_of(pointer: str, options: list[Any], given: Any) -> SchemaProblem:
    texts = [option for option in options if isinstance(option, str)]
    close = get_close_matches(given, texts[:200], n=1) if isinstance(given, str) and len(given) < 100 else []
    shown = ", ".join(_text(option) for option in options[:10]) + (", …" if len(options) > 10 else "")
    return SchemaProblem(pointer, f"must be one of {shown}", f"did you mean {close[0]}?" if close else None)


def _text(value: Any) -> str:
    return quote(value, 60)
