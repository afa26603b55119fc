"""URI templates of the definition language: `{name}` in an endpoint, RFC 6570 simple expansion only."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from domain.definitions.faults import Fault

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def expand(template: str, variables: Mapping[str, Any]) -> str:
    """Replace each `{name}` by the percent-encoded variable of that exact name; a missing one is empty.

    Raises an expression fault for an object or array, for braces that name nothing, and for a variable that would
    become a step back in the path.
    """
    expanded = _PLACEHOLDER.sub(lambda match: _value(match.group(1), variables), template)
    if "{" in _PLACEHOLDER.sub("", template) or "}" in _PLACEHOLDER.sub("", template):
        raise Fault(
            "expression",
            400,
            "Malformed URI template",
            "a brace of the endpoint has no partner; write a literal brace as %7B or %7D",
        )
    if _steps_back(expanded) > _steps_back(_PLACEHOLDER.sub("x", template)):
        raise Fault(
            "expression",
            400,
            "URI template refused",
            "a variable of the endpoint is `.` or `..` between slashes, which would change which path is called",
        )
    return expanded


def _steps_back(uri: str) -> int:
    path = re.split(r"[?#]", uri, maxsplit=1)[0]
    return sum(segment in (".", "..") for segment in path.split("/"))


def names(template: str) -> frozenset[str]:
    """The variables a template reads."""
    return frozenset(_PLACEHOLDER.findall(template))


def _value(name: str, variables: Mapping[str, Any]) -> str:
    if not name.strip():
        raise Fault(
            "expression", 400, "Malformed URI template", "the endpoint holds {} without a name; write {name}"
        )
    value = variables.get(name)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float):
        return quote(str(value), safe="")
    kind = "an object" if isinstance(value, Mapping) else "an array"
    raise Fault(
        "expression",
        400,
        "URI template needs a simple value",
        f"{{{name}}} of the endpoint is {kind}; only text, numbers and booleans can stand in a URI",
    )
