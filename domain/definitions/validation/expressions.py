"""Every expression is compiled here, with the names it may read at its place."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from domain.definitions.expressions import (
    Expression,
    ExpressionError,
    compile_expression,
    compile_template,
    is_expression,
    strip_expression,
)
from domain.definitions.expressions.reading import members
from domain.definitions.expressions.syntax import parse
from domain.definitions.model import MAX_EXPRESSION_BYTES, SECRETS
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, kind, shown
from domain.definitions.validation.sizes import check_size
from domain.secrets import is_name

Names = frozenset[str]

NOT_HERE: Final = (
    "`$secrets` cannot be read here: what is computed here becomes data of the execution, which is stored and"
    " shown."
)
HERE: Final = (
    "Read it in `with` of a step that calls an action such as `http` or `email.send`: only the call itself"
    " learns it."
)

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_STEP_IN_TEXT: Final = re.compile(r'\$steps\??\.?(?:([A-Za-z_][A-Za-z0-9_]*)|\[?\s*"([^"\\]*)")', re.ASCII)


class Expressions:
    """Checks expressions against the names in scope and `$steps` against the steps there are."""

    def __init__(self, report: Report, steps: Counter[str]) -> None:
        self._report = report
        self._steps = steps
        #: Where each secret is read first, by its name.
        self.secrets: dict[str, str] = {}
        self._compiled: dict[str, Expression | ExpressionError] = {}

    @property
    def steps(self) -> Collection[str]:
        """The names of all steps there are."""
        return self._steps.keys()

    def expression(self, pointer: str, value: Any, names: Names, what: str) -> None:
        """A place that holds an expression, with or without `${}`."""
        if not isinstance(value, str):
            self._report.add(
                pointer,
                "wrong_type",
                f"{what} must be an expression, not {kind(value)}.",
                "Write a jq expression as a text, for example `.amount > 100`.",
            )
            return
        self._source(pointer, value, names)

    def shape(self, pointer: str, value: Any, names: Names, what: str) -> None:
        """`from`, `as` and `set`: one expression, or an object with expressions in it."""
        if isinstance(value, str):
            self._source(pointer, value, names)
        elif isinstance(value, dict):
            self.template(pointer, value, names, mixed=False)
        else:
            self._report.add(
                pointer, "wrong_type", f"{what} must be an expression or an object, not {kind(value)}."
            )

    def template(self, pointer: str, value: Any, names: Names, *, mixed: bool) -> None:
        """A value in which whole texts (`mixed`: also parts of texts) are expressions."""
        check_size(self._report, pointer, value)
        for at, text in _texts(pointer, value):
            if "${" not in text:
                continue
            if is_expression(text):
                self._source(at, text, names)
            elif mixed:
                self._mixed(at, text, names)
            else:
                self._report.add(
                    at,
                    "mixed_text",
                    "Here an expression must be the whole text; only `with` fills in parts of a text.",
                    "Remove the space around it."
                    if is_expression(text.strip())
                    else 'Write one expression, for example ${ "Hello \\(.name)" }.',
                )

    def _source(self, pointer: str, text: str, names: Names) -> None:
        if self._too_long(pointer, text):
            return
        compiled = self._compiled.get(text)
        if compiled is None:
            try:
                compiled = compile_expression(strip_expression(text))
            except ExpressionError as error:
                compiled = error
            self._compiled[text] = compiled
        self._judge(pointer, text, compiled, names)

    def _mixed(self, pointer: str, text: str, names: Names) -> None:
        if self._too_long(pointer, text):
            return
        try:
            compiled = compile_template(text, mixed=True, withhold=SECRETS)
        except ExpressionError as error:
            self._judge(pointer, text, error, names)
            return
        self._judge_names(pointer, compiled.names | SECRETS if compiled.withheld else compiled.names, names)
        for part in compiled.withheld:
            self._judge_names(pointer, part.template.names - SECRETS, names)
            self._judge_secrets(pointer, part.secrets if "secrets" in names else ())
        if "$steps" in text:
            for match in _STEP_IN_TEXT.finditer(text):
                self._report_step(pointer, match[1] or match[2])

    def _too_long(self, pointer: str, text: str) -> bool:
        if len(text) <= MAX_EXPRESSION_BYTES and len(text.encode()) <= MAX_EXPRESSION_BYTES:
            return False
        message = f"An expression has at most {MAX_EXPRESSION_BYTES // 1024} KB."
        self._report.add(pointer, "expression_too_long", message, "Split it into several steps.")
        return True

    def _judge(self, pointer: str, text: str, compiled: Expression | ExpressionError, names: Names) -> None:
        wrong_step = "$steps" in text and self._judge_steps(pointer, strip_expression(text))
        if not isinstance(compiled, ExpressionError):
            self._judge_names(pointer, compiled.names, names)
            self._judge_secrets(pointer, compiled.secrets if "secrets" in names else ())
        elif not wrong_step:
            self._report.add(pointer, "bad_expression", f"This expression cannot be used. {compiled.message}")

    def _judge_names(self, pointer: str, used: Names, names: Names) -> None:
        for name in sorted(used - names):
            if name == "secrets":
                self._report.add(pointer, "secret_not_here", NOT_HERE, HERE)
                continue
            if name == "authorization":
                message = (
                    "`$authorization` is refused: credentials would become data, which is stored and shown."
                )
                self._report.add(
                    pointer, "refused", message, "Write `authentication` at the call that needs it."
                )
                continue
            if name == "output":
                message = "`$output` exists only in `output` and `export`."
                self._report.add(pointer, "unknown_variable", message, "The data of a step is `.` here.")
                continue
            if name == "error":
                message = "`$error` exists only in `catch`, and only if its `as` gives it no other name."
                self._report.add(pointer, "unknown_variable", message, "Handle the error in `catch.do`.")
                continue
            hint = self._report.did_you_mean("$" + name, ("$" + known for known in names))
            known = "Known here: " + ", ".join("$" + each for each in sorted(names)) + "."
            message = f"`${shown(name)}` is not known here."
            self._report.add(pointer, "unknown_variable", message, hint or known)

    def _judge_secrets(self, pointer: str, read: Iterable[str | None]) -> None:
        """Only named secrets are fetched, so every name must be told."""
        for name in read:
            if name is None or not is_name(name):
                message = "`$secrets` must be followed by the name of a secret: only those that are read are fetched."
                self._report.add(pointer, "unnamed_secret", message, "Write `$secrets.<name>`.")
            else:
                self.secrets.setdefault(name, pointer)

    def _judge_steps(self, pointer: str, source: str) -> bool:
        """True when a step named in `$steps` is not there or not clear."""
        try:
            tree = parse(source)
        except ExpressionError:
            return False
        wrong = [self._report_step(pointer, name) for name in members(tree, "steps")]
        return any(wrong)

    def _report_step(self, pointer: str, name: str | None) -> bool:
        problem = self._step_problem(name)
        if problem is not None:
            self._report.add(pointer, *problem)
        return problem is not None

    def _step_problem(self, name: str | None) -> tuple[str, str, str | None] | None:
        if name is None:
            message = "`$steps` must be followed by a step's name: only outputs that are read are kept."
            return "unnamed_step", message, 'Write `$steps.<name>` or `$steps["<name>"]`.'
        if name not in self._steps:
            longer = next((step for step in self._steps if step.startswith(name) and step != name), None)
            if longer is not None and not _IDENTIFIER.fullmatch(longer):
                hint: str | None = (
                    f'Write `$steps["{shown(longer)}"]`; jq would compute with the characters of its name.'
                )
            else:
                hint = self._report.did_you_mean(name, self._steps)
            return "unknown_step", f"There is no step `{shown(name)}`.", hint
        if self._steps[name] > 1:
            message = f"There are {self._steps[name]} steps called `{shown(name)}`; `$steps` cannot choose."
            return "ambiguous_step", message, "Rename all but one of them."
        return None


def _texts(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    stack = [(pointer, value)]
    while stack:
        at, item = stack.pop()
        if isinstance(item, str):
            yield at, item
        elif isinstance(item, dict):
            stack.extend((join(at, key), item[key]) for key in reversed(item))
        elif isinstance(item, list):
            stack.extend((join(at, index), item[index]) for index in range(len(item) - 1, -1, -1))
