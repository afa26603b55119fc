"""RFC 7240: how long a caller prefers to wait for a result before being told where to look for it."""

from domain.errors import Invalid, Problem

LONGEST = 30


def leniently(prefer: str | None) -> int | None:
    """The seconds of the first `wait=N`, 0 among them; None when there is none, or one that cannot be read.

    RFC 7240, 2: what is not understood is ignored. A provider's event is not refused for its manners.
    """
    seconds = _written(prefer)
    return min(int(seconds), LONGEST) if seconds is not None and _is_number(seconds) else None


def wait_of(prefer: str | None) -> int | None:
    """The seconds of `wait=N`, at most 30; None when none (or 0) are asked. Other preferences are ignored."""
    seconds = _written(prefer)
    if seconds is None:
        return None
    if not _is_number(seconds):
        raise Invalid(problems=[Problem("header/prefer", "wait is no number of seconds.", "Send wait=10.")])
    return min(int(seconds), LONGEST) or None


def _written(prefer: str | None) -> str | None:
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return value.strip().strip('"')
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
