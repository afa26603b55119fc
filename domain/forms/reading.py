"""From what a browser posted to the value, with every problem at the field that has it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.definitions.pointers import join
from domain.definitions.schemas import SchemaProblem
from domain.definitions.values import Json, ValueRefused, canonical, check_value, quote
from domain.errors import Problem

from .fields import ABSENT, ROOT, Field, Form, Kind, Maybe, Sent
from .filled import Filled
from .flattening import TooMuch
from .typed import NotSo, is_blank, parse
from .weighing import MOST_CONTROLS, weight

#: The button that asks for another row of the list it names.
MORE = "more"
_DEEPEST = 24
_TOO_MUCH = Problem(
    "", "This is more than the form can show.", "Send it in parts, or through the API.", "too_large"
)
_MISSING = {
    Kind.CHOICE: "Choose one.",
    Kind.TICK: "Tick this box to go on.",
    Kind.GROUP: "Fill in at least one of these.",
}


def read(form: Form, sent: Sent) -> Filled:
    """The value of a filled-in form; names that belong to no field are ignored."""
    reader = _Reader(form, next(iter(sent.get(MORE, ())), ""))
    try:
        part = reader.field(form.root, _tree(sent), ROOT)
    except TooMuch:
        return Filled(None, (_TOO_MUCH,))
    if reader.more:
        return Filled(None, (), reader.texts, reader.rows, reader.more)
    if form.compiled is None:
        reason = f"The schema of this form cannot be used: {form.refusal}"
        refused = Problem("", reason, "Mend the definition that asks for it.", "schema")
        return Filled(None, (refused,), reader.texts, reader.rows)
    problems = list(part.problems)
    value: Json = None
    if part.value is not ABSENT:
        try:
            value = check_value(part.value, max_bytes=262_144)
            found = form.compiled.problems(value)
        except ValueRefused as refusal:
            found = [SchemaProblem(refusal.pointer, refusal.message, None)]
        problems += reader.placed(found, problems)
    problems.sort(key=lambda problem: reader.names[ROOT + problem.pointer])
    return Filled(value, tuple(problems), reader.texts, reader.rows)


@dataclass(slots=True)
class _Node:
    """What was posted under one name, and under longer ones that begin with it."""

    texts: Sequence[str] = ()
    inner: dict[str, "_Node"] = field(default_factory=dict)


_NOTHING = _Node()


def _tree(sent: Sent) -> _Node:
    top = _Node()
    for name, texts in sent.items():
        tokens = name.split("/")
        if tokens[0] != ROOT or len(tokens) > _DEEPEST:
            continue
        node = top
        for token in tokens[1:]:
            node = node.inner.setdefault(token.replace("~1", "/").replace("~0", "~"), _Node())
        node.texts = texts
    return top


@dataclass(frozen=True, slots=True)
class _Part:
    """A field's value; `touched` when somebody gave another answer than the one it came with."""

    value: Maybe
    touched: bool = False
    problems: tuple[Problem, ...] = ()


