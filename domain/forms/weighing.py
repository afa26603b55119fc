"""How large a form is when it is new: a schema of a few words may ask for more rows than any page should draw."""

from .fields import ABSENT, Field, Kind, Maybe

#: About as many controls are drawn in a sixth of a second.
MOST_CONTROLS = 2_000
#: So many options of a choice weigh as much as a control.
_OPTIONS = 20


def weight(asked: Field, value: Maybe = ABSENT) -> int:
    """Controls of a field with its defaults; counting ends somewhere beyond MOST_CONTROLS."""
    if value is ABSENT:
        value = asked.default
    total = 1 + len(asked.options) // _OPTIONS
    if asked.kind is Kind.GROUP:
        held = value if isinstance(value, dict) else {}
        for member in asked.members:
            total += weight(member, held.get(member.key, ABSENT))
            if total > MOST_CONTROLS:
                break
    elif asked.kind is Kind.LIST:
        assert asked.item is not None
        rows = value if isinstance(value, list) else []
        total += max(asked.least - len(rows), 0 if rows else 1) * weight(asked.item)
        for row in rows:
            total += weight(asked.item, row)
            if total > MOST_CONTROLS:
                break
    return total
