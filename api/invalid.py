"""What pydantic found wrong with a request, in words a caller can act on: place, sentence, mend."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from api.strictjson import escape
from domain.errors import Problem

_SUGGESTIONS = {
    "missing": "Add it.",
    "string_type": "Send text in double quotes.",
    "int_type": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "list_type": "Send a list in square brackets.",
    "dict_type": "Send an object in braces.",
    "model_attributes_type": "Send an object in braces.",
    "uuid_parsing": "Send a UUID, for example 0192f0c1-2b7e-7cc3-9d0a-3f1b2c4d5e6f.",
    "datetime_from_date_parsing": "Send a time as RFC 3339, for example 2026-01-31T09:30:00Z.",
    "moment": "Send a time between the years 1 and 9999 in UTC, for example 2026-01-31T09:30:00Z.",
    "datetime_parsing": "Send a time as RFC 3339, for example 2026-01-31T09:30:00Z.",
}


def problems_of(found: Iterable[Mapping[str, Any]], route: Any = None) -> list[Problem]:
    """Pydantic's errors as problems; `route` supplies the field names for "did you mean"."""
    model = getattr(getattr(getattr(route, "body_field", None), "field_info", None), "annotation", None)
    return [_problem(each, model) for each in found]


def _problem(error: Mapping[str, Any], model: Any) -> Problem:
    location, kind = tuple(error["loc"]), str(error["type"])
    inside = location[1:]
    if kind == "extra_forbidden":
        return unknown("field", location, _fields(model, inside[:-1]) if location[0] == "body" else [])
    if kind == "missing" and location == ("body",):
        return Problem(
            "#", "The request needs a JSON body.", "Send an object with Content-Type: application/json."
        )
    message = f"{_sentence(error)}"
    return Problem(pointer(location), message, _suggestion(kind, error.get("ctx") or {}))


def pointer(location: Sequence[str | int]) -> str:
    """`#/a/0` for a place in the body; `query/limit`, `header/if-match` for the other parts of a request."""
    part, *inside = location or ("body",)
    tokens = "".join(f"/{escape(str(token))}" for token in inside)
    return f"#{tokens}" if part == "body" else f"{part}{tokens}"


def unknown(what: str, location: Sequence[str | int], known: Sequence[str]) -> Problem:
    """A name that is not `known` at its place, with the nearest one that is; `what` is "field" or "parameter"."""
    name = str(location[-1])[:80]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    mend = f"Did you mean {near[0]!r}?" if near else None
    if mend is None:
        mend = f"Remove it; known here: {', '.join(known)}." if known else "Remove it."
    return Problem(pointer(location), f"There is no {what} {name!r} here.", mend, f"unknown_{what}")


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "This field is required."
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if text != str(error["msg"]) and str(error["msg"]).startswith("Input should be "):
        return f"The value should be {text}."
    return text if text.endswith(".") else f"{text}."


def _suggestion(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind in _SUGGESTIONS:
        return _SUGGESTIONS[kind]
    if kind in ("literal_error", "enum"):
        return f"Choose one of {context.get('expected')}."
    if kind == "string_too_long":
        return f"Shorten it to {context.get('max_length')} characters."
    if kind == "string_too_short":
        return f"Send at least {context.get('min_length')} characters."
    return "Correct the value."


def _fields(model: Any, inside: Sequence[str | int]) -> list[str]:
    """The field names of the model found by walking `inside` from the body's model."""
    current = _model(model)
    for token in inside:
        if current is None:
            return []
        field = current.model_fields.get(str(token)) if isinstance(token, str) else None
        current = _model(field.annotation) if field is not None else current
    return list(current.model_fields) if current is not None else []


def _model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model(part))), None)
