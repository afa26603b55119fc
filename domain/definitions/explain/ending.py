"""How it ends: what comes out at last."""

from collections.abc import Mapping
from typing import Any

from domain.definitions.outline import at, outline
from domain.definitions.phrases import expression, listed, visible


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
    return " ".join(told)


def _result(shape: Any) -> str:
    if shape is None:
        return "Its result is what the last step hands on."
    if isinstance(shape, Mapping):
        return f"Its result has {listed([visible(name, 40) for name in shape])}."
    return f"Its result is `{expression(shape)}`."
