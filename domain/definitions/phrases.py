"""Short wordings that drawings, explanations and differences share: durations, events, errors, retries."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from domain.definitions import durations
from domain.definitions.durations import InvalidDuration
from domain.definitions.expressions import is_expression, strip_expression
from domain.definitions.outline import at

_UNITS: Final = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
    ("millisecond", timedelta(milliseconds=1)),
)
_UNSEEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\ud800-\udfff]"
)


def visible(text: object, limit: int = 200) -> str:
    """One line of visible characters: what would break, reorder or hide the text around it becomes a space."""
    line = " ".join(_UNSEEN.sub(" ", str(text)[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: list[str], word: str = "and", *, most: int = 6) -> str:
    """`a, b and c`; of a long list the first few and how many more."""
    if len(words) > most:
        words = [*words[: most - 1], f"{len(words) - most + 1} more"]
    return f" {word} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def duration(value: Any) -> str:
    """A duration in words; an expression is quoted as it is written."""
    if isinstance(value, str) and is_expression(value):
        return f"`{visible(strip_expression(value), 60)}`"
    try:
        left = durations.parse(value)
    except InvalidDuration:
        return visible(value, 40)
    words = []
    for name, unit in _UNITS:
        number, left = divmod(left, unit)
        if number:
            words.append(counted(number, name))
    return listed(words) or "no time"


def timeout(body: Mapping[str, Any], use: Mapping[str, Any]) -> str | None:
    """After how long a step is given up, if it says so; a name is looked up in `use.timeouts`."""
    said = body.get("timeout")
    if isinstance(said, str):
        said = at(use, "timeouts", said)
    after = at(said, "after")
    return None if after is None else duration(after)


def expression(value: Any, limit: int = 80) -> str:
    """What an expression says, without its braces."""
    return visible(strip_expression(value) if isinstance(value, str) else value, limit)


def events(listen: Any) -> list[str]:
    """The types a `listen` waits for; a filter without a type is told by what it asks for."""
    to = at(listen, "to")
    one = at(to, "one")
    filters = [one] if one is not None else at(to, "all") or at(to, "any") or []
    return [event(each) for each in filters] if isinstance(filters, list) else []


def event(given: Any) -> str:
    wanted = at(given, "with")
    if not isinstance(wanted, Mapping) or not wanted:
        return "any event"
    return (
        visible(wanted["type"], 80)
        if "type" in wanted
        else f"any event with a certain {min(map(str, wanted))}"
    )


def admitted(catch: Any) -> str | None:
    """Which errors a `catch` takes, in a few words; None when it takes all."""
    wanted = at(catch, "errors", "with")
    told = []
    if isinstance(wanted, Mapping):
        if "status" in wanted:
            told.append(f"status {visible(wanted['status'], 20)}")
        if "type" in wanted:
            told.append(f"a {visible(str(wanted['type']).rstrip('/').rpartition('/')[2], 40)} error")
        told += [
            f"{visible(name, 20)} {visible(wanted[name], 40)}"
            for name in sorted(wanted)
            if name not in ("status", "type")
        ]
    if at(catch, "when") is not None:
        told.append(f"when {expression(at(catch, 'when'), 40)}")
    if at(catch, "exceptWhen") is not None:
        told.append(f"unless {expression(at(catch, 'exceptWhen'), 40)}")
    return ", ".join(told) or None


def retries(catch: Any, use: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The retry policy of a `catch`, looked up in `use.retries` when it is a name."""
    policy = at(catch, "retry")
    if isinstance(policy, str):
        policy = at(use, "retries", policy)
    return policy if isinstance(policy, Mapping) else None


def retry_count(policy: Mapping[str, Any]) -> int | None:
    count = at(policy, "limit", "attempt", "count")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def children(target: Any) -> str:
    """`namespace.name`, with the version where one is named."""
    name = visible(at(target, "name") or "another workflow", 60)
    version = at(target, "version")
    return f"{name} {visible(version, 20)}" if version not in (None, "latest") else name
