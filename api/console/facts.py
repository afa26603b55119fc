"""JSON values as people read them: words beside their names, lists of alike things as tables; the rest as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.console.jsonview import JsonView, json_view
from domain.forms.hints import label_of

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


def facts_of(value: Any, titles: Mapping[str, str] = {}) -> Sequence[Fact]:  # read only
    """The members of an object; nothing where only JSON will do.

    They stand in the order of `titles`, which name them; others short ones first, for databases keep no order.
    """
    if not isinstance(value, dict) or len(value) > MOST_FACTS:
        return ()
    named = [_fact(title, value[name]) for name, title in titles.items() if name in value]
    others = [_fact(label_of(name, {}), each) for name, each in value.items() if name not in titles]
    return [*named, *sorted(others, key=lambda fact: not fact.text)]


def _fact(label: str, value: Any) -> Fact:
    if not isinstance(value, dict | list):
        return Fact(label, _text(value))
    if isinstance(value, dict) and value and _is_flat(value):
        return Fact(
            label, columns=("", ""), rows=[(label_of(key, {}), _text(each)) for key, each in value.items()]
        )
    if isinstance(value, list) and value and not any(isinstance(each, dict | list) for each in value):
        return Fact(label, ", ".join(map(_text, value)))
    return _table(label, value) or Fact(label, view=json_view(value))


def _table(label: str, value: Any) -> Fact | None:
    """A list of objects that have the same few members."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_ROWS:
        return None
    if not all(isinstance(each, dict) and _is_flat(each) for each in value):
        return None
    names = list(dict.fromkeys(name for each in value for name in each))
    if not 0 < len(names) <= _MOST_COLUMNS:
        return None
    rows = [[_text(each[name]) if name in each else "" for name in names] for each in value]
    return Fact(label, columns=[label_of(name, {}) for name in names], rows=rows)


def _is_flat(value: Mapping[str, Any]) -> bool:
    return len(value) <= MOST_FACTS and not any(isinstance(each, dict | list) for each in value.values())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return "none" if value is None or value == "" else str(value)
