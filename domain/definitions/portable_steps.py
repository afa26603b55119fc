"""`$steps` without Perdure: the outputs it reads are exported to `$context`, each under a key of its own.

A key for each step, because the branches of a fork bring their changes of `$context` together key by key.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from domain.definitions.expressions import strip_expression
from domain.definitions.jq_source import inside, value_source
from domain.definitions.steplists import every_step, found, replaced, step_lists

_PREFIX: Final = "step:"
_OLD: Final = (
    '($context | if type == "object" then'
    f' with_entries(select(.key | startswith("{_PREFIX}"))) else {{}} end)'
)


class Kept:
    """Which outputs are kept, and how expressions read them."""

    def __init__(self, document: Mapping[str, Any], calls: Mapping[str, Any]) -> None:
        texts = [text for text in _texts([document, calls]) if "$steps" in text]
        names = {name for entries in _lists(document["do"]) for entry in entries for name in entry}
        if not any("\\" in text for text in texts):  # escapes can spell a name without showing it
            names = {name for name in names if any(name in text for text in texts)}
        self._names = names if texts else set()
        entries = (
            f"{json.dumps(name)}: $context[{json.dumps(_PREFIX + name)}]" for name in sorted(self._names)
        )
        self._reading = "{" + ", ".join(entries) + "} as $steps | "

    def bare(self, source: str) -> str:
        """An expression with or without `${}`, as it was written."""
        return self.text(source) if source.startswith("${") else self._source(source)

    def text(self, text: str) -> str:
        """A whole `${ … }`."""
        return "${ " + self._source(strip_expression(text)) + " }" if "$steps" in text else text

    def _source(self, source: str) -> str:
        return self._reading + source if "$steps" in source else source

    def exporting(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The steps, each exporting its output if it is read, and keeping what others have exported."""
        return (
            entries
            if not self._names
            else [{name: self._step(name, body) for name, body in entry.items()} for entry in entries]
        )

    def _step(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        own = found(body, ("export", "as"))
        if name in self._names or own is not None:
            export = body.get("export", {})
            body = {
                **body,
                "export": {**export, "as": _exporting(own, name if name in self._names else None)},
            }
        inner = found(body, ("foreach", "export", "as"))
        if inner is not None:
            body = replaced(body, ("foreach", "export", "as"), _exporting(inner, None))
        for path in step_lists(body):
            body = replaced(body, path, self.exporting(found(body, path)))
        return body


def _exporting(own: Any, name: str | None) -> str:
    """The step's own export, and beside it the outputs that are kept."""
    exported = "$context" if own is None else _shape(own)
    output = "{}" if name is None else "{" + json.dumps(_PREFIX + name) + ": .}"
    return (
        f"{output} as $kept | {inside(exported)} as $exported"
        ' | if ($exported | type) == "object" or $exported == null'
        f" then ($exported // {{}}) + {_OLD} + $kept else $exported end"
    )


def _shape(own: Any) -> str:
    return strip_expression(own) if isinstance(own, str) else value_source(own, mixed=False)


def _lists(entries: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    yield entries
    for body in every_step({"do": entries}):
        for path in step_lists(body):
            yield found(body, path)


def _texts(value: Any) -> Iterator[str]:
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
