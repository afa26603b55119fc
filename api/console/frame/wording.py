"""How pages write moments, states and refusals."""

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

#: Told apart by shape as well as by word and colour. Plain geometry that text fonts have: an hourglass, say,
#: shows as an empty box where no emoji font is installed and as a coloured picture where one is.
_SHAPES: Final = {
    "queued": "○",
    "running": "▸",
    "waiting": "◐",
    "paused": "‖",
    "completed": "✓",
    "failed": "✗",
    "cancelled": "⊘",
    "timed_out": "◷",
    "terminated": "■",
    "skipped": "↷",
    "open": "◐",
    "decided": "✓",
    "active": "✓",
    "draft": "○",
    "archived": "■",
    "ran": "✓",
    "missed": "✗",
    "backfilled": "↺",
    "buffered": "◷",
    "accepted": "✓",
    "refused": "✗",
    "approved": "✓",
    "rejected": "✗",
    "submitted": "✓",
    "started": "✓",
    "held": "◐",
    "pending": "○",
    "filtered": "↷",
    "late": "◷",
    "tested": "✓",
    "receiving": "○",
    "malformed": "✗",
    "forged": "✗",
    "oversized": "✗",
    "stale": "◷",
}


def shape_of(state: str) -> str:
    """The mark beside the word of a state; a dot for one that has none."""
    return _SHAPES.get(state, "•")


#: What refusals say to programs; on a page the list stands right below.
_FOR_PROGRAMS: Final = re.compile(
    r"^The request does not have the expected form; see `errors`[^.]*\.|; see `errors`[^.]*|,? and send `expected: \d+`"
)


def for_people(message: str) -> str:
    """The message of a refusal without what only a program can follow."""
    return _FOR_PROGRAMS.sub("", message)


def field_of(pointer: str) -> str:
    """The field of a form that a problem names, as "Due at" of `#/due_at`; "" for a place deeper in a document."""
    name = re.sub("^(#/?|path/|query/|body/|/)", "", pointer)
    return "" if "/" in name else name.replace("_", " ").capitalize()


#: By where somebody did it, as the execution names its trigger (`api/starting.py`).
_BY_HAND: Final = {"": "By hand", "api": "By hand, over the API", "console": "By hand, in the console"}


def begun_by(trigger: str) -> str:
    """What began an execution, of `type:name` or of a type alone: "By hand, in the console", "Event issued"."""
    type, _, name = trigger.partition(":")
    if type == "manual":
        return _BY_HAND.get(name) or f"By hand ({name})"
    word = type[:1].upper() + type[1:]
    return word if name in ("", type) else f"{word} {name}"


def moment(at: datetime, zone: tzinfo = UTC) -> str:
    """As "22 Nov 2026, 14:54 GMT": the zone is named, for whoever reads it may be in another."""
    local = at.astimezone(zone)
    return f"{local:%d %b %Y, %H:%M} {local.tzname()}"
