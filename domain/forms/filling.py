"""From a value to what stands in the controls: the defaults of a new form, or what somebody gave before."""

from domain.definitions.pointers import join
from domain.definitions.values import Json

from .fields import ABSENT, ROOT, Field, Form, Kind, Maybe, Option
from .filled import Filled
from .reading import same
from .typed import text_of


def filled_with(form: Form, value: Maybe = ABSENT) -> Filled:
    """The form with a value in it, or with its defaults; members without a field are not shown."""
    filler = _Filler(form)
    filler.field(form.root, value, ROOT, is_new=value is ABSENT)
    return Filled(None if value is ABSENT else value, texts=filler.texts, rows=filler.rows)


class _Filler:
    def __init__(self, form: Form) -> None:
        self.zone = form.zone
        self.texts: dict[str, tuple[str, ...]] = {}
        self.rows: dict[str, int] = {}

    def field(self, asked: Field, value: Maybe, name: str, *, is_new: bool) -> None:
        if value is ABSENT and is_new:
            value = asked.default
        if asked.kind is Kind.GROUP:
            held = value if isinstance(value, dict) else {}
            for member in asked.members:
                self.field(member, held.get(member.key, ABSENT), join(name, member.key), is_new=is_new)
        elif asked.kind is Kind.LIST:
            assert asked.item is not None
            rows: list[Maybe] = [*value] if isinstance(value, list) else []
            self.rows[name] = max(asked.least, len(rows), 1)
            rows += [ABSENT] * (self.rows[name] - len(rows))
            for number, row in enumerate(rows):
                self.field(asked.item, row, join(name, number), is_new=is_new or row is ABSENT)
        elif value is not ABSENT and asked.kind is not Kind.FIXED:
            self.texts[name] = self.shown(asked, value)

    def shown(self, asked: Field, value: Json) -> tuple[str, ...]:
        if asked.kind is Kind.SEVERAL:
            chosen = value if isinstance(value, list) else []
            return tuple(token for each in chosen if (token := _token(asked.options, each)))
        if asked.kind in (Kind.CHOICE, Kind.TICK):
            return (_token(asked.options, value),)
        return (text_of(asked.kind, value, self.zone),)


def _token(options: tuple[Option, ...], value: Json) -> str:
    return next((option.token for option in options if same(value, option.value)), "")
