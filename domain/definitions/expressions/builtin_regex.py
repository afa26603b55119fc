"""Library: regular expressions, by RE2, which needs time linear in the text.

Linear still has a factor: RE2 falls back to simulating the whole program for every byte, so a search is
charged by text times program, unless the program is small enough for its automaton to stay in memory.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from .errors import Fault
from .library import stream, value
from .meter import Env, Run
from .nodes import Node
from .text import describe

MAX_PATTERN = 1_000
_SMALL_PROGRAM = 18
_MEMORY = 2 * 1024 * 1024


class Pattern(NamedTuple):
    """A compiled pattern; `names` are those of its groups in order, None where there is none."""

    compiled: Any
    size: int
    names: list[str | None]


class Match(NamedTuple):
    """One match: spans of the whole and of each group, in characters; None for a group that took no part."""

    spans: list[tuple[int, int] | None]


@lru_cache(maxsize=32)
def _compile(pattern: str, flags: str, ascii_only: bool) -> Pattern | str:
    """Return a compiled pattern, or what is wrong with it."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.case_sensitive = "i" not in flags
    options.longest_match = "l" in flags
    options.dot_nl = "p" in flags
    if ascii_only:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as problem:
        reason = problem.args[0] if problem.args else "it is not valid"
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    names: list[str | None] = [None] * compiled.groups
    for name, place in compiled.groupindex.items():
        names[place - 1] = name.decode() if isinstance(name, bytes) else name
    return Pattern(compiled, max(compiled.programsize, compiled.reverseprogramsize), names)


def prepare(run: Run, given: Any, pattern: Any, flags: Any) -> tuple[Pattern, bool, bool]:
    """Return a pattern and whether it is global and whether empty matches are left out."""
    if isinstance(pattern, list) and flags is None:
        pattern, flags = (*pattern, None, None)[:2]
    for part in (given, pattern):
        if not isinstance(part, str):
            raise Fault(f"{describe(part)} cannot be matched, as it is not a string")
    flags = "" if flags is None else flags
    if not isinstance(flags, str) or set(flags) - set("gixsnpl"):
        raise Fault(f"{describe(flags)} is not a valid modifier string")
    run.spend(len(flags))
    if len(pattern) > MAX_PATTERN:
        raise Fault(f"a regular expression may not be longer than {MAX_PATTERN} characters")
    if "x" in flags:
        pattern = _without_layout(pattern)
    run.spend(20 + len(pattern))
    if any("\ud800" <= character <= "\udfff" for character in pattern):
        raise Fault("the regular expression contains half of a surrogate pair")
    compiled = _compile(pattern, "".join(sorted({*flags} & {*"ilp"})), given.isascii() and pattern.isascii())
    if isinstance(compiled, str):
        run.spend(5_000)
        raise Fault(f"{pattern[:80]} (at offset 0) is not a valid regex: {compiled[:120]}")
    run.spend(compiled.size)
    return compiled, "g" in flags, "n" in flags


def _without_layout(pattern: str) -> str:
    """Drop white space and comments of an extended pattern."""
    out: list[str] = []
    place = 0
    in_class = False
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            out.append(pattern[place : place + 2])
            place += 2
            continue
        if character == "#" and not in_class:
            end = pattern.find("\n", place)
            place = len(pattern) if end < 0 else end + 1
            continue
        in_class = (in_class or character == "[") and character != "]"
        if in_class or not character.isspace():
            out.append(character)
        place += 1
    return "".join(out)


def matches(run: Run, given: str, pattern: Pattern, everywhere: bool, skip_empty: bool) -> Iterator[Match]:
    """Yield the matches from left to right, empty ones between others included."""
    run.text(2 * len(given))
    try:
        data = given.encode()
    except UnicodeEncodeError:
        raise Fault("the text contains half of a surrogate pair") from None
    narrow = len(data) == len(given)
    place = known_bytes = known_characters = 0
    while place <= len(data):
        found = _search(run, pattern, data, place)
        if found is None:
            return
        start, end = found.span(0)
        spans = [found.span(group) for group in range(len(pattern.names) + 1)]
        if start == end and skip_empty:
            place = _next(data, end)
            continue
        if narrow:
            yield Match([span if span[0] >= 0 else None for span in spans])
        else:
            known_characters += len(data[known_bytes:start].decode("utf-8", "replace"))
            known_bytes = start
            run.spend((end - start) >> 6)
            yield Match([_in_characters(data, span, known_bytes, known_characters) for span in spans])
        if not everywhere:
            return
        place = end if end > start else _next(data, end)


def _search(run: Run, pattern: Pattern, data: bytes, place: int) -> Any:
    rest = len(data) - place
    large = pattern.size > _SMALL_PROGRAM
    run.spend(8 + 2 * len(pattern.names) + (rest * pattern.size >> 7 if large else rest >> 8))
    found = pattern.compiled.search(data, place)
    if not large:
        end = found.end() if found is not None else len(data)
        run.spend((end - place) * pattern.size >> 7)
    return found


def _next(data: bytes, place: int) -> int:
    """Return where the next character begins."""
    place += 1
    while place < len(data) and data[place] & 0xC0 == 0x80:
        place += 1
    return place


