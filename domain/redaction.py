"""What looks like a credential is not shown where people only look on: in the step log."""

import re
from functools import lru_cache
from typing import Any, Final

REDACTED: Final = "[redacted]"

MAX_DEPTH: Final = 100
MAX_PARTS: Final = 300_000

_CREDENTIAL: Final = re.compile(
    r"authorization|cookie|token|secret|passw|passphrase|pwd|credential|signature|assertion|"
    # `key` as a word or at the end of one, but not in keyword; plurals as well.
    r"keys?(?![a-z])",
    re.IGNORECASE,
)
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST_REMEMBERED: Final = 200


def is_credential(name: str) -> bool:
    """Whether a header, argument or field of that name is likely to hold a credential."""
    return _remembered(name) if len(name) <= _LONGEST_REMEMBERED else _matches(name)


def _matches(name: str) -> bool:
    return _CREDENTIAL.search(_CAPITAL.sub("-", name)) is not None


_remembered = lru_cache(maxsize=4096)(_matches)


def redacted(value: Any) -> Any:
    """A copy with "[redacted]" for every value under a name that looks like a credential, at any depth.

    A pair such as `{name: Authorization, value: …}` counts as a name and its value. `null` stays. What lies
    deeper than 100 levels or behind 300,000 parts is redacted unseen, so that no value makes this run on.
    """
    return _Walk().copy(value, 0)


class _Walk:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_PARTS

    def copy(self, value: Any, depth: int) -> Any:
        if not isinstance(value, dict | list):
            return value
        self.left -= len(value)
        if depth >= MAX_DEPTH or self.left < 0:
            return REDACTED
        if isinstance(value, list):
            return [self.copy(item, depth + 1) for item in value]
        label = _label(value)
        hidden = label is not None and is_credential(value[label])
        return {
            name: item
            if item is None or name == label
            else REDACTED
            if is_credential(name) or (hidden and name == "value")
            else self.copy(item, depth + 1)
            for name, item in value.items()
        }


def _label(value: dict[str, Any]) -> str | None:
    """The field that names what stands in `value` beside it: `{key, value}` as jq writes it, or `{name, value}`."""
    if "value" not in value:
        return None
    return next((label for label in ("key", "name") if isinstance(value.get(label), str)), None)
