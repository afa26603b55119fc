"""`export --portable`: a version as pure DSL, without what only Perdure understands.

Mixed texts become expressions; `$steps` becomes data kept in `$context`; configured actions become functions or
calls of the action itself; variables are put into `$context` by a step of their own. What other runtimes cannot be
told in the DSL stays as it is: which actions there are, and `metadata.compensate`.
"""

from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.expressions import is_expression, strip_expression
from domain.definitions.jq_source import inside, text_source, value_source
from domain.definitions.portable_calls import PortableCalls
from domain.definitions.portable_steps import Kept
from domain.definitions.steplists import every_step, found, replaced, rewritten, step_lists

#: Fields that hold an expression with or without `${}` when they hold a text.
_BARE: Final = frozenset({"if", "from", "as", "set", "while", "in", "when", "exceptWhen", "until", "expect"})
#: Fields whose texts are data unless they are a whole expression.
_DATA: Final = frozenset({"set", "from", "as", "metadata", "document", "error"})
#: Arguments in whose texts expressions may be mixed.
_MIXED: Final = frozenset({"with"})
#: Arguments of `call: http` that the DSL does not have.
_OWN_ARGUMENTS: Final = frozenset({"idempotent", "variables"})


def portable(compiled: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a published version (`Published.compiled`), valid against the JSON Schema of the DSL."""
    document = dict(compiled["document"])
    calls = PortableCalls(compiled["calls"], every_step(document))
    kept = Kept(document, compiled["calls"])
    document = rewritten(document, lambda step: _step(step, calls, kept))
    document["do"] = kept.exporting(document["do"])
    for part in ("input", "output", "timeout", "schedule"):
        if part in document:
            document[part] = _fields(document[part], kept)
    variables = compiled.get("variables") or {}
    if variables:
        document = _with_variables(document, variables)
    use = {part: _part(part, value, kept) for part, value in document.get("use", {}).items()}
    if calls.functions:
        use["functions"] = {**use.get("functions", {}), **calls.functions}
    return {**document, "use": use} if use else document


def _part(part: str, value: Any, kept: Kept) -> Any:
    """A part of `use`; the steps in it have been written anew already."""
    if part == "extensions":
        return [
            {
                name: {**each, **_fields({k: each[k] for k in ("when",) if k in each}, kept)}
                for name, each in entry.items()
            }
            for entry in value
        ]
    return value if part == "functions" else _fields(value, kept)


def _step(step: dict[str, Any], calls: PortableCalls, kept: Kept) -> dict[str, Any]:
    """The step itself; lists of steps in it are left to whoever walks them."""
    lists = {path: found(step, path) for path in step_lists(step)}
    for path in lists:
        step = replaced(step, path, None)
    undoing = found(step, ("metadata", "compensate"))
    if undoing is not None:
        undoing = _arguments(calls.itself(undoing), kept)
        step = replaced(step, ("metadata", "compensate"), undoing)
    if "call" in step:
        step = _arguments(calls.call(step), kept)
    rest = {
        name: value if name in ("with", "call", "metadata") and "call" in step else _field(name, value, kept)
        for name, value in step.items()
        if name != "metadata"
    }
    step = {**rest, **({"metadata": step["metadata"]} if "metadata" in step else {})}
    for path, entries in lists.items():
        step = replaced(step, path, entries)
    return step


def _fields(value: Any, kept: Kept) -> Any:
    """Every field below, by the rules of its name."""
    if isinstance(value, dict):
        return {name: _field(name, item, kept) for name, item in value.items()}
    if isinstance(value, list):
        return [_fields(item, kept) for item in value]
    return kept.text(value) if isinstance(value, str) and is_expression(value) else value


def _field(name: str, value: Any, kept: Kept) -> Any:
    if isinstance(value, str):
        return kept.bare(value) if name in _BARE else _fields(value, kept)
    if name in _MIXED:
        return _template(value, kept)
    return _data(value, kept) if name in _DATA else _fields(value, kept)


def _data(value: Any, kept: Kept) -> Any:
    match value:
        case dict():
            return {name: _data(item, kept) for name, item in value.items()}
        case list():
            return [_data(item, kept) for item in value]
        case str() if is_expression(value):
            return kept.text(value)
    return value


def _template(value: Any, kept: Kept) -> Any:
    match value:
        case dict():
            return {name: _template(item, kept) for name, item in value.items()}
        case list():
            return [_template(item, kept) for item in value]
        case str() if "${" in value and not is_expression(value):
            return kept.text("${ " + text_source(value) + " }")
    return _data(value, kept)


def _arguments(call: dict[str, Any], kept: Kept) -> dict[str, Any]:
    given = call.get("with")
    if not isinstance(given, dict):
        return call
    if call["call"] == "http":
        given = {name: value for name, value in given.items() if name not in _OWN_ARGUMENTS}
        for part in ("headers", "query"):
            if isinstance(given.get(part), dict) and not all(
                isinstance(e, str) for e in given[part].values()
            ):
                given = {**given, part: "${ " + value_source(given[part], mixed=True) + " }"}
        given = _address(given, ("endpoint",))
        given = _address(given, ("endpoint", "uri"))
    return {**call, "with": _template(given, kept)}


def _address(given: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Braces are not filled in where an expression makes the address, so the expression must do it."""
    address = found(given, path)
    if not isinstance(address, str) or "${" not in address or is_expression(address):
        return given
    return replaced(given, path, "${ " + text_source(address, is_address=True) + " }")


def _with_variables(document: dict[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """A first step that leaves the data as it is and begins `$context` with the variables."""
    taken = {name for entry in document["do"] for name in entry}
    name = next(
        each for each in ("variables", *(f"variables{n}" for n in range(2, 999))) if each not in taken
    )
    values = value_source(dict(variables), mixed=False)
    step = {"set": "${ . }", "export": {"as": f"{values} + ($context // {{}})"}}
    document = {**document, "do": [{name: step}, *document["do"]]}
    shape = found(document, ("input", "from"))
    if isinstance(shape, str) and "$context" in shape:
        source = f"{values} as $context | {inside(strip_expression(shape))}"
        document = replaced(document, ("input", "from"), source)
    return document
