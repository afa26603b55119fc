"""Light writing becomes the DSL's own, so that every reader of the standard understands a version."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.expressions import is_expression
from domain.definitions.steplists import Path, found, replaced, rewritten
from domain.definitions.validation.keywords import written_out
from domain.http import simple_text

_POLICY: Final[tuple[Path, ...]] = (
    ("delay",),
    ("limit", "duration"),
    ("limit", "attempt", "duration"),
    ("jitter", "from"),
    ("jitter", "to"),
)
_STEP: Final[tuple[Path, ...]] = (
    ("wait",),
    ("timeout", "after"),
    *(("catch", "retry", *path) for path in _POLICY),
)
_DOCUMENT: Final[tuple[Path, ...]] = (("timeout", "after"), ("schedule", "every"), ("schedule", "after"))


def in_full(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a sound definition with its durations in ISO 8601 and its lists as expressions."""
    written = _at(rewritten(definition, step_in_full), _DOCUMENT, _duration)
    use = written.get("use")
    if isinstance(use, dict):
        parts = dict(use)
        for part, paths in (("timeouts", (("after",),)), ("retries", _POLICY)):
            if part in parts:
                parts[part] = {name: _at(each, paths, _duration) for name, each in parts[part].items()}
        written["use"] = parts
    return written


def step_in_full(body: dict[str, Any]) -> dict[str, Any]:
    """The step itself; the steps in it are written as they were."""
    step = _at(body, _STEP, _duration)
    if "for" in step and isinstance(step["for"]["in"], list):
        # JSON is jq: a list written out is an expression that yields itself.
        step = replaced(step, ("for", "in"), written_out(step["for"]["in"]))
    if step.get("call") == "http" and isinstance(step.get("with"), dict):
        texts = {
            part: {name: _text(value) for name, value in step["with"][part].items()}
            for part in ("headers", "query")
            if isinstance(step["with"].get(part), dict)
        }
        step = {**step, "with": {**step["with"], **texts}}
    return step


def _text(value: Any) -> Any:
    """A number or a truth value as it is sent."""
    return simple_text(value) if isinstance(value, bool | int | float) else value


def _at(holder: dict[str, Any], paths: tuple[Path, ...], change: Callable[[Any], Any]) -> dict[str, Any]:
    for path in paths:
        value = found(holder, path)
        if value is not None:
            holder = replaced(holder, path, change(value))
    return holder


def _duration(value: Any) -> Any:
    if isinstance(value, str) and is_expression(value):
        return value
    return durations.iso(durations.parse(value))
