"""Text with holes: `{{ path.to.value }}` and nothing else, so a template can neither loop nor compute."""

import re
from collections.abc import Mapping, Sequence
from html import escape as escape_html
from typing import Any

from domain.definitions.faults import Fault

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def render(text: str, values: Mapping[str, Any], *, html: bool, limit: int) -> str:
    """Fill every hole; null is empty. Raises a validation fault naming an unknown path or the limit."""
    parts: list[str] = []
    size = position = 0
    for match in _HOLE.finditer(text):
        filled = _text(match.group(1).strip(), values)
        if html:
            filled = escape_html(filled, quote=True)
        for part in (_plain(text[position : match.start()]), filled):
            size += len(part.encode("utf-8", "surrogatepass"))
            parts.append(part)
        # Checked as it grows: a short template can name one long value many times.
        if size > limit:
            raise _refused(f"the filled template is larger than the limit of {limit} bytes")
        position = match.end()
    rest = _plain(text[position:])
    if size + len(rest.encode("utf-8", "surrogatepass")) > limit:
        raise _refused(f"the filled template is larger than the limit of {limit} bytes")
    return "".join(parts) + rest


def _plain(text: str) -> str:
    if "{{" in text:
        raise _refused(f"a {{{{ is never closed: {text[text.index('{{') :][:40]!r}; add }}}}")
    return text


def _text(path: str, values: Mapping[str, Any]) -> str:
    if not path:
        raise _refused("{{ }} names nothing; write {{ path.to.value }}")
    value = _look_up(path, values)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    kind = "an object" if isinstance(value, Mapping) else "a list"
    raise _refused(f"{{{{ {path[:80]} }}}} is {kind}; name one of its texts or numbers")


def _look_up(path: str, values: Mapping[str, Any]) -> Any:
    value: Any = values
    walked: list[str] = []
    for name in path.split("."):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif isinstance(value, Sequence) and not isinstance(value, str) and _index(name, value) is not None:
            value = value[int(name)]
        else:
            where = ".".join(walked) or "values"
            raise _refused(f"{{{{ {path[:80]} }}}} is unknown: {where[:80]} has no {name[:80]!r}")
        walked.append(name)
    return value


def _index(name: str, values: Sequence[Any]) -> int | None:
    if name.isascii() and name.isdigit() and len(name) <= 6 and int(name) < len(values):
        return int(name)
    return None


def _refused(detail: str) -> Fault:
    return Fault("validation", 400, "Template refused", detail)
