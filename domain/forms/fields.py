"""The parts of a form: what kind of control a field is, and everything a page writes beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum, StrEnum

from domain.definitions.pointers import join
from domain.definitions.schemas import Schema
from domain.definitions.values import Json

#: Names of inputs are this, followed by the JSON pointer of what they hold.
ROOT = "data"

#: What a browser posts: every name with its texts, in order.
Sent = Mapping[str, Sequence[str]]


class Absent(Enum):
    """No value, which differs from null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT
Maybe = Json | Absent


class Kind(StrEnum):
    GROUP = "group"
    LIST = "list"
    SEVERAL = "several"
    """Any number of the options: check boxes."""
    CHOICE = "choice"
    TICK = "tick"
    """One check box: the options' first value when ticked, otherwise the second, or nothing."""
    FIXED = "fixed"
    """One possible value, shown and not asked for."""
    TEXT = "text"
    LINES = "lines"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    MOMENT = "moment"
    EMAIL = "email"
    URI = "uri"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Option:
    """`token` is what a browser posts for `value`."""

    token: str
    label: str
    value: Json


@dataclass(frozen=True, slots=True)
class Field:
    """One control, or a group or list of them.

    `demanded` says that a browser may insist on it: it is required, and so is everything around it.
    `default` is what it comes with, `blank` the value it has when required and left empty.
    `most` and `least` bound the rows of a list; `schema` is the text shown beside a JSON area.
    """

    key: str
    title: str
    kind: Kind
    description: str = ""
    required: bool = False
    demanded: bool = False
    default: Maybe = ABSENT
    blank: Maybe = ABSENT
    hints: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    members: tuple["Field", ...] = ()
    item: "Field | None" = None
    least: int = 0
    most: int = 0
    schema: str = ""

    def below(self, name: str, inner: "Field | int") -> str:
        """The name of a member or of a row of what is called `name`."""
        return join(name, inner if isinstance(inner, int) else inner.key)


@dataclass(frozen=True, slots=True)
class Form:
    """`compiled` is None where the schema cannot be used; `refusal` says why."""

    root: Field
    zone: tzinfo
    compiled: Schema | None
    refusal: str = ""

    def titled(self, pointer: str) -> str:
        """Where in the form a problem is, in its own words: "Owners 2, Share"; empty for all of it."""
        words: list[str] = []
        field: Field | None = self.root
        for token in pointer.split("/")[1:]:
            if field is not None and field.kind is Kind.LIST:
                words[-1:] = [f"{words[-1]} {int(token) + 1}" if words else f"Row {int(token) + 1}"]
                field = field.item
                continue
            name = token.replace("~1", "/").replace("~0", "~")
            members = field.members if field is not None else ()
            field = next((each for each in members if each.key == name), None)
            if field is not None:
                words.append(field.title)
        return ", ".join(words)
