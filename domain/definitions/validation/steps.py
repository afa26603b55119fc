"""Walks the lists of steps; the keyword of a step decides what it is checked for, without `oneOf` noise."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from domain.definitions.model import (
    COMMON_FIELDS,
    KEYWORDS,
    MAX_NESTING,
    MAX_STEPS,
    STEP_LISTS,
    STEP_SCOPE,
    SUPPORTED,
)
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.data import check_data
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.flow import Named, check_name, check_reachable, check_then, name_index
from domain.definitions.validation.keywords import CHECKS, Step, check_unsupported
from domain.definitions.validation.report import Report, kind, shown


class Steps:
    """Checks every step below one list."""

    def __init__(self, report: Report, expressions: Expressions, calls: Calls) -> None:
        self._report = report
        self._expressions = expressions
        self._calls = calls

    def check_list(self, pointer: str, value: Any, names: Names = STEP_SCOPE, depth: int = 1) -> None:
        """A `do`: a list of steps, each an object with its name as the only key."""
        report = self._report
        if not isinstance(value, list):
            hint = "Write `- name: {…}` for each step."
            report.add(pointer, "wrong_type", f"This must be a list of steps, not {kind(value)}.", hint)
            return
        if not value:
            report.add(pointer, "empty_list", "A list of steps needs at least one step.", "Add a step.")
            return
        if depth > MAX_NESTING:
            message = f"Steps are nested deeper than {MAX_NESTING} levels."
            report.add(pointer, "too_deep", message, "Split the definition.")
            return
        steps = list(self._named(pointer, value))
        index = name_index(steps)
        for position, (at, name, body) in enumerate(steps):
            if index[name] != position:
                message = f"There are two steps called `{shown(name)}` in this list."
                report.add(at, "duplicate_name", message, "Rename one of them.")
            check_name(report, at, name)
            if not report.full:
                self._check_step(at, body, index, names, depth)
        # Names that are not clear make every answer about ways between steps a guess.
        if len(index) == len(value):
            check_reachable(report, steps, index)

    def _named(self, pointer: str, entries: list[Any]) -> Iterator[Named]:
        for position, entry in enumerate(entries):
            at = join(pointer, position)
            if not isinstance(entry, dict):
                message = f"A step is an object with its name as key, not {kind(entry)}."
                self._report.add(at, "wrong_type", message, "Write `- name: {…}`.")
            elif len(entry) != 1:
                message = f"An entry of this list holds one step under its name, not {len(entry)} keys."
                hint = "Indent what belongs to the step below its name, and begin each step with a dash."
                self._report.add(at, "bad_step", message, hint)
            else:
                [(name, body)] = entry.items()
                yield join(at, name), name, body

    def _check_step(self, pointer: str, value: Any, index: dict[str, int], names: Names, depth: int) -> None:
        report = self._report
        body = report.object(pointer, value, "A step")
        if body is None:
            return
        keyword = self._keyword(pointer, body)
        self._check_common(pointer, body, index, names)
        if keyword is None:
            return
        report.unknown_fields(pointer, body, COMMON_FIELDS | KEYWORDS[keyword], f"A `{keyword}` step")
        step = Step(pointer, keyword, body, names, index)
        if keyword in SUPPORTED:
            within = CHECKS[keyword](report, self._expressions, self._calls, step)
        else:
            within = check_unsupported(report, step)
        for path in STEP_LISTS.get(keyword, ()):
            found, inner = _dig(body, path)
            if found:
                self.check_list(join(pointer, *path), inner, within, depth + 1)
            elif keyword in ("for", "do"):
                report.add(
                    pointer, "missing_field", f"A `{keyword}` step needs `do`.", "Add the list of its steps."
                )

    def _keyword(self, pointer: str, body: dict[str, Any]) -> str | None:
        present = [keyword for keyword in KEYWORDS if keyword in body]
        if "for" in present and "do" in present:
            present.remove("do")
        if len(present) == 1:
            return present[0]
        if present:
            message = (
                f"A step does one thing, but this one says {', '.join(f'`{word}`' for word in present)}."
            )
            self._report.add(pointer, "several_keywords", message, "Make them separate steps.")
            return None
        strange = [name for name in body if name not in COMMON_FIELDS]
        found = next(((n, c) for n in strange if (c := self._report.closest(n, KEYWORDS)) is not None), None)
        if found is not None:
            written, meant = found
            message = f"`{shown(written)}` is not a keyword of a step."
            self._report.add(join(pointer, written), "unknown_keyword", message, f"Did you mean `{meant}`?")
        else:
            message = "This step does not say what to do."
            self._report.add(
                pointer, "missing_keyword", message, f"Add one of {', '.join(sorted(SUPPORTED))}."
            )
        return None

    def _check_common(self, pointer: str, body: dict[str, Any], index: dict[str, int], names: Names) -> None:
        report = self._report
        if "if" in body:
            self._expressions.expression(join(pointer, "if"), body["if"], names, "`if`")
        check_data(report, self._expressions, pointer, body, names)
        if "then" in body:
            check_then(report, join(pointer, "then"), body["then"], index)
        if "timeout" in body:
            report.unsupported(join(pointer, "timeout"), "`timeout`")
        if "metadata" in body:
            at = join(pointer, "metadata")
            metadata = report.object(at, body["metadata"], "`metadata`")
            if metadata is not None and "compensate" in metadata:
                message = "`metadata.compensate` is not supported by this version yet."
                report.add(join(at, "compensate"), "not_supported", message)


def count_steps(definition: Any) -> Counter[str]:
    """How often each step name occurs, wherever steps can stand; stops soon after the limit."""
    names: Counter[str] = Counter()
    lists: list[Any] = [definition.get("do")] if isinstance(definition, dict) else []
    while lists and names.total() <= MAX_STEPS:
        entries = lists.pop()
        for entry in entries if isinstance(entries, list) else ():
            for name, body in entry.items() if isinstance(entry, dict) else ():
                names[name] += 1
                if isinstance(body, dict):
                    paths = {
                        path for keyword in STEP_LISTS if keyword in body for path in STEP_LISTS[keyword]
                    }
                    lists.extend(_dig(body, path)[1] for path in paths)
    return names


def _dig(value: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value
