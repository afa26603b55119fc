"""Walks the lists of steps; the keyword of a step decides what it is checked for, without `oneOf` noise."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from domain.definitions import steplists
from domain.definitions.model import (
    BEFORE_THE_HANDLER,
    COMMON_FIELDS,
    KEYWORDS,
    MAX_NESTING,
    MAX_STEPS,
    NOT_YET,
    SIDE_BY_SIDE,
    STEP_LISTS,
    STEP_SCOPE,
    SUPPORTED,
)
from domain.definitions.pointers import join
from domain.definitions.validation.calls import Calls
from domain.definitions.validation.components import Components
from domain.definitions.validation.data import check_data
from domain.definitions.validation.expressions import Expressions, Names
from domain.definitions.validation.flow import Named, check_name, check_then, name_index
from domain.definitions.validation.keywords import CHECKS, Step, check_call, check_unsupported
from domain.definitions.validation.reaching import Reaching
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.validation.timeouts import check_timeout


class Steps:
    """Checks every step below one list."""

    def __init__(
        self, report: Report, expressions: Expressions, calls: Calls, components: Components
    ) -> None:
        self._report = report
        self._expressions = expressions
        self._calls = calls
        self._components = components
        self._reaching = Reaching()

    def check_list(
        self, pointer: str, value: Any, names: Names = STEP_SCOPE, depth: int = 1, *, in_a_row: bool = True
    ) -> None:
        """A list of steps, each an object with its name as the only key; `in_a_row` one leads to the next."""
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
                self.check_step(at, body, names, index if in_a_row else {}, depth)
        # Names that are not clear make every answer about ways between steps a guess.
        if in_a_row and len(index) == len(value):
            self._reaching.check(report, steps, index)

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

    def check_step(
        self,
        pointer: str,
        value: Any,
        names: Names,
        index: Mapping[str, int],
        depth: int = 1,
    ) -> None:
        """One step; `index` are the steps its `then` can name, none where it stands for itself."""
        report = self._report
        body = report.object(pointer, value, "A step")
        if body is None:
            return
        keyword = self._keyword(pointer, body)
        self._check_common(pointer, body, index, names)
        if keyword is None:
            return
        report.unknown_fields(pointer, body, COMMON_FIELDS | KEYWORDS[keyword], f"A `{keyword}` step")
        step = Step(pointer, keyword, body, names, index, self._components)
        check = CHECKS.get(keyword)
        within = names if check is None else check(report, self._expressions, self._calls, step)
        if keyword not in SUPPORTED:
            check_unsupported(report, step)
        for path in STEP_LISTS.get(keyword, ()):
            found, inner = _dig(body, path)
            if found:
                readable = names if path in BEFORE_THE_HANDLER else within
                in_a_row = path not in SIDE_BY_SIDE
                self.check_list(join(pointer, *path), inner, readable, depth + 1, in_a_row=in_a_row)
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

    def _check_common(
        self, pointer: str, body: dict[str, Any], index: Mapping[str, int], names: Names
    ) -> None:
        report = self._report
        if "if" in body:
            self._expressions.expression(join(pointer, "if"), body["if"], names, "`if`")
        check_data(report, self._expressions, pointer, body, names)
        if "then" in body:
            check_then(report, join(pointer, "then"), body["then"], index)
        if "timeout" in body:
            at = join(pointer, "timeout")
            check_timeout(report, self._expressions, self._components, at, body["timeout"], names)
            if "timeout" in NOT_YET:
                report.unsupported(at, "`timeout`")
        if "call" in body and isinstance(body["call"], str):
            self._components.called.add(body["call"])
        if "metadata" in body:
            at = join(pointer, "metadata")
            metadata = report.object(at, body["metadata"], "`metadata`")
            if metadata is not None and "compensate" in metadata:
                self._check_compensation(join(at, "compensate"), metadata["compensate"], names)

    def _check_compensation(self, pointer: str, value: Any, names: Names) -> None:
        """The call that undoes a completed step, should the execution not succeed."""
        report = self._report
        if "metadata.compensate" in NOT_YET:
            report.unsupported(pointer, "`metadata.compensate`")
        call = report.object(pointer, value, "`compensate`")
        if call is None:
            return
        report.unknown_fields(pointer, call, KEYWORDS["call"], "`compensate`")
        if "call" not in call:
            message = "`compensate` says in `call` what undoes the step."
            report.add(pointer, "missing_field", message, "For example `compensate: {call: …, with: {…}}`.")
            return
        if isinstance(call["call"], str):
            self._components.called.add(call["call"])
        step = Step(pointer, "call", call, names, {}, self._components, undoes=True)
        check_call(report, self._expressions, self._calls, step)


def count_steps(entries: Any) -> Counter[str]:
    """How often each step name occurs in a list and below it; stops soon after the limit."""
    names: Counter[str] = Counter()
    lists: list[Any] = [entries]
    while lists and names.total() <= MAX_STEPS:
        entries = lists.pop()
        for entry in entries if isinstance(entries, list) else ():
            for name, body in entry.items() if isinstance(entry, dict) else ():
                names[name] += 1
                if isinstance(body, dict):
                    lists.extend(steplists.found(body, path) for path in steplists.step_lists(body))
    return names


def _dig(value: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return False, None
        value = value[part]
    return True, value
