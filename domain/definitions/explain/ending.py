"""How it ends: what comes out at last."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.definitions.outline import at, outline
from domain.definitions.phrases import expression, listed, visible

from .conditions import condition


def ending(definition: Any) -> str:
    told = [_result(at(definition, "output", "as"))]
    if any(
        step.part("metadata", "compensate") is not None
        for outer in outline(definition)
        for step in outer.walk()
    ):
        told.append(
            "If it fails, runs out of time or is cancelled, the steps that can be undone are undone first,"
            " the latest one first."
        )
    return " ".join([*_around(at(definition, "use", "extensions")), *told])


def _around(extensions: Any) -> Iterator[str]:
    """What happens before and after other steps without standing among them."""
    for entry in extensions if isinstance(extensions, list) else ():
        for name, extension in entry.items() if isinstance(entry, Mapping) else ():
            kind = at(extension, "extend")
            which = "every step" if kind == "all" else f"every `{visible(kind, 20)}` step"
            only = at(extension, "when")
            told = "" if only is None else f", if {condition(only)}"
            places = [place for place in ("before", "after") if at(extension, place)]
            if places:
                yield f"“{visible(name, 60)}” does its part {listed(places)} {which}{told}."


def _result(shape: Any) -> str:
    if shape is None:
        return "Its result is what the last step hands on."
    if isinstance(shape, Mapping):
        return f"Its result has {listed([visible(name, 40) for name in shape])}."
    return f"Its result is `{expression(shape)}`."
