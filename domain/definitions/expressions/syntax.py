"""From source text to a syntax tree, with every way of exhausting the parser closed.

The parser is the pinned purejq's. It recurses, and its own limit still needs most of Python's stack, so this
subclass counts frames by weight and stops earlier; a flat chain of operators makes a deep tree without any
recursion in the parser, so the finished tree is measured as well.
"""

import re
from typing import Any

from purejq.errors import JqParseError
from purejq.lexer import lex
from purejq.parser import Parser

from .errors import ExpressionError

MAX_SOURCE = 8_192
MAX_TREE_DEPTH = 140
MAX_NESTED_MARKS = 60
_FRAMES = 520
_TOO_DEEP = "It nests too deeply; bind parts of it to variables or split it into steps."

_LOADING = frozenset({"import", "include"})

Tree = tuple[Any, ...]


class _CountingParser(Parser):
    """The parser of purejq with a budget of stack frames."""

    def __init__(self, tokens: list[Any], used: int = 0) -> None:
        super().__init__(tokens)  # type: ignore[no-untyped-call]  # purejq is not annotated
        self.used = used

    def program(self) -> Tree:
        """Return the tree of the whole text."""
        tree: Tree = super().parse_program()  # type: ignore[no-untyped-call]  # purejq is not annotated
        return tree

    def parse_pipe(self) -> Any:
        return self._within(6, super().parse_pipe)

    def parse_alt(self) -> Any:
        return self._within(2, super().parse_alt)

    def parse_unary(self, allow_as: bool = True) -> Any:
        return self._within(3, super().parse_unary, allow_as)

    def parse_primary(self) -> Any:
        return self._within(10, super().parse_primary)

    def parse_pattern(self) -> Any:
        return self._within(3, super().parse_pattern)

    def parse_postfix(self, allow_as: bool = True) -> Any:
        """Read a term and what follows it; the `?` after a step forgives that step and none before it."""
        node = self.parse_primary()
        while True:
            stepped = self._step(node)
            if stepped is None:
                if not self._takes("?"):
                    return node
                node = ("opt", node)
            else:
                node = _forgiving(stepped) if self._takes("?") else stepped

    def _step(self, node: Tree) -> Tree | None:
        """Read one of .name, ."text" and [...] after a term, or nothing."""
        kind, word, _ = self.toks[self.pos]
        if kind == "FIELD":
            self.pos += 1
            return ("field", node, word)
        if (kind, word) == ("OP", "."):
            after, mark, _ = self.toks[self.pos + 1]
            if after == "STR":
                self.pos += 2
                return ("index", node, self._str_node(mark, None))
            if (after, mark) != ("OP", "["):
                return None
            self.pos += 1
        if not self._takes("["):
            return None
        stepped: Tree = self._parse_bracket(node)  # type: ignore[no-untyped-call]  # purejq is not annotated
        return stepped

    def parse_object(self) -> Tree:
        """Read the members of an object; a comma may follow the last."""
        entries: list[Any] = []
        while not self._takes("}"):
            entries.append(self._parse_object_entry())  # type: ignore[no-untyped-call]  # purejq, as above
            if not self._takes(","):
                self.expect("OP", "}")  # type: ignore[no-untyped-call]  # purejq, as above
                break
        return ("object", entries)

    def _takes(self, word: str) -> bool:
        found: bool = self.toks[self.pos][:2] == ("OP", word)
        self.pos += found
        return found

    def _within(self, frames: int, parse: Any, *arguments: Any) -> Any:
        self.used += frames
        if self.used > _FRAMES:
            raise RecursionError
        try:
            return parse(*arguments)
        finally:
            self.used -= frames

    def _str_node(self, parts: list[Any], fmt: str | None) -> Tree:
        out: list[Any] = []
        for part in parts:
            if isinstance(part, str):
                out.append(part)
            else:
                out.append(_CountingParser(part[1], self.used + 3).program())
        if fmt is None and all(isinstance(part, str) for part in out):
            return ("const", "".join(out))
        return ("str", fmt, out)


def _forgiving(step: Tree) -> Tree:
    """Return a step whose own failure is no result; what it starts from and its keys may still fail."""
    kind, base, *keys = step
    if base[0] in ("identity", "var") and all(_cannot_fail(key) for key in keys):
        return ("opt", step)
    names = [key if _cannot_fail(key) else ("var", f"key {place}") for place, key in enumerate(keys)]
    tree: Tree = ("pipe", base, ("opt", (kind, ("identity",), *names)))
    for name, key in zip(names, keys, strict=True):
        if name is not key:  # no program can spell such a name
            tree = ("as", key, [("pvar", name[1])], tree)
    return tree


