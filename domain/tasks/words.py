"""What mails about tasks say of moments."""

from datetime import datetime
from zoneinfo import ZoneInfo


def moment(at: datetime, zone: str) -> str:
    """As "Friday 27 November 2026, 17:00 (Europe/London)"; UTC where the zone's name means nothing."""
    try:
        place = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        zone, place = "UTC", ZoneInfo("UTC")
    return f"{at.astimezone(place):%A %-d %B %Y, %H:%M} ({zone})"


def until(task_due: datetime | None, zone: str, *, ends: bool, now: datetime) -> str:
    """One sentence about the deadline; `ends` says that nothing can be answered after it."""
    if task_due is None:
        return "There is no deadline."
    said = moment(task_due, zone)
    if task_due <= now:
        return f"It was due on {said} and is still open."
    return f"It can be answered until {said}." if ends else f"Please answer until {said}."
