"""In which order people write the members of a definition; what is stored has forgotten it."""

from typing import Any, Final

_WORDS: Final = (
    *("document", "dsl", "namespace", "name", "version", "title", "summary"),
    *("schedule", "evaluate", "use", "if", "call", "set", "switch", "for", "while", "fork", "try", "catch"),
    *("listen", "foreach", "emit", "raise", "run", "wait", "type", "with", "when", "input", "from", "schema"),
    *("do", "timeout", "output", "as", "export", "then", "metadata"),
)
_ORDER: Final = {name: index for index, name in enumerate(_WORDS)}


def in_order(value: Any) -> Any:
    """The value with the members of every object in the order of writing; unknown ones last, by name."""
    if isinstance(value, list):
        return [in_order(each) for each in value]
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
        return {name: in_order(value[name]) for name in names}
    return value
