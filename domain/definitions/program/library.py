"""The functions a version can call, and what a `call` means where it stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.actions import Effect, Lane
from domain.definitions.pointers import join

from .parts import PinnedAction

FUNCTIONS = "/use/functions"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The document with its functions is one; every function kept elsewhere has its own, and sees no other."""

    calls: Mapping[str, PinnedAction]
    #: Where the functions stand that are called by these names.
    functions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A function and what stands around it."""

    name: str
    definition: Mapping[str, Any]
    surroundings: Surroundings


def library(compiled: Mapping[str, Any]) -> tuple[Surroundings, dict[str, Kept]]:
    """The document's own surroundings, and all functions by the pointers at which they stand."""
    inline = (compiled["document"].get("use") or {}).get("functions") or {}
    called = {name: join(FUNCTIONS, name) for name in inline} | _places(compiled.get("references") or {})
    own = Surroundings(_pinned_all(compiled["calls"]), called)
    kept = {join(FUNCTIONS, name): Kept(name, definition, own) for name, definition in inline.items()}
    for key, function in (compiled.get("functions") or {}).items():
        around = Surroundings(_pinned_all(function["calls"]), _places(function["references"]))
        kept[join(FUNCTIONS, key)] = Kept(function["name"], function["definition"], around)
    return own, kept


def _places(references: Mapping[str, str]) -> dict[str, str]:
    return {reference: join(FUNCTIONS, key) for reference, key in references.items()}


def _pinned_all(calls: Mapping[str, Any]) -> dict[str, PinnedAction]:
    return {name: pinned(call) for name, call in calls.items()}


def pinned(call: Mapping[str, Any]) -> PinnedAction:
    return PinnedAction(
        action=call["action"],
        version=call["version"],
        lane=Lane(call["lane"]),
        effect=Effect(call["effect"]),
        timeout=timedelta(milliseconds=call["timeout_ms"]),
        defaults=call.get("with", {}),
    )
