"""Where a definition keeps steps: one place knows, and everything that walks a definition asks it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from domain.definitions.model import STEP_LISTS

Path = tuple[str, ...]
Steps = list[dict[str, Any]]


def step_lists(body: Mapping[str, Any]) -> Iterator[Path]:
    """The paths inside a step at which lists of steps stand."""
    paths = dict.fromkeys(path for keyword in STEP_LISTS if keyword in body for path in STEP_LISTS[keyword])
    for path in paths:
        if isinstance(found(body, path), list):
            yield path


def found(value: Any, path: Path) -> Any:
    """What stands at the path, None where it leads nowhere."""
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def replaced(body: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """A copy of the step with another value at the path, which must exist."""
    [name, *rest] = path
    return {**body, name: replaced(body[name], tuple(rest), value) if rest else value}


def every_step(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The bodies of all steps of a sound definition, those of `use` among them, outer ones first."""
    use = definition.get("use") or {}
    waiting = [body for entry in definition.get("do") or () for body in entry.values()]
    for extension in use.get("extensions") or ():
        for lists in extension.values():
            for list in (lists.get("before"), lists.get("after")):
                waiting.extend(body for entry in list or () for body in entry.values())
    waiting.extend((use.get("functions") or {}).values())
    waiting.reverse()
    while waiting:
        body = waiting.pop()
        yield body
        inner = [found(body, path) for path in step_lists(body)]
        waiting.extend(reversed([each for entries in inner for entry in entries for each in entry.values()]))


def rewritten(
    definition: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """A copy of a sound definition in which every step, inner ones after outer ones, is changed."""
    changed = dict(definition)
    if "do" in changed:
        changed["do"] = rewritten_list(changed["do"], change)
    use = dict(changed.get("use") or {})
    if "extensions" in use:
        use["extensions"] = [
            {name: _extension(extension, change) for name, extension in entry.items()}
            for entry in use["extensions"]
        ]
    if "functions" in use:
        use["functions"] = {name: rewritten_step(body, change) for name, body in use["functions"].items()}
    return {**changed, "use": use} if "use" in changed else changed


def rewritten_list(entries: Steps, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Steps:
    return [{name: rewritten_step(body, change) for name, body in entry.items()} for entry in entries]


def rewritten_step(
    body: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    step = change(dict(body))
    for path in step_lists(step):
        step = replaced(step, path, rewritten_list(found(step, path), change))
    return step


def _extension(
    extension: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    lists = {name: extension[name] for name in ("before", "after") if name in extension}
    return {**extension, **{name: rewritten_list(entries, change) for name, entries in lists.items()}}
