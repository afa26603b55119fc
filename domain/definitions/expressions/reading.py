"""What a syntax tree tells about the data an expression reads, without evaluating it."""

from collections.abc import Iterator
from typing import Any

from .syntax import Tree


def members(tree: Tree, variable: str) -> Iterator[str | None]:
    """Names read as `$variable.name`; None where the tree does not tell the name."""
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        match node:
            case ("field" | "index", ("var", str(found)) | ("opt", ("var", str(found))), part) if (
                found == variable and (name := _constant(node[0], part)) is not None
            ):
                yield name
            case ("var", str(found)) if found == variable:
                yield None
            case tuple() | list():
                stack.extend(part for part in node if isinstance(part, tuple | list))
            case _:
                pass


def _constant(kind: str, part: Any) -> str | None:
    match kind, part:
        case "field", str(name):
            return name
        case "index", ("const", str(name)):
            return name
    return None


def needs_input(tree: Tree) -> bool:
    """False only where the result cannot depend on `.`; rather too often true."""
    match tree:
        case ("const" | "var", *_):
            return False
        case ("field", inner, str()) | ("collect" | "opt", inner) | ("pipe", inner, _):
            return needs_input(inner)
        case ("index", inner, part):
            return needs_input(inner) or needs_input(part)
        case ("binop", _, left, right) | ("alt", left, right):
            return needs_input(left) or needs_input(right)
        case ("str", None, list(parts)):
            return any(not isinstance(part, str) and needs_input(part) for part in parts)
    return True
