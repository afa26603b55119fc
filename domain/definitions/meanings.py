"""What the calls of a definition mean to whoever looks at it: an action, maybe under a name of the definition's own.

Read for people, as the outline is: a draft may be wrong anywhere, and is still drawn and told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.definitions.outline import at

APPROVE: Final = "approve"
ASK: Final = "ask"
#: Actions that are work for a person.
PEOPLE: Final = frozenset({APPROVE, ASK})


@dataclass(frozen=True, slots=True)
class Meaning:
    """An action by its name without a version, and the arguments that are set where the name is."""

    action: str
    given: Mapping[str, Any]

    @property
    def asks_somebody(self) -> bool:
        return self.action in PEOPLE

    def arguments(self, given: Any) -> Mapping[str, Any]:
        """With those of the call itself, which win."""
        return {**self.given, **given} if isinstance(given, Mapping) else self.given


class Meanings:
    """`use` are a definition's reusable parts, `actions` those configured beside it, `calls` what a version pinned."""

    def __init__(self, use: Any = None, actions: Any = None, calls: Any = None) -> None:
        functions = at(use, "functions")
        self._known: dict[str, Meaning] = {}
        for name, pinned in calls.items() if isinstance(calls, Mapping) else ():
            self._learn(name, at(pinned, "action"), at(pinned, "with"))
        for name, function in functions.items() if isinstance(functions, Mapping) else ():
            self._learn(name, at(function, "call"), at(function, "with"))
        for each in actions if isinstance(actions, list) else ():
            self._learn(at(each, "name"), at(each, "uses"), at(each, "with"))

    def of(self, call: Any) -> Meaning:
        return self._known.get(str(call)) or Meaning(_named(str(call)), {})

    def _learn(self, name: Any, action: Any, given: Any) -> None:
        if isinstance(name, str) and isinstance(action, str):
            self._known[name] = Meaning(_named(action), given if isinstance(given, Mapping) else {})


def _named(call: str) -> str:
    """`approve:1.0.0@default` is `approve`."""
    return call.partition("@")[0].partition(":")[0]
