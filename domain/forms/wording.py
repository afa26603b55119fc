"""A value in the words of its form: titles instead of names, labels instead of the values they stand for."""

from domain.definitions.values import Json

from .fields import Field, Kind
from .reading import same


def worded(field: Field, value: Json) -> Json:
    """Members that have a field come first, in its order; what has none keeps its name."""
    if field.kind is Kind.GROUP and isinstance(value, dict):
        known = {member.key: member for member in field.members}
        told: dict[str, Json] = {}
        for key in (*(key for key in known if key in value), *(key for key in value if key not in known)):
            title = known[key].title if key in known else key
            inner = worded(known[key], value[key]) if key in known else value[key]
            told[title if title not in told else f"{title} ({key})"] = inner  # nothing hides behind a title
        return told
    if field.kind is Kind.LIST and field.item is not None and isinstance(value, list):
        return [worded(field.item, each) for each in value]
    if field.kind is Kind.SEVERAL and isinstance(value, list):
        return [_label(field, each) for each in value]
    return _label(field, value) if field.kind is Kind.CHOICE else value


def _label(field: Field, value: Json) -> Json:
    return next((option.label for option in field.options if same(value, option.value)), value)