class _Reader:
    def __init__(self, form: Form, more: str) -> None:
        self.zone = form.zone
        self.more = more
        self.texts: dict[str, tuple[str, ...]] = {}
        self.rows: dict[str, int] = {}
        #: What was met, in the order in which a page shows it.
        self.names: dict[str, int] = {ROOT: 0}
        self.described: set[str] = set()
        self.left = 2 * MOST_CONTROLS

    def draws(self, controls: int) -> None:
        """Count what the page would have to show again; no page of ours sends as much."""
        self.left -= controls
        if self.left < 0:
            raise TooMuch

    def field(self, asked: Field, node: _Node, name: str) -> _Part:
        self.names.setdefault(name, len(self.names))
        if asked.description:
            self.described.add(name)
        if asked.kind is Kind.GROUP:
            return self.group(asked, node, name)
        if asked.kind is Kind.LIST:
            return self.listed(asked, node, name)
        self.draws(1)
        if asked.kind is Kind.FIXED:
            return _Part(asked.options[0].value)
        self.texts[name] = tuple(node.texts)
        if asked.kind is Kind.SEVERAL:
            return self.several(asked, node, name)
        text = node.texts[-1] if node.texts else ""
        if asked.kind is Kind.TICK:
            return self.tick(asked, text, name, is_posted=bool(node.texts))
        if is_blank(text):
            return _blank(asked, name)
        if asked.kind is Kind.CHOICE:
            for option in asked.options:
                if option.token == text:
                    return _Part(option.value, not same(option.value, asked.default))
            return _wrong(text, name, "Choose one of the options; this was none of them.")
        try:
            value = parse(asked.kind, text, self.zone)
        except NotSo as expected:
            return _wrong(text, name, str(expected))
        return _Part(value, not same(value, asked.default))

    def tick(self, asked: Field, text: str, name: str, *, is_posted: bool) -> _Part:
        on, *off = asked.options
        if text == on.token:
            return _Part(on.value, not same(on.value, asked.default))
        if not off or (not is_posted and not asked.required):
            return _blank(asked, name)
        return _Part(off[0].value, is_posted and not same(off[0].value, asked.default))

    def several(self, asked: Field, node: _Node, name: str) -> _Part:
        tokens = {text for text in node.texts if text}
        chosen = [option for option in asked.options if option.token in tokens]
        if len({option.token for option in chosen}) < len(tokens):
            return _wrong([*tokens], name, "Choose among the options; one of these was none of them.")
        value: Json = [option.value for option in chosen]
        if not chosen:
            return _Part([] if asked.required else ABSENT)
        return _Part(value, not same(value, asked.default))

    def group(self, asked: Field, node: _Node, name: str) -> _Part:
        value: dict[str, Json] = {}
        problems: list[Problem] = []
        touched = False
        for member in asked.members:
            part = self.field(member, node.inner.get(member.key, _NOTHING), join(name, member.key))
            touched |= part.touched
            problems += part.problems
            if part.value is not ABSENT:
                value[member.key] = part.value
        if not touched and (not asked.required or asked.blank is not ABSENT):
            return _Part(asked.blank if asked.required else ABSENT)
        return _Part(value, touched, tuple(problems))

    def listed(self, asked: Field, node: _Node, name: str) -> _Part:
        """Rows nobody touched are left out, unless a row is being added: then everything stays where it is."""
        assert asked.item is not None
        posted = sorted(
            (int(row), row) for row in node.inner if row.isascii() and row.isdecimal() and len(row) < 10
        )
        value: list[Json] = []
        problems: list[Problem] = []
        for _, row in posted:
            place = join(name, len(value))
            before = set(self.texts)
            part = self.field(asked.item, node.inner[row], place)
            if part.touched or self.more:
                value.append(None if part.value is ABSENT else part.value)
                problems += part.problems
            else:
                for each in self.texts.keys() - before:
                    del self.texts[each]
        rows = max(asked.least, len(value), 1)
        if name == self.more and rows < asked.most:
            rows += 1
        self.rows[name] = rows
        self.draws((rows - len(value)) * weight(asked.item))
        if not value:
            return _Part(asked.blank if asked.required else ABSENT)
        return _Part(value, not same(value, asked.default), tuple(problems))

    def placed(self, found: Sequence[SchemaProblem], known: Sequence[Problem]) -> list[Problem]:
        """What the schema says beyond what is said already, at the fields people see."""
        taken = {problem.pointer for problem in known}
        missing = {(parent, f"{quote(key)} is missing") for parent, key in map(_split, taken)}
        told = []
        for each in found:
            if each.pointer in taken or (each.pointer, each.message) in missing:
                continue
            told.append(self.at_field(each))
        return told

    def at_field(self, found: SchemaProblem) -> Problem:
        pointer, message = found.pointer, found.message
        if found.keyword == "pattern" and ROOT + pointer in self.described:
            message = "does not fit its description"
        while ROOT + pointer not in self.names and pointer:
            pointer = pointer.rpartition("/")[0]
        if pointer != found.pointer:
            message = f"{found.pointer[len(pointer) :]} {message}"
        return Problem(
            pointer, _sentence(message), found.suggestion and _sentence(found.suggestion), "schema"
        )


def _blank(asked: Field, name: str) -> _Part:
    if not asked.required:
        return _Part(ABSENT)
    if asked.blank is not ABSENT:
        return _Part(asked.blank)
    said = _MISSING.get(asked.kind, "Fill this in.")
    return _Part(ABSENT, problems=(Problem(name.removeprefix(ROOT), said, None, "missing"),))


def _wrong(given: Json, name: str, expected: str) -> _Part:
    """What was given stays in its place, so that what follows keeps its number."""
    return _Part(given, True, (Problem(name.removeprefix(ROOT), expected, None, "schema"),))


def same(value: Json, default: Maybe) -> bool:
    """Equal as JSON: 1 is not true."""
    if default is ABSENT or isinstance(value, str) or isinstance(default, str):
        return value == default
    try:
        return canonical(value) == canonical(default)
    except ValueRefused:
        return False


def _split(pointer: str) -> tuple[str, str]:
    parent, _, token = pointer.rpartition("/")
    return parent, token.replace("~1", "/").replace("~0", "~")


def _sentence(message: str) -> str:
    text = message[:1].upper() + message[1:]
    return text if text.endswith((".", "?", "…")) else f"{text}."


__all__ = ["MORE", "read", "same"]
