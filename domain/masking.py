"""Secrets in what comes back from a call: an echo must not carry them into the execution's history."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

#: Shorter values occur by chance; whoever chooses such a secret has none.
SHORTEST: Final = 6
#: Of base64 only the characters that no neighbour influences can be known, and few of them are no proof.
_SHORTEST_BASE64: Final = 8


class Mask:
    """Replaces every exact occurrence of the given secrets by `[secret <name>]`.

    Found are the value itself and its usual spellings: in JSON and in JSON within JSON, in addresses, in
    hexadecimal and, wherever it stands, in base64. A value of fewer than 6 characters is not looked for.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        found = {
            spelling: f"[secret {name}]"
            for name, value in secrets.items()
            if len(value) >= SHORTEST
            for spelling in _spellings(value)
        }
        # The longest first: one secret may be a part of another.
        self._spellings = sorted(found.items(), key=lambda pair: -len(pair[0]))

    def text(self, text: str) -> str:
        for spelling, shown in self._spellings:
            if spelling in text:
                text = text.replace(spelling, shown)
        return text

    def excerpt(self, text: str) -> str:
        """`text` for what was cut off somewhere, perhaps within a secret: its beginning at the end counts too."""
        text = self.text(text)
        whole = text.rstrip("….")
        cut, shown = max(
            ((_beginning(whole, spelling), shown) for spelling, shown in self._spellings), default=(0, "")
        )
        return whole[:-cut] + shown + text[len(whole) :] if cut else text

    def value(self, value: Any) -> Any:
        """A copy of a JSON value, the names of its members included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            masked = self.text(str(value))
            return value if masked == str(value) else masked
        return value


def _spellings(value: str) -> set[str]:
    content = value.encode()
    spellings = {
        value,
        *_in_json(value),
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        content.hex(),
        content.hex().upper(),
    }
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        if len(whole) >= _SHORTEST_BASE64:
            spellings |= {whole, whole.replace("+", "-").replace("/", "_")}
    return spellings


def _beginning(text: str, spelling: str) -> int:
    """How many characters at the end of a text are the beginning of a spelling; fewer than 6 are chance."""
    longest = min(len(spelling), len(text))
    return next((n for n in range(longest, SHORTEST - 1, -1) if text.endswith(spelling[:n])), 0)


def _in_json(value: str) -> set[str]:
    """As it stands in JSON, and in JSON that stands in a text of JSON: a text that echoes our own body is that."""

    def escaped(texts: set[str]) -> set[str]:
        return {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in texts for ascii in (True, False)}

    once = escaped({value})
    return once | escaped(once)
