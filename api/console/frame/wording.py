"""How pages write moments and states."""

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


def begun_by(trigger: str) -> str:
    """What began an execution, of `type:name` or of a type alone: "By hand (api)", "Event issued", "Schedule"."""
    type, _, name = trigger.partition(":")
    if type == "manual":
        return f"By hand ({name})" if name else "By hand"
    word = type[:1].upper() + type[1:]
    return word if name in ("", type) else f"{word} {name}"


def moment(at: datetime, zone: tzinfo = UTC) -> str:
    """As "22 Nov 2026, 14:54 GMT": the zone is named, for whoever reads it may be in another."""
    local = at.astimezone(zone)
    return f"{local:%d %b %Y, %H:%M} {local.tzname()}"
