"""Refused arguments in words: where, what, and how to mend it; never the value, which may be a secret."""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

_SHOWN = 5


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The first five problems as `/pointer: sentence`, the rest counted."""
    problems = [_sentence(dict(item), model) for item in error.errors(include_url=False, include_input=False)]
    rest = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _sentence(item: dict[str, Any], model: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"]]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1")[:80] for part in location)
    if item["type"] == "missing":
        return f"{pointer} is missing; add it"
    if item["type"] == "extra_forbidden":
        names = [field.alias or name for name, field in model.model_fields.items()]
        close = get_close_matches(location[-1], names, 1) if len(location) == 1 else []
        mend = f"did you mean {close[0]}?" if close else "remove it"
        if not close and len(location) == 1:
            mend += f" or use one of {', '.join(names)}"
        return f"{pointer} is not an argument; {mend}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{pointer or '/'}: {message[:1].lower()}{message[1:]}"