def _cannot_fail(key: Any) -> bool:
    return key is None or isinstance(key, str) or key[0] == "const"


_MARKS = re.compile(r'\\\(|\\.|["()]', re.DOTALL)


def _texts_within_texts(source: str) -> int:
    """Return how deeply interpolations nest; purejq reads each level again, so many are slow too."""
    inside: list[str] = []
    deepest = 0
    for found in _MARKS.finditer(source):
        mark = found.group()
        in_text = bool(inside) and inside[-1] == '"'
        if mark == '"':
            if in_text:
                inside.pop()
            else:
                inside.append(mark)
        elif in_text and mark == "\\(":
            inside.append(mark)
            deepest = max(deepest, len(inside))
        elif not in_text and mark == "(":
            inside.append(mark)
        elif not in_text and mark == ")" and inside:
            inside.pop()
    return deepest


def _lex(source: str) -> list[Any]:
    if _texts_within_texts(source) > MAX_NESTED_MARKS:
        raise RecursionError
    tokens: list[Any] = lex(source)  # type: ignore[no-untyped-call]  # purejq is not annotated
    return tokens


def parse(source: str) -> Tree:
    """Return the syntax tree of an expression; raises ExpressionError of kind syntax or forbidden."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"It is longer than {MAX_SOURCE} characters.", source[:200], "limit")
    if not source.strip():
        raise ExpressionError("It is empty; write . for the whole input.", source, "syntax")
    tokens: list[Any] = []
    try:
        tokens = _lex(source)
        tree: Tree = _CountingParser(tokens).program()
    except JqParseError as problem:
        loading = next((word for kind, word, _ in tokens if kind == "KW" and word in _LOADING), None)
        if loading:
            message = f"`{loading}` is not available: modules cannot be loaded."
            raise ExpressionError(message, source, "forbidden") from None
        told, position = _sentence(problem, tokens, source)
        raise ExpressionError(f"It is not valid jq: {told}.", source, "syntax", position) from None
    except RecursionError:
        raise ExpressionError(_TOO_DEEP, source, "syntax") from None
    except (ValueError, IndexError):
        # purejq reads numbers with int(), which refuses thousands of digits, and looks one token ahead
        # without asking whether there is one.
        raise ExpressionError(
            "It is not valid jq: it ends early or has a malformed number.", source, "syntax"
        ) from None
    if tree_depth(tree) > MAX_TREE_DEPTH:
        raise ExpressionError(_TOO_DEEP, source, "syntax")
    return tree


def tree_depth(tree: Tree) -> int:
    """Return the height of a tree, without recursion."""
    deepest = 0
    stack: list[tuple[Any, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, tuple) and node and isinstance(node[0], str):
            depth += 1
            deepest = max(deepest, depth)
        if isinstance(node, tuple | list):
            stack.extend((part, depth) for part in node if isinstance(part, tuple | list))
    return deepest


_KINDS = re.compile(r"\b(?:OP|KW|IDENT|EOF|FIELD|VAR|STR|NUM|FORMAT) (?='|the end)")
_POSITION = re.compile(r",? ?(?:at|starting at|near) position ([0-9]+)")


def _sentence(problem: JqParseError, tokens: list[Any], source: str) -> tuple[str, int | None]:
    """Return what purejq says as part of a sentence, and the position it speaks of."""
    text = str(problem).replace("None", "the end")
    found = _POSITION.search(text)
    if found is not None:
        text = _POSITION.sub("", text)
    text = _KINDS.sub("", text)
    told = text[0].lower() + text[1:200] if text else "it cannot be read"
    if found is None:
        return told, None
    position = int(found[1])
    if "the end" in told:
        return told.replace("unexpected token the end", "it ends where more is needed"), position
    return told, _beginning(position, tokens, source) if tokens else position


def _beginning(end: int, tokens: list[Any], source: str) -> int:
    """Return where the token begins that purejq names by where it ends."""
    before = max((token[2] for token in tokens if token[2] < end), default=0)
    return before + len(source[before:end]) - len(source[before:end].lstrip())
