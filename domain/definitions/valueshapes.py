"""The outline of a value: which members it has and of what types, without the data. For editors and pickers."""

from itertools import islice

from domain.definitions.values import Json

MAX_LEVELS = 5
MAX_MEMBERS = 50

_TYPES: dict[type, str] = {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}


def outline(value: Json, levels: int = MAX_LEVELS) -> dict[str, Json]:
    """`{type}`, of an object also `members` by name, of an array `length` and the outline of its first item.

    Never larger than levels and members allow; `more` counts the members that were left out.
    """
    if isinstance(value, dict):
        if levels == 0:
            return {"type": "object"}
        members: dict[str, Json] = {
            name: outline(member, levels - 1) for name, member in islice(value.items(), MAX_MEMBERS)
        }
        left_out: dict[str, Json] = {"more": len(value) - len(members)} if len(value) > len(members) else {}
        return {"type": "object", "members": members, **left_out}
    if isinstance(value, list):
        inside: dict[str, Json] = {"items": outline(value[0], levels - 1)} if value and levels else {}
        return {"type": "array", "length": len(value), **inside}
    return {"type": _TYPES[type(value)]}
