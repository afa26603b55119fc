"""JSON values as people read them: words beside their names, lists of alike things as tables; the rest as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from api.console.frame.jsonview import JsonView, json_view
from domain.forms import Form, worded
from domain.forms.hints import label_of

#: How a page calls the member of an object.
Called: TypeAlias = Callable[[str], str]

#: An object of more members is shown as JSON.
MOST_FACTS: Final = 40
_MOST_ROWS: Final = 30
_MOST_COLUMNS: Final = 6


@dataclass(frozen=True, slots=True)
class Fact:
    """One member of an object: a text, or a table, or JSON."""

    label: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    view: JsonView | None = None


def facts_of(value: Any) -> Sequence[Fact]:
    """The members of an object, short ones first, for databases keep no order; nothing where only JSON will do."""
    return sorted(_facts(value, lambda name: label_of(name, {})), key=lambda fact: not fact.text)


def answers_of(form: Form, value: Any) -> Sequence[Fact]:
    """The same in the words and the order of the form it was filled into."""
    return _facts(worded(form.root, value), str)


def _facts(value: Any, called: Called) -> Sequence[Fact]:
    if not isinstance(value, dict) or len(value) > MOST_FACTS:
        return ()
    return [_fact(called(name), each, called) for name, each in value.items()]


def _fact(label: str, value: Any, called: Called) -> Fact:
    if not isinstance(value, dict | list):
        return Fact(label, _text(value))
    if isinstance(value, dict) and value and _is_flat(value):
        return Fact(
            label, columns=("", ""), rows=[(called(name), _text(each)) for name, each in value.items()]
        )
    if isinstance(value, list) and value and not any(isinstance(each, dict | list) for each in value):
        return Fact(label, ", ".join(map(_text, value)))
    return _table(label, value, called) or Fact(label, view=json_view(value))


def _table(label: str, value: Any, called: Called) -> Fact | None:
    """A list of objects that have the same few members."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ROWS:
        return None
    if not all(isinstance(each, dict) and _is_flat(each) for each in value):
        return None
    names = list(dict.fromkeys(name for each in value for name in each))
    if not 0 < len(names) <= _MOST_COLUMNS:
        return None
    rows = [[_text(each[name]) if name in each else "" for name in names] for each in value]
    return Fact(label, columns=[called(name) for name in names], rows=rows)


def _is_flat(value: Mapping[str, Any]) -> bool:
    return len(value) <= MOST_FACTS and not any(isinstance(each, dict | list) for each in value.values())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return "none" if value is None or value == "" else str(value)
