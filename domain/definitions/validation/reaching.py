"""Steps that nothing leads to: because of jumps, or because no step before them ever completes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.definitions.model import DIRECTIVES
from domain.definitions.validation.flow import Named, name_index
from domain.definitions.validation.report import Report, shown


class Reaching:
    """Follows the ways through lists of steps; each list is followed once, whoever asks."""

    def __init__(self) -> None:
        self._completing: dict[int, bool] = {}

    def check(self, report: Report, steps: Sequence[Named], names: Mapping[str, int]) -> None:
        """Every step of a list must be led to from its first."""
        reached, _ = self._walk([body for _, _, body in steps], names)
        for index, (pointer, name, _) in enumerate(steps):
            # Of a row of unreachable steps only the first is told: mending it mends the others.
            if index not in reached and index - 1 in reached:
                report.add(
                    pointer,
                    "unreachable_step",
                    f"Nothing leads to step `{shown(name)}`: the step before it never goes on to it.",
                    f"Let some `then` name `{shown(name)}`, move it, or remove it.",
                )

    def _walk(self, steps: Sequence[Any], names: Mapping[str, int]) -> tuple[set[int], bool]:
        """The positions that are reached, and whether some way leads to the end of the list."""
        reached: set[int] = set()
        waiting = [0]
        left = False
        while waiting:
            index = waiting.pop()
            if index >= len(steps):
                left = True
            elif index not in reached:
                reached.add(index)
                for target in self._targets(steps[index], names):
                    if target == "exit":
                        left = True
                    elif target == "continue":
                        waiting.append(index + 1)
                    elif target != "end":
                        waiting.append(names[target])
        return reached, left

    def _targets(self, step: Any, names: Mapping[str, int]) -> Iterator[str]:
        """Directives and names a step may go on with; one that is wrong anyway counts as `continue`."""
        body = step if isinstance(step, dict) else {}
        for target in self._written(body):
            known = isinstance(target, str) and (target in DIRECTIVES or target in names)
            yield target if known else "continue"

    def _completes(self, step: Mapping[str, Any]) -> bool:
        """Whether what a step does can come to its end, so that its `then` counts."""
        match step:
            case {"raise": _}:
                return False
            case {"for": _}:
                return True  # there may be nothing to walk
            case {"do": steps}:
                return self._list_completes(steps)
            case {"try": steps}:
                return self._list_completes(steps)
            case {"fork": {"branches": list(branches), **rest}} if branches:
                done = [
                    self._walk(list(entry.values()), {})[1] for entry in branches if isinstance(entry, dict)
                ]
                return any(done) if rest.get("compete") is True else all(done)
        return True

    def _list_completes(self, entries: Any) -> bool:
        """Whether some way through a list leads to its end; what is no proper list is left to others."""
        if not isinstance(entries, list) or not all(isinstance(e, dict) and len(e) == 1 for e in entries):
            return True
        key = id(entries)
        if key not in self._completing:
            self._completing[key] = True  # holds for a list that contains itself
            named = [("", name, body) for entry in entries for name, body in entry.items()]
            _, left = self._walk([body for _, _, body in named], name_index(named))
            self._completing[key] = left or not entries
        return self._completing[key]

    def _written(self, body: Mapping[str, Any]) -> Iterator[Any]:
        """What the definition itself says about where to go on."""
        if "if" in body:
            yield "continue"  # a skipped step goes on with the next one
        cases = body.get("switch")
        if isinstance(cases, list):
            bodies = [case for entry in cases if isinstance(entry, dict) for case in entry.values()]
            bodies = [case for case in bodies if isinstance(case, dict)]
            for case in bodies:
                yield case.get("then")
            if any("when" not in case for case in bodies):
                return
        if self._completes(body):
            yield body.get("then", "continue")
        if "try" in body:
            caught = body["catch"] if isinstance(body.get("catch"), dict) else {}
            if "do" not in caught or self._list_completes(caught["do"]):
                yield caught.get("then", body.get("then", "continue"))
