"""The signs of the kinds of steps and of their statuses: paths in a square of 24, stroked."""

from typing import Final

_CIRCLE: Final = "M12 4.5a7.5 7.5 0 1 1 0 15a7.5 7.5 0 1 1 0-15"

KINDS: Final = {
    "call": "M4.5 12h14M13 6.5l5.5 5.5l-5.5 5.5",
    "task": "M12 4.5a3.6 3.6 0 1 1 0 7.2a3.6 3.6 0 1 1 0-7.2M5 19.5c.6-3.8 3.4-5.4 7-5.4s6.4 1.6 7 5.4",
    "set": "M9.5 5c-2.6 0-2.6 1.2-2.6 3.4S6.6 11.6 4.8 12c1.8.4 2.1 1.4 2.1 3.6S6.9 19 9.5 19"
    "M14.5 5c2.6 0 2.6 1.2 2.6 3.4s.3 3.2 2.1 3.6c-1.8.4-2.1 1.4-2.1 3.6S17.1 19 14.5 19",
    "switch": "M12 4.5L19.5 12L12 19.5L4.5 12z",
    "wait": _CIRCLE + "M12 8v4.2l3 2",
    "listen": "M12 10.5a1.5 1.5 0 1 1 0 3a1.5 1.5 0 1 1 0-3M8.2 8.2a5.4 5.4 0 0 0 0 7.6M15.8 8.2"
    "a5.4 5.4 0 0 1 0 7.6M5.4 5.4a9.3 9.3 0 0 0 0 13.2M18.6 5.4a9.3 9.3 0 0 1 0 13.2",
    "emit": "M4.5 12.5L19.5 5l-4.5 14.5l-3.5-6zM11.5 13.5L19.5 5",
    "raise": "M12 4.5l8 14.5H4zM12 10v4.5M12 16.6v.4",
    "run": "M5 5h10v10H5zM9 15v4.5h10.5V9H15",
    "for": "M18.5 9.5A7.2 7.2 0 1 0 19 14M19.5 5v5h-5",
    "fork": "M12 4.5v5M5 19.5v-4.5c0-3 3-5.5 7-5.5s7 2.5 7 5.5v4.5M12 9.5v10",
    "try": "M12 4.5l7 2.5v5c0 4-3 6.5-7 8c-4-1.5-7-4-7-8V7z",
    "do": "M5.5 7h13M5.5 12h13M5.5 17h13",
    "undo": "M5.5 9.5A7.2 7.2 0 1 1 5 14M4.5 5v5h5",
    "unknown": "M9 9.2c0-4 6-4 6 0c0 2.4-3 2.4-3 5M12 17.2v.4",
}

#: Each status has a shape of its own, so that nobody needs the colour.
STATUSES: Final = {
    "completed": _CIRCLE + "M8.5 12.2l2.5 2.5l4.7-5",
    "failed": "M8.7 4.5h6.6l4.2 4.2v6.6l-4.2 4.2H8.7l-4.2-4.2V8.7zM9.2 9.2l5.6 5.6M14.8 9.2l-5.6 5.6",
    "running": _CIRCLE + "M10.2 8.8l5 3.2l-5 3.2z",
    "waiting": "M7 4.5h10M7 19.5h10M8 4.5c0 4.5 8 10.5 8 15M16 4.5c0 4.5-8 10.5-8 15",
    "skipped": "M5.5 7l5 5l-5 5M12 7l5 5l-5 5M19 7v10",
    "cancelled": _CIRCLE + "M6.7 17.3L17.3 6.7",
}

_ACCENTS: Final = {
    "call": "call",
    "run": "call",
    "task": "people",
    "wait": "time",
    "listen": "time",
    "set": "data",
    "emit": "data",
    "raise": "fault",
    "unknown": "fault",
    "undo": "undo",
}


def accent(kind: str) -> str:
    """The family of a kind; each has a colour of its own."""
    return _ACCENTS.get(kind, "flow")