def _in_characters(
    data: bytes, span: tuple[int, int], known_bytes: int, known_characters: int
) -> tuple[int, int] | None:
    if span[0] < 0:
        return None
    start = known_characters + len(data[known_bytes : span[0]].decode("utf-8", "replace"))
    return start, start + len(data[span[0] : span[1]].decode("utf-8", "replace"))


def _texts(given: str, found: Match) -> list[str | None]:
    return [given[span[0] : span[1]] if span is not None else None for span in found.spans]


def _as_object(given: str, pattern: Pattern, found: Match) -> dict[str, Any]:
    parts = [
        {
            "offset": span[0] if span is not None else -1,
            "length": span[1] - span[0] if span is not None else 0,
            "string": given[span[0] : span[1]] if span is not None else None,
        }
        for span in found.spans
    ]
    captures = [{**part, "name": name} for part, name in zip(parts[1:], pattern.names, strict=True)]
    return {**parts[0], "captures": captures}


def _named(given: str, pattern: Pattern, found: Match) -> dict[str, Any]:
    texts = _texts(given, found)[1:]
    return {name: part for name, part in zip(pattern.names, texts, strict=True) if name is not None}


def _test(run: Run, given: Any, pattern: Any, flags: Any = None) -> bool:
    compiled, _, skip_empty = prepare(run, given, pattern, flags)
    return next(matches(run, given, compiled, False, skip_empty), None) is not None


def _split(run: Run, given: Any, pattern: Any, flags: Any) -> list[str]:
    compiled, _, skip_empty = prepare(run, given, pattern, flags)
    parts = []
    last = 0
    for found in matches(run, given, compiled, True, skip_empty):
        span = found.spans[0]
        assert span is not None
        parts.append(given[last : span[0]])
        last = span[1]
    return [*parts, given[last:]]


value("test", 1)(_test)
value("test", 2)(_test)
value("split", 2)(_split)


def _each(
    given: Any, env: Env, pattern: Node, flags: Node | None, everywhere: bool = False
) -> Iterator[tuple[Pattern, Match]]:
    run = env.run
    for modifiers in flags.many(given, env) if flags is not None else (None,):
        for wanted in pattern.many(given, env):
            compiled, is_global, skip_empty = prepare(run, given, wanted, modifiers)
            for found in matches(run, given, compiled, is_global or everywhere, skip_empty):
                yield compiled, found


@stream("match", 1)
@stream("match", 2)
def match(given: Any, env: Env, pattern: Node, flags: Node | None = None) -> Iterator[Any]:
    """Yield a description of every match."""
    for compiled, found in _each(given, env, pattern, flags):
        yield _as_object(given, compiled, found)


@stream("capture", 1)
@stream("capture", 2)
def capture(given: Any, env: Env, pattern: Node, flags: Node | None = None) -> Iterator[Any]:
    """Yield the named groups of every match."""
    for compiled, found in _each(given, env, pattern, flags):
        yield _named(given, compiled, found)


@stream("scan", 1)
@stream("scan", 2)
def scan(given: Any, env: Env, pattern: Node, flags: Node | None = None) -> Iterator[Any]:
    """Yield the text of every match, or of its groups."""
    for compiled, found in _each(given, env, pattern, flags, everywhere=True):
        texts = _texts(given, found)
        yield texts[1:] if compiled.names else texts[0]


@stream("sub", 2)
@stream("sub", 3)
def sub(given: Any, env: Env, pattern: Node, new: Node, flags: Node | None = None) -> Iterator[Any]:
    """Yield the text with the first match (flag g: every match) replaced."""
    return _replaced(given, env, pattern, new, flags, everywhere=False)


@stream("gsub", 2)
@stream("gsub", 3)
def gsub(given: Any, env: Env, pattern: Node, new: Node, flags: Node | None = None) -> Iterator[Any]:
    """Yield the text with every match replaced."""
    return _replaced(given, env, pattern, new, flags, everywhere=True)


def _replaced(
    given: Any, env: Env, pattern: Node, new: Node, flags: Node | None, *, everywhere: bool
) -> Iterator[Any]:
    run = env.run
    for modifiers in flags.many(given, env) if flags is not None else (None,):
        for wanted in pattern.many(given, env):
            compiled, is_global, skip_empty = prepare(run, given, wanted, modifiers)
            results: list[list[str]] = []
            last = size = 0
            for found in matches(run, given, compiled, is_global or everywhere, skip_empty):
                span = found.spans[0]
                assert span is not None
                gap = given[last : span[0]]
                for place, text in enumerate(new.many(_named(given, compiled, found), env)):
                    if not isinstance(text, str):
                        raise Fault(f"{describe(text)} cannot be added to a string")
                    size += len(gap) + len(text)
                    run.spend(2 + (len(gap) + len(text) >> 8))
                    if place == len(results):
                        results.append([])
                    results[place].extend((gap, text))
                last = span[1]
            run.text(size + len(given))
            if not results:
                yield given
            for parts in results:
                yield "".join(parts) + given[last:]
