"""What is declared and used nowhere, and secrets that are read without being declared."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from domain.definitions.pointers import join
from domain.definitions.validation.components import REFERRED, Components
from domain.definitions.validation.expressions import Expressions
from domain.definitions.validation.report import Report, shown


def check_unused(
    report: Report,
    expressions: Expressions,
    components: Components,
    definition: Mapping[str, Any],
    actions: Any,
) -> None:
    """Called last: only then is it known what everything refers to."""
    use = definition.get("use")
    use = use if isinstance(use, dict) else {}
    referred = _referred([definition, actions])
    for part, what in REFERRED.items():
        _tell(report, join("/use", part), what, _names(use.get(part)), components.used(part))
    _tell(report, "/use/functions", "function", _names(use.get("functions")), components.called)
    _tell(report, "/actions", "action", _names(actions), components.called)
    if isinstance(use.get("secrets"), list):
        secrets = _names(use["secrets"])
        _tell(report, "/use/secrets", "secret", secrets, expressions.secrets.keys() | referred)
        _check_undeclared(report, expressions, set(secrets.values()))


def _check_undeclared(report: Report, expressions: Expressions, declared: set[str]) -> None:
    for name, pointer in expressions.secrets.items():
        if name not in declared:
            message = f"Secret `{shown(name)}` is not among those of `use.secrets`."
            hint = report.did_you_mean(name, sorted(declared)) or "Add it there."
            report.add(pointer, "undeclared_secret", message, hint)


def _names(value: Any) -> dict[str | int, str]:
    """The names declared by an object of components, or by a list of names or of named objects."""
    if isinstance(value, dict):
        return {name: name for name in value}
    entries = enumerate(value if isinstance(value, list) else ())
    named = {index: each.get("name") if isinstance(each, dict) else each for index, each in entries}
    return {index: name for index, name in named.items() if isinstance(name, str)}


def _tell(report: Report, at: str, what: str, names: Mapping[str | int, str], used: Collection[str]) -> None:
    for key, name in names.items():
        if name not in used:
            message = f"The {what} `{shown(name)}` is used nowhere."
            report.add(join(at, key), "unused", message, "Use it, or remove it.", severity="warning")


def _referred(value: Any) -> set[str]:
    """Every name that stands behind a `use`: how authentications and secrets are referred to."""
    return {each["use"] for each in _objects(value) if isinstance(each.get("use"), str)}


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
