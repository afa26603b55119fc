"""Conditions in words: what is simple is told, what is not is quoted."""

import re
from typing import Final

from domain.definitions.expressions import strip_expression
from domain.definitions.phrases import expression, visible

_PATH: Final = r"(?:\$(?P<variable>[a-z]\w{0,40}))?(?P<path>(?:\.[A-Za-z_]\w{0,60}){1,6}|(?=\s|$))"
_LITERAL: Final = r"""(?P<literal>-?\d{1,15}(?:\.\d{1,9})?|true|false|null|"[^"\\]{0,80}")"""
_TEST: Final = re.compile(
    rf"{_PATH}(?P<length>\s*\|\s*length)?(?:\s*(?P<operator>==|!=|<=|>=|<|>)\s*{_LITERAL})?(?P<no>\s*\|\s*not)?",
    re.ASCII,
)
_WITHIN: Final = re.compile(r"\$\{([^{}]{0,200})\}")
_JOINED: Final = re.compile(r"\s+(and|or)\s+")
_OPERATORS: Final = {
    "==": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
}
#: The data around a step needs no name; any other variable does.
_AROUND: Final = frozenset({"context", "input", "output"})


def condition(value: object) -> str:
    """`.amount > 1000 and .approved` becomes `amount is more than 1000 and approved is true`."""
    source = strip_expression(value) if isinstance(value, str) else ""
    if not source or len(source) > 300 or any(mark in source for mark in "()[]{}"):
        return f"`{expression(value)}`"
    pieces = _JOINED.split(source.strip())
    told = [piece if piece in ("and", "or") else _test(piece.strip()) for piece in pieces]
    if {"and", "or"} <= set(told) or None in told:
        return f"`{expression(value)}`"
    return " ".join(each for each in told if each is not None)


def _words(variable: str | None, path: str) -> str:
    words = [] if variable is None or variable in _AROUND else [variable]
    return " ".join([*words, *(part.replace("_", " ") for part in path.split(".") if part)])


def _test(source: str) -> str | None:
    found = _TEST.fullmatch(source)
    if found is None:
        return {"true": "always", "false": "never"}.get(source)
    words = _words(found["variable"], found["path"])
    if not words:
        return None
    what = f"the number of {words}" if found["length"] else words
    if found["operator"] is None:
        if found["length"]:
            return None
        return f"{what} is not true" if found["no"] else f"{what} is true"
    if found["no"]:
        return None
    literal = found["literal"]
    if literal == "null":
        return (
            f"{what} is missing"
            if found["operator"] == "=="
            else f"{what} is there"
            if found["operator"] == "!="
            else None
        )
    shown = f"“{visible(literal[1:-1])}”" if literal.startswith('"') else literal
    return f"{what} {_OPERATORS[found['operator']]} {shown}"


def named(value: object) -> str:
    """The words of a path such as `.order.total`; anything else is quoted."""
    source = strip_expression(value).strip() if isinstance(value, str) else ""
    found = _TEST.fullmatch(source)
    if found is None or found["operator"] or found["length"] or found["no"] or not source.strip("."):
        return f"`{expression(value)}`"
    return _words(found["variable"], found["path"]) or f"`{expression(value)}`"


def mixed(value: object) -> str:
    """A text in which expressions stand: `Dear ${ .name }` becomes `Dear [name]`."""
    return visible(_WITHIN.sub(lambda found: f"[{named(found[1]).strip('`')}]", str(value)[:500]), 120)
