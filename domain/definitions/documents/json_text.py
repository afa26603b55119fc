"""JSON as events: strict RFC 8259, with the place of every token; the standard parser keeps no places."""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder

from domain.definitions.documents.builder import Event, Position, Unreadable

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"[A-Za-z_]+")
_LONGEST_NUMBER = 400
_STRINGS = JSONDecoder()


def json_events(text: str) -> Iterator[Event]:
    """Raises `Unreadable` at the first character that cannot stand where it stands."""
    return _Reader(text).events()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 1 if text.startswith("\ufeff") else 0
        self.line = 1
        self.line_start = self.at
        self.counted = self.at

    def events(self) -> Iterator[Event]:
        open_containers: list[str] = []
        self._skip()
        while True:
            if open_containers and self._peek() == open_containers[-1]:
                # Only directly after the opening bracket: a comma demands another member.
                yield self._close(open_containers)
            else:
                if open_containers and open_containers[-1] == "}":
                    yield self._key()
                event = self._value()
                yield event
                if event.kind in ("object", "array"):
                    open_containers.append("}" if event.kind == "object" else "]")
                    self._skip()
                    continue
            while open_containers:
                self._skip()
                if self._peek() == ",":
                    self.at += 1
                    self._skip()
                    if self._peek() == open_containers[-1]:
                        raise self._wrong("the comma before the closing bracket must go")
                    break
                if self._peek() != open_containers[-1]:
                    raise self._wrong(f"expected `,` or `{open_containers[-1]}`")
                yield self._close(open_containers)
            else:
                self._skip()
                if self.at < len(self.text):
                    raise self._wrong("nothing may follow the document")
                return

    def _close(self, open_containers: list[str]) -> Event:
        event = Event("end", self._position())
        open_containers.pop()
        self.at += 1
        return event

    def _key(self) -> Event:
        at = self._position()
        if self._peek() != '"':
            raise self._wrong("expected a key in double quotes")
        name = self._string()
        self._skip()
        if self._peek() != ":":
            raise self._wrong("expected `:` after the key")
        self.at += 1
        self._skip()
        return Event("key", at, name)

    def _value(self) -> Event:
        at = self._position()
        character = self._peek()
        if character in ("{", "["):
            self.at += 1
            return Event("object" if character == "{" else "array", at)
        if character == '"':
            return Event("scalar", at, self._string())
        if number := _NUMBER.match(self.text, self.at):
            return Event("scalar", at, self._number(number))
        word = _WORD.match(self.text, self.at)
        if word is not None and word[0] in _WORDS:
            self.at = word.end()
            return Event("scalar", at, _WORDS[word[0]])
        raise self._wrong("expected a value" if character else "the text ends too early")

    def _number(self, match: re.Match[str]) -> int | float:
        if len(match[0]) > _LONGEST_NUMBER:
            raise Unreadable(
                "This number is too long; write it as text.",
                self._position(),
                code="bad_value",
            )
        self.at = match.end()
        return float(match[0]) if match[1] or match[2] else int(match[0])

    def _string(self) -> str:
        try:
            value, self.at = _STRINGS.raw_decode(self.text, self.at)
        except JSONDecodeError as error:
            self.at = error.pos
            raise self._wrong(f"in this text: {error.msg.lower().removesuffix(' at')}") from None
        return str(value)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _position(self) -> Position:
        # Counted forward from the last answer, so that the whole text is counted once.
        lines = self.text.count("\n", self.counted, self.at)
        if lines:
            self.line += lines
            self.line_start = self.text.rfind("\n", self.counted, self.at) + 1
        self.counted = self.at
        return Position(self.line, self.at - self.line_start + 1)

    def _wrong(self, what: str) -> Unreadable:
        return Unreadable(f"This is not valid JSON: {what}.", self._position())
