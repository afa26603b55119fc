"""Configured actions without Perdure: functions where a function says the same, calls of the action otherwise."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from domain.definitions.model import PROTOCOLS
from domain.definitions.validation.certainty import is_open

_WORDS: Final = {action: word for word, action in PROTOCOLS.items()}


class PortableCalls:
    """What each `call` is written as; `functions` are those that the document must declare for it."""

    def __init__(self, calls: Mapping[str, Any], steps: Iterable[dict[str, Any]]) -> None:
        self._calls = calls
        given: dict[str, list[dict[str, Any]]] = {}
        for body in steps:
            if body.get("call") in calls:
                given.setdefault(body["call"], []).append(body.get("with", {}))
        self.functions: dict[str, Any] = {
            name: self._function(name, uses[0]) for name, uses in given.items() if self._fits(name, uses)
        }

    def call(self, step: dict[str, Any]) -> dict[str, Any]:
        """The step as it calls without configured actions."""
        return step if step["call"] in self.functions else self.itself(step)

    def itself(self, step: dict[str, Any]) -> dict[str, Any]:
        """A call of the action itself, with the arguments its configuration gives it."""
        pinned = self._calls.get(step["call"])
        if pinned is None:
            return step
        arguments = {**pinned.get("with", {}), **step.get("with", {})}
        return {**step, "call": _written(pinned), **({"with": arguments} if arguments else {})}

    def _fits(self, name: str, uses: list[dict[str, Any]]) -> bool:
        """A function knows its arguments only: their names must be the same everywhere, the rest written out."""
        pinned = self._calls[name]
        is_alias = name.partition(":")[0].partition("@")[0] != pinned["action"] and name not in PROTOCOLS
        return (
            is_alias
            and pinned["action"] not in _WORDS  # braces in an address would read the arguments
            and bool(uses[0])
            and all(each.keys() == uses[0].keys() for each in uses)
            and not is_open(pinned.get("with", {}))
            and "$secrets" not in str(uses)
        )

    def _function(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        pinned = self._calls[name]
        passed = {each: f'${{ .["{each}"] }}' for each in given}
        return {"call": _written(pinned), "with": {**pinned.get("with", {}), **passed}}


def _written(pinned: Mapping[str, Any]) -> str:
    action = pinned["action"]
    return _WORDS.get(action, f"{action}:{pinned['version']}@default")
